//! Behind a proxy that serves it under a path: one that hands the path on, one that takes it away, and one that puts
//! another in its place. Everything is reached, and every link leads to something.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use readiness_exporter::app::App;
use readiness_exporter::checklist::Decision;
use readiness_exporter::value::Place;
use readiness_exporter::web::{Door, Listener, serve};
use readiness_lab::Process;
use reqwest::Url;
use tokio::net::TcpListener;

use crate::common::{Estate, PATIENCE, Running, exporter, repository, run, until};
use crate::slack::own_host;

/// Where people find it.
const PATH: &str = "/team/readiness";

/// One for all: to make one costs more than to ask.
static CLIENT: LazyLock<reqwest::Client> =
    LazyLock::new(|| reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(Duration::from_secs(10)).build().unwrap());

/// What a proxy answers.
async fn handed_on(exporter: &str, inside: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let reply = |status: u16, location: &str| Response::builder().status(status).header("location", location).body(Full::default()).unwrap();
    let rest = request.uri().path().strip_prefix(PATH).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let Some(rest) = rest else { return reply(418, "") };
    if rest.is_empty() && inside.is_empty() {
        return reply(301, &format!("{PATH}/"));
    }
    let mut asked = CLIENT.request(request.method().clone(), format!("http://{exporter}{inside}{rest}"));
    for name in ["accept", "origin", "sec-fetch-site"] {
        if let Some(value) = request.headers().get(name) {
            asked = asked.header(name, value);
        }
    }
    let answer = asked.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "location"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Full::new(answer.bytes().await.unwrap())).unwrap()
}

