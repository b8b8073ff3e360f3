//! Every collector against every way in which its server can go wrong: what is said, that it is not
//! go, that nothing else is touched, and that it is go again once the server is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use readiness_lab::issuers;
use readiness_lab::troubles::{COLLECTORS, TROUBLES, Trouble};
use readiness_lab::wire;

use crate::common::{Estate, PATIENCE, Running, exporter};
use crate::moto::with_aws;

/// The most memory, in MiB, that whatever is answered may cost beside what an unoptimised binary with
/// three clusters takes; what the released one takes in all is asserted by `make storm`.
const MOST: u64 = 32;

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

struct Watched(Running);

impl Watched {
    async fn scrape(&self) -> Scrape {
        self.0.get("/metrics").await.map(|text| Scrape::read(&text)).unwrap_or_default()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Scrape) -> Result<(), String>) -> Result<Scrape, String> {
        let limit = tokio::time::Instant::now() + PATIENCE / 2;
        loop {
            let scrape = self.scrape().await;
            let Err(why) = holds(&scrape) else { return Ok(scrape) };
            if self.0.peak().is_none() {
                return Err(format!("{what}: the process has ended: {}", self.0.log().lines().last().unwrap_or_default()));
            }
            if tokio::time::Instant::now() > limit {
                return Err(format!("{what}: never so: {why}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn columns(estate: &Estate, plain: SocketAddr, aws: SocketAddr) -> [Column; 6] {
    let upstream = estate.lab.servers_of("registry")[0];
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
            servers: estate.lab.servers_of("issuers"),
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

/// An exporter on an estate with a plain server and one of AWS beside, and the columns of the matrix.
async fn start() -> (Estate, Watched, [Column; 6], Vec<tokio::task::JoinHandle<()>>) {
    let mut estate = Estate::unhurried().await;
    let host = estate.lab.free_host();
    let (plain, aws): (SocketAddr, SocketAddr) = (format!("{host}:5010").parse().unwrap(), format!("{host}:5011").parse().unwrap());
    let answers = readiness_lab::plain_server(plain, Duration::ZERO, |_, _, _| (200, Vec::new(), b"OK".to_vec())).await.unwrap();
    let secret = serde_json::json!({ "ARN": "arn:aws:secretsmanager:us-east-2:123456789012:secret:database-AbCdEf", "Name": "database",
        "RotationEnabled": false, "LastChangedDate": 1_760_000_000.0, "VersionIdsToStages": { "a": ["AWSCURRENT"] } })
    .to_string();
    let describes = readiness_lab::plain_server(aws, Duration::ZERO, move |_, _, _| {
        (200, vec![("content-type", "application/x-amz-json-1.1".to_owned())], secret.clone().into_bytes())
    })
    .await
    .unwrap();
    std::fs::write(estate.lab.dir().join("header.key"), format!("{}-header\n", issuers::CANARY)).unwrap();
    let header = format!("headers: [{{ name: X-Lab-Key, value_from: {{ file: {} }} }}]", estate.lab.dir().join("header.key").display());
    let target = format!(
        "    targets:\n      - {{ name: plain, kind: healthz, url: \"http://{plain}/\", follow_redirects: 2, {header}, expect: {{ body_matches: \"^OK$\" }} }}\n"
    );
    estate.configuration = estate.configuration.replacen("    targets:\n", &target, 1);
    let secrets = "  secrets_manager: { interval: 2s, timeout: 2s, secrets: [{ name: database, region: us-east-2, id: database }] }\n\n  rotations:";
    estate.configuration = estate.configuration.replacen("  rotations:", secrets, 1);
    let mut command = exporter();
    command.args(["--log.level", "warn", "--config.file"]).arg(estate.file());
    let running = Running::start(with_aws(&mut command, &format!("http://{aws}")), &format!("{host}:9840"), &estate.folder.path().join("log"));
    let columns = columns(&estate, plain, aws);
    (estate, Watched(running), columns, vec![answers, describes])
}

fn go(scrape: &Scrape) -> Result<(), String> {
    match (scrape.decision(), scrape.unseen()) {
        (Some(decision), unseen) if decision > 0.0 && unseen.is_empty() => Ok(()),
        (decision, unseen) => Err(format!("decision {decision:?}, not seen {unseen:?}")),
    }
}

/// What is wrong with what is said while all servers are broken in one way.
fn wrong(trouble: &Trouble, columns: &[Column], scrape: &Scrape, before: &Scrape) -> Result<(), String> {
    let mut wrong: Vec<String> = Vec::new();
    let own = |(collector, source): &(String, String)| columns.iter().any(|column| *collector == column.sources.0 && source.starts_with(&column.sources.1));
    let others: Vec<_> = scrape.unseen().into_iter().filter(|source| !own(source)).collect();
    if !others.is_empty() {
        wrong.push(format!("{others:?} are not seen either"));
    }
    for (column, collector) in columns.iter().zip(&COLLECTORS) {
        let said: BTreeSet<String> = column.told.iter().flat_map(|told| scrape.said(told, before)).collect();
        let expected = (collector.said)(&trouble.said);
        // A connection from before may end in another way than a new one.
        if !expected.split(" or ").any(|expected| said.contains(expected)) {
            wrong.push(format!("{} says {said:?} and not {expected}", collector.collector));
        }
    }
    // All that their issuers prove; the others tell about themselves.
    for credential in ["gitlab", "github", "coder-api", "llm-key", "llm-key-copy", "provisioner-key", "coder-deployment", "sign-in", "vertex", "bedrock"] {
        let said = scrape.said(&Told::State(format!("readiness_credential_valid_state{{credential=\"{credential}\",")), before);
        if said.contains("valid") {
            wrong.push(format!("credential {credential} is valid"));
        }
    }
    if scrape.decision() != Some(0.0) {
        wrong.push(format!("a false go: {:?}", scrape.decision()));
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

#[expect(clippy::print_stdout, reason = "how long each took, and with how much memory, for those who ask for the output")]
#[tokio::test(flavor = "multi_thread")]
async fn every_collector_against_every_way_to_go_wrong() {
    let (estate, watched, columns, _servers) = start().await;
    let mut found: Vec<String> = Vec::new();
    let mut before = watched.until("at the start", go).await.unwrap();
    watched.0.forget_peak();
    let most = watched.0.peak().unwrap() + MOST;
    for trouble in &TROUBLES {
        watched.0.forget_peak();
        estate.lab.elsewhere().take();
        let broken = tokio::time::Instant::now();
        break_all(&columns, Some(trouble));
        found.extend(watched.until(trouble.name, |scrape| wrong(trouble, &columns, scrape, &before)).await.err());
        found.extend(watched.0.peak().filter(|peak| *peak > most).map(|peak| format!("{}: {peak} of {most} MiB were resident", trouble.name)));
        found.extend(estate.lab.elsewhere().take().into_iter().flat_map(|arrived| strayed(trouble, &arrived)).collect::<BTreeSet<_>>());
        println!("{}: seen within {:.1} s, {:?} MiB at most", trouble.name, broken.elapsed().as_secs_f64(), watched.0.peak());
        break_all(&columns, None);
        match watched.until(&format!("after {}", trouble.name), go).await {
            Ok(scrape) => before = scrape,
            // Nothing that follows would tell anything.
            Err(why) => {
                found.push(why);
                break;
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// What came to another origin and must not.
fn strayed(trouble: &Trouble, arrived: &readiness_lab::Arrived) -> Vec<String> {
    let line = arrived.text.lines().next().unwrap_or_default();
    let secret = issuers::secrets().iter().any(|secret| arrived.text.contains(secret.as_str())) || arrived.text.contains("token-of-");
    let mut strayed: Vec<String> = arrived.credentials.iter().map(|name| format!("{}: {name} went elsewhere with {line}", trouble.name)).collect();
    strayed.extend(secret.then(|| format!("{}: a secret went elsewhere with {line}", trouble.name)));
    strayed
}
