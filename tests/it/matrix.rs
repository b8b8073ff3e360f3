//! Every collector against every way in which its server can go wrong: what is said, that it is not
//! go, that nothing else is touched, and that it is go again once the server is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use readiness_lab::wire::{self, COLLECTORS, TROUBLES, Trouble};

use crate::common::{Estate, PATIENCE, exporter};
use crate::moto::with_aws;
use crate::slack::{Process, own_host};

/// The servers of one collector, its sources, and what tells how it sees them.
struct Column {
    servers: Vec<SocketAddr>,
    /// Collector and the beginnings of sources that may not be seen while they are broken.
    sources: (&'static str, String),
    told: Vec<Told>,
}

enum Told {
    /// The class of a new error of a source.
    Class(&'static str, &'static str),
    /// The state of a state set, by the beginning of its series.
    State(String),
}

/// The numbers of one scrape.
#[derive(Default)]
struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    fn read(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self(series.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect())
    }

    /// Values of a label of series that begin like this, with their value.
    fn labelled<'a>(&'a self, start: &'a str, label: &'a str) -> impl Iterator<Item = (&'a str, f64)> + 'a {
        let own = self.0.range(start.to_owned()..).take_while(move |(name, _)| name.starts_with(start));
        own.filter_map(move |(name, value)| Some((name.split_once(&format!("{label}=\""))?.1.split_once('"')?.0, *value)))
    }

    /// What is said, given what stood there before.
    fn said(&self, told: &Told, before: &Self) -> BTreeSet<String> {
        match told {
            Told::Class(collector, source) => {
                let start = format!("readiness_collector_errors_total{{collector=\"{collector}\",source=\"{source}\",");
                let earlier: BTreeMap<&str, f64> = before.labelled(&start, "class").collect();
                let more = self.labelled(&start, "class").filter(|(class, count)| earlier.get(class).is_none_or(|earlier| count > earlier));
                more.map(|(class, _)| class.to_owned()).collect()
            }
            Told::State(start) => self.labelled(start, "state").filter(|(_, value)| *value > 0.0).map(|(state, _)| state.to_owned()).collect(),
        }
    }

    fn decision(&self) -> Option<f64> {
        self.labelled("readiness_go{", "checklist").map(|(_, value)| value).next()
    }

    /// Sources that are not seen now.
    fn unseen(&self) -> BTreeSet<(String, String)> {
        let down = self.0.iter().filter(|(name, value)| name.starts_with("readiness_collector_up{") && **value < 1.0);
        let label = |name: &str, label: &str| name.split_once(&format!("{label}=\"")).unwrap().1.split_once('"').unwrap().0.to_owned();
        down.map(|(name, _)| (label(name, "collector"), label(name, "source"))).collect()
    }
}

struct Watched {
    url: String,
    client: reqwest::Client,
    _process: Process,
}