/// A proxy that has something else at its root and, as nginx does, leads to the slash by itself where it changes the path.
/// It asks with the host of the exporter, and not with that of the browser.
async fn proxy(listener: TcpListener, exporter: String, inside: &'static str) {
    while let Ok((stream, _)) = listener.accept().await {
        let exporter = exporter.clone();
        let service = service_fn(move |request| {
            let exporter = exporter.clone();
            async move { Ok::<_, Infallible>(handed_on(&exporter, inside, request).await) }
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// An exporter that is known by the address of a proxy before it.
struct Behind {
    app: Arc<App>,
    /// The address that people have.
    url: Url,
    /// That of the exporter itself.
    direct: String,
}

impl Behind {
    /// With the path of the exporter's own server, if it is said.
    async fn start(estate: &Estate, prefix: Option<&str>, inside: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let behind = Self::known_as(estate, &format!("http://{}{PATH}", listener.local_addr().unwrap()), prefix).await;
        tokio::spawn(proxy(listener, behind.direct.clone(), inside));
        behind
    }

    /// Without a proxy yet.
    async fn known_as(estate: &Estate, url: &str, prefix: Option<&str>) -> Self {
        let app = estate.exporter_at(Place::read(Some(url), prefix).unwrap());
        let own = Listener::bind("127.0.0.1:0").await.unwrap();
        let direct = own.address().unwrap().to_string();
        tokio::spawn(serve(own, Arc::clone(&app), Door::Open, std::future::pending(), Duration::from_secs(1)));
        Self { app, url: url.parse().unwrap(), direct }
    }

    /// Follows where an address leads: where that is, its type and its text.
    async fn get(&self, address: &str) -> (Url, String, String) {
        let mut address: Url = address.parse().unwrap();
        for _ in 0..3 {
            let answer = CLIENT.get(address.clone()).send().await.unwrap();
            if answer.status().is_redirection() {
                address = address.join(answer.headers()["location"].to_str().unwrap()).unwrap();
                continue;
            }
            assert_eq!(answer.status(), 200, "{address}");
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            return (address, kind, answer.text().await.unwrap());
        }
        panic!("{address} leads nowhere");
    }

    /// Follows every link from the start on, as a person or a browser would; the paths that there are.
    async fn walk(&self) -> BTreeSet<String> {
        let link = regex::Regex::new(r#" (?:href|src)="([^"]+)""#).unwrap();
        let (mut seen, mut waiting) = (BTreeSet::new(), VecDeque::from([self.url.to_string()]));
        while let Some(address) = waiting.pop_front() {
            let (at, kind, text) = self.get(&address).await;
            assert!(at.as_str().starts_with(&format!("{}/", self.url)), "{at} is not behind the proxy");
            if !seen.insert(at.path().to_owned()) || !kind.starts_with("text/html") {
                continue;
            }
            let links = link.captures_iter(&text).map(|found| found[1].to_owned()).filter(|to| !to.starts_with("data:"));
            waiting.extend(links.map(|to| at.join(&to).unwrap()).filter(|to| !seen.contains(to.path())).map(|to| to.to_string()));
        }
        seen
    }
}

/// Every address in a text.
fn addresses(text: &str) -> BTreeSet<String> {
    let address = regex::Regex::new(r#"https?://[^\s<>()"]+"#).unwrap();
    address.find_iter(text).map(|found| found.as_str().to_owned()).collect()
}

async fn everything_is_reached(prefix: Option<&str>, inside: &'static str) {
    let mut estate = Estate::start().await;
    let folder = estate.folder.path().join("archive");
    estate.configuration =
        format!("archive: \"{}\"\n{}", folder.display(), estate.configuration.replacen("participants: 12", "participants: 12\n    lead_times: [60d]", 1));
    estate.lab.estate().set("node-unfit", true);
    estate.lab.estate().set("node-disk-pressure", true);
    let behind = Behind::start(&estate, prefix, inside).await;
    until(&behind.app, "no-go", |judgement| judgement.decision == Decision::NoGo).await;
    let seen = behind.walk().await;
    for name in ["", "wall", "page.js", "metrics", "report.md", "report.json", "report.txt", "report.xml", "runbooks/NodeDiskPressure"] {
        assert!(seen.contains(&format!("{PATH}/{name}")), "{name} is not in {seen:#?}");
    }
    for (name, kind) in [
        ("report", "text/html; charset=utf-8"),
        ("report.html", "text/html; charset=utf-8"),
        ("-/healthy", "text/plain; charset=utf-8"),
        ("-/ready", "text/plain; charset=utf-8"),
        ("runbooks/NodeUnfit.md", "text/html; charset=utf-8"),
    ] {
        assert_eq!(behind.get(&format!("{}/{name}", behind.url)).await.1, kind, "{name}");
    }

    // What leaves the page leads back to it.
    for kind in ["md", "txt", "json", "xml", "html"] {
        let text = behind.get(&format!("{}/report.{kind}", behind.url)).await.2;
        // Evidence has addresses of its own.
        let found: BTreeSet<String> = addresses(&text).into_iter().filter(|address| address.starts_with(behind.url.as_str())).collect();
        assert!(
            found.iter().any(|address| address.ends_with("/runbooks/NodeDiskPressure")) && found.contains(&format!("{}/", behind.url)) || kind == "html",
            "{kind}: {found:?}"
        );
        for address in found {
            assert!(behind.get(&address).await.0.as_str().starts_with(behind.url.as_str()), "{kind}: {address}");
        }
    }
    let script = behind.get(&format!("{}/report.html", behind.url)).await.2;
    assert!(script.contains(&format!("href=\"{}/runbooks/NodeDiskPressure\"", behind.url)), "{script}");

    let commands = behind.get(&format!("{}/runbooks/ReadinessConfigReloadFailed", behind.url)).await.2;
    assert!(commands.contains(&format!("curl -X POST {}/-/reload", behind.url)) && !commands.contains("localhost"), "{commands}");

    // The page of the address that browsers know may reload, and no other.
    let reload = |origin: String| CLIENT.post(format!("{}/-/reload", behind.url)).header("origin", origin).header("sec-fetch-site", "same-origin").send();
    assert_eq!(reload(behind.url.origin().ascii_serialization()).await.unwrap().status(), 200);
    assert_eq!(reload("http://evil.example".to_owned()).await.unwrap().status(), 403);

    // At the exporter itself everything is below its own path.
    let own = async |path: &str| {
        let answer = CLIENT.get(format!("http://{}{path}", behind.direct)).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().get("location").map(|value| value.to_str().unwrap().to_owned()), answer.text().await.unwrap())
    };
    assert_eq!(own(&format!("{inside}/metrics")).await.0, 200);
    assert_eq!(own(&format!("{inside}/nothing")).await.2, format!("not found; try {inside}/, {inside}/metrics or {inside}/report\n"));
    if !inside.is_empty() {
        assert_eq!(
            own("/").await,
            (
                302,
                Some(format!("{inside}/")),
                format!("the page is at {inside}/; where that leads here again, a proxy takes the path away: set --web.route-prefix /\n")
            )
        );
        assert_eq!(own(inside).await.1, Some(format!("{PATH}/")), "as those have it who ask through the proxy");
        for path in ["/metrics", "/-/healthy", "/wall", &format!("{inside}x/metrics")] {
            assert_eq!(own(path).await, (404, None, format!("not found; everything is below {inside}/\n")), "{path}");
        }
        assert_eq!(CLIENT.post(format!("http://{}/-/reload", behind.direct)).send().await.unwrap().status(), 404);
    }
    let metrics = own(&format!("{inside}/metrics")).await.2;
    assert!(metrics.contains("route=\"/wall\"") && !metrics.contains("team"), "routes are those that are documented");

    behind.app.shutdown(PATIENCE).await;
    let archived: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    assert!(!archived.is_empty() && archived.iter().all(|text| text.contains(&format!(" The page: <{}/>.\n", behind.url))), "{archived:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_hands_the_path_on() {
    everything_is_reached(None, PATH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_takes_the_path_away() {
    everything_is_reached(Some("/"), "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_puts_another_path_in_its_place() {
    everything_is_reached(Some("/own"), "/own").await;
}

/// nginx itself, as the documentation sets it up.
#[tokio::test(flavor = "multi_thread")]
async fn nginx_serves_it_as_the_documentation_says() {
    let text = std::fs::read_to_string(repository("docs/web-configuration.md")).unwrap();
    let blocks: Vec<&str> = text.split("```nginx\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    for (block, prefix) in blocks.into_iter().zip([None, Some("/")]) {
        let (estate, host) = (Estate::start().await, own_host());
        let url = format!("http://{host}:8080/readiness");
        let behind = Behind::known_as(&estate, &url, prefix).await;
        until(&behind.app, "go", |judgement| judgement.decision == Decision::Go).await;
        let folder = estate.folder.path().display();
        let block = block.replace("127.0.0.1:9840", &behind.direct);
        assert!(block.contains(&behind.direct), "{block}");
        let configuration = format!(
            "daemon off; pid {folder}/nginx.pid; error_log stderr; events {{}}\nhttp {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\nserver {{ listen {host}:8080;\n{block}}}\n}}\n"
        );
        let file = estate.folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let _nginx = Process::start(Command::new("/usr/sbin/nginx").arg("-c").arg(&file).arg("-e").arg(estate.folder.path().join("error.log")));
        let limit = tokio::time::Instant::now() + PATIENCE;
        while CLIENT.get(format!("{url}/-/healthy")).send().await.is_err() {
            assert!(tokio::time::Instant::now() < limit, "nginx does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let seen = behind.walk().await;
        for name in ["", "wall", "page.js", "metrics", "report.xml"] {
            assert!(seen.contains(&format!("/readiness/{name}")), "{name} is not in {seen:#?}");
        }
    }
}

/// The flags, as the program takes them; a kubelet, which comes through no proxy, asks with the path or without it.
#[tokio::test(flavor = "multi_thread")]
async fn flags_say_where_it_is() {
    let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
    let file = folder.path().join("readiness.yaml");
    std::fs::write(&file, "collectors: { http: { targets: [{ name: a, url: 'http://127.0.0.1:1/' }] } }\n").unwrap();
    let mut command = exporter();
    command.args(["serve", "--web.external-url", "https://example.com/readiness/", "--web.probe-address", &format!("{host}:9841"), "--config.file"]).arg(&file);
    let running = Running::start(&command, &format!("{host}:9840"), &folder.path().join("log"));
    running.until("ready", "/readiness/-/ready", |text| text == "ready\n").await;
    for path in ["/-/healthy", "/readiness/-/healthy"] {
        let answer = running.client.get(format!("http://{host}:9841{path}")).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }
    let report = running.get("/readiness/report.md").await.unwrap();
    assert!(report.contains(" The page: <https://example.com/readiness/>.\n"), "{report}");

    // What is printed leaves the machine, too.
    let check =
        |output: &str| run(exporter().args(["check", "--output", output, "--web.external-url", "https://example.com/readiness", "--config.file"]).arg(&file)).1;
    assert!(check("text").contains("\nThe page: https://example.com/readiness/\n"));
    assert!(check("json").contains("\"runbook_url\": \"https://example.com/readiness/runbooks/EndpointUnhealthy\""));
    let made = folder.path().join("made");
    let (code, _, errors) = run(exporter()
        .args(["generate", "--from-config", "--web.external-url", "https://example.com/readiness", "--config.file"])
        .arg(&file)
        .arg("--out")
        .arg(&made));
    assert_eq!(code, 0, "{errors}");
    let rules = std::fs::read_to_string(made.join("alerts/workshop.rules.yaml")).unwrap();
    assert!(
        rules.contains("runbook_url: https://example.com/readiness/runbooks/NodeNotReady.md")
            && rules.contains("page_url: https://example.com/readiness/#NodeNotReady"),
        "{rules}"
    );
}

#[test]
fn a_place_that_is_none_ends_the_start_and_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    std::fs::write(&file, "{}").unwrap();
    for (flag, value, why) in [
        ("--web.external-url", "example.com/hunter2", "must be a URL with a scheme and a host, such as https://example.com/readiness"),
        ("--web.external-url", "https://u:hunter2@example.com", "must have no user and no password; --web.config.file asks for those"),
        ("--web.external-url", "https://example.com/?hunter2", "must have no query"),
        ("--web.external-url", "https://example.com/#hunter2", "must have no fragment"),
        ("--web.external-url", "https://example.com/../hunter2", "must have no . and no .. as a part of its path"),
        ("--web.external-url", "https://example.com/hunter2 b", "must have only letters, digits and - . _ ~ : @ + , = in its path"),
        ("--web.route-prefix", "https://hunter2", "must be a path, such as /readiness; --web.external-url has the whole address"),
    ] {
        for command in [&[][..], &["check"], &["generate", "--out", "/nowhere"]] {
            // Only a server has paths of its own.
            if flag == "--web.route-prefix" && !command.is_empty() {
                continue;
            }
            let (code, _, errors) =
                run(exporter().args(["--web.listen-address", "127.0.0.1:0"]).args([flag, value]).args(command).arg("--config.file").arg(&file));
            assert_eq!((code, errors), (2, format!("readiness-exporter: {flag} {why}\n")), "{command:?}");
        }
    }
}