impl Watched {
    async fn scrape(&self) -> Scrape {
        match self.client.get(&self.url).send().await {
            Ok(answer) => Scrape::read(&answer.text().await.unwrap()),
            Err(_) => Scrape::default(),
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> Result<(), String>) -> Scrape {
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let scrape = self.scrape().await;
            let Err(why) = holds(&scrape) else { return scrape };
            assert!(tokio::time::Instant::now() < limit, "{what}: never so: {why}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn columns(estate: &Estate, plain: SocketAddr, aws: SocketAddr) -> [Column; 6] {
    let [upstream, issuers] = estate.lab.upstream_and_issuers();
    [
        Column { servers: vec![estate.lab.api(1)], sources: ("kubernetes", "us-west-2".to_owned()), told: vec![Told::Class("kubernetes", "us-west-2")] },
        Column {
            servers: estate.lab.kubelets("eu-west-2"),
            sources: ("kubernetes", "eu-west-2 storage".to_owned()),
            told: vec![Told::State("readiness_node_kubelet_state{cluster=\"eu-west-2\",node=\"node-1\",".to_owned())],
        },
        Column {
            servers: vec![upstream],
            sources: ("registry", String::new()),
            told: vec![Told::State(format!("readiness_registry_image_state{{registry=\"{upstream}\",repository=\"coder/coder-preview\",tag=\"v2.18.0\","))],
        },
        Column {
            servers: vec![issuers],
            sources: ("credentials", String::new()),
            told: vec![Told::State("readiness_credential_valid_state{credential=\"gitlab\",".to_owned())],
        },
        Column {
            servers: vec![aws],
            sources: ("secrets_manager", "database".to_owned()),
            told: vec![Told::Class("secrets_manager", "database"), Told::State("readiness_secretsmanager_secret_state{secret=\"database\",".to_owned())],
        },
        Column {
            servers: vec![plain],
            sources: ("http", "plain".to_owned()),
            told: vec![Told::State("readiness_http_outcome_state{target=\"plain\",".to_owned())],
        },
    ]
}

fn break_all(columns: &[Column], trouble: Option<&Trouble>) {
    columns.iter().flat_map(|column| &column.servers).for_each(|server| wire::set(*server, trouble.map(|trouble| trouble.wire)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_collector_against_every_way_to_go_wrong() {
    let (mut estate, host) = (Estate::start().await, own_host());
    let (plain, aws): (SocketAddr, SocketAddr) = (format!("{host}:5010").parse().unwrap(), format!("{host}:5011").parse().unwrap());
    let _plain = readiness_lab::plain_server(plain, Duration::ZERO, |_, _, _| (200, Vec::new(), b"OK".to_vec())).await.unwrap();
    let secret = serde_json::json!({ "ARN": "arn:aws:secretsmanager:us-east-2:123456789012:secret:database-AbCdEf", "Name": "database",
        "RotationEnabled": false, "LastChangedDate": 1_760_000_000.0, "VersionIdsToStages": { "a": ["AWSCURRENT"] } })
    .to_string();
    let _aws = readiness_lab::plain_server(aws, Duration::ZERO, move |_, _, _| {
        (200, vec![("content-type", "application/x-amz-json-1.1".to_owned())], secret.clone().into_bytes())
    })
    .await
    .unwrap();
    let target = format!("    targets:\n      - {{ name: plain, kind: healthz, url: \"http://{plain}/\", expect: {{ body_matches: \"^OK$\" }} }}\n");
    estate.configuration = estate.configuration.replacen("    targets:\n", &target, 1);
    let secrets = "  secrets_manager: { interval: 1s, timeout: 1s, secrets: [{ name: database, region: us-east-2, id: database }] }\n\n  rotations:";
    estate.configuration = estate.configuration.replacen("  rotations:", secrets, 1);
    let address = format!("{host}:9840");
    let mut command = exporter();
    command.args(["--web.listen-address", &address, "--config.file"]).arg(estate.file()).stderr(Stdio::null());
    let process = Process::start(with_aws(&mut command, &format!("http://{aws}")));
    let watched = Watched { url: format!("http://{address}/metrics"), client: reqwest::Client::builder().no_proxy().build().unwrap(), _process: process };
    let columns = columns(&estate, plain, aws);
    let go = |scrape: &Scrape| match (scrape.decision(), scrape.unseen()) {
        (Some(decision), unseen) if decision > 0.0 && unseen.is_empty() => Ok(()),
        (decision, unseen) => Err(format!("decision {decision:?}, not seen {unseen:?}")),
    };
    let mut before = watched.until("at the start", go).await;
    for trouble in &TROUBLES {
        break_all(&columns, Some(trouble));
        let seen = watched
            .until(trouble.name, |scrape| {
                let said = columns.iter().zip(&COLLECTORS).zip(trouble.said).map(|((column, (name, _)), expected)| {
                    let said: BTreeSet<String> = column.told.iter().flat_map(|told| scrape.said(told, &before)).collect();
                    // A connection from before may end in another way than a new one.
                    if expected.split(" or ").any(|expected| said.contains(expected)) {
                        Ok(())
                    } else {
                        Err(format!("{name} says {said:?} and not {expected}"))
                    }
                });
                said.collect::<Result<Vec<()>, String>>()?;
                if scrape.decision() == Some(0.0) { Ok(()) } else { Err("a false go".to_owned()) }
            })
            .await;
        let others = seen
            .unseen()
            .into_iter()
            .filter(|(collector, source)| !columns.iter().any(|column| *collector == column.sources.0 && source.starts_with(&column.sources.1)));
        assert_eq!(others.collect::<Vec<_>>(), [], "{}: others are not seen either", trouble.name);
        break_all(&columns, None);
        before = watched.until(&format!("after {}", trouble.name), go).await;
    }
}
