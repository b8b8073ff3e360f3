//! Who may use the exporter's own server: TLS, client certificates, passwords, limits, and a second
//! server for probes that needs none of them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use readiness_lab::{Authority, Leaf, Process};
use reqwest::{Client, ClientBuilder, StatusCode};

use crate::common::{PATIENCE, exporter, run};
use crate::slack::own_host;

/// The binary with a web configuration.
struct Served {
    folder: tempfile::TempDir,
    host: String,
    _process: Process,
    authority: Authority,
}

impl Served {
    async fn start(web: &str) -> Self {
        let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
        let authority = Authority::new("Root").unwrap();
        let (certificate, key) = authority.issue_pem(&Leaf::good(&[&host])).unwrap();
        for (name, content) in
            [("server.pem", certificate), ("server.key", key), ("ca.pem", authority.pem()), ("web.yaml", web.to_owned()), ("readiness.yaml", String::new())]
        {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        let mut command = exporter();
        command.arg("--config.file").arg(folder.path().join("readiness.yaml")).arg("--web.config.file").arg(folder.path().join("web.yaml"));
        command.args(["--web.listen-address", &format!("{host}:9840"), "--web.probe-address", &format!("{host}:9841")]);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let process = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let served = Self { folder, host, _process: process, authority };
        let probe = Client::builder().no_proxy().build().unwrap();
        for attempt in 0.. {
            if probe.get(served.probe("/-/healthy")).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
                break;
            }
            assert!(attempt < 300, "it does not listen");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        served
    }

    fn probe(&self, path: &str) -> String {
        format!("http://{}:9841{path}", self.host)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces the web configuration, with another time of change than before.
    fn rewrite(&self, web: &str) {
        std::fs::write(self.file("new.yaml"), web).unwrap();
        let later = std::time::SystemTime::now() + Duration::from_secs(u64::from(fastrand::u16(2..)));
        std::fs::File::options().write(true).open(self.file("new.yaml")).unwrap().set_modified(later).unwrap();
        std::fs::rename(self.file("new.yaml"), self.file("web.yaml")).unwrap();
    }

    /// How often the log says something.
    fn said(&self, words: &str) -> usize {
        std::fs::read_to_string(self.file("log")).unwrap().matches(words).count()
    }

    /// Writes the web configuration in place, as `cp` and `>` do, and waits until the log says why it
    /// is not taken.
    async fn write_badly(&self, web: &str, why: &str) {
        let before = self.said(why);
        std::fs::write(self.file("web.yaml"), web).unwrap();
        becomes(why, async || self.said(why) > before).await;
    }

    fn client(&self) -> ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([root]).timeout(Duration::from_secs(10))
    }

    /// An identity for a client, by an authority.
    fn identity(authority: &Authority, name: &str) -> reqwest::Identity {
        let (certificate, key) = authority.issue_pem(&Leaf::good(&[name])).unwrap();
        reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap()
    }
}

/// Waits for a change of the files to be in force.
async fn becomes(what: &str, condition: impl AsyncFn() -> bool) {
    let limit = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < limit, "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn users(name: &str, password: &str) -> String {
    format!("basic_auth_users: {{ {name}: \"{}\" }}\n", bcrypt::hash(password, 4).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_headers_and_a_change_without_a_restart() {
    let served = Served::start(&format!(
        "{}http_server_config: {{ http2: true, headers: {{ Strict-Transport-Security: max-age=60 }} }}\n",
        users("prometheus", "s3cret")
    ))
    .await;
    let client = served.client().build().unwrap();
    let url = format!("http://{}:9840/metrics", served.host);
    let ask = async |user: &str, password: &str| client.get(&url).basic_auth(user, Some(password)).send().await.unwrap();
    let refused = client.get(&url).send().await.unwrap();
    assert_eq!((refused.status(), refused.headers()["www-authenticate"].to_str().unwrap()), (StatusCode::UNAUTHORIZED, "Basic"));
    assert!(!refused.text().await.unwrap().contains("readiness_"));
    for (user, password) in [("prometheus", "wrong"), ("nobody", "s3cret"), ("", ""), ("prometheus", "")] {
        assert_eq!(ask(user, password).await.status(), StatusCode::UNAUTHORIZED, "{user}");
    }
    for _ in 0..2 {
        let answer = ask("prometheus", "s3cret").await;
        assert_eq!((answer.status(), answer.headers()["strict-transport-security"].to_str().unwrap()), (StatusCode::OK, "max-age=60"));
    }
    assert_eq!(
        client.post(format!("http://{}:9840/-/reload", served.host)).send().await.unwrap().status(),
        StatusCode::UNAUTHORIZED,
        "control is behind it as well"
    );
    for (path, status) in [("/-/healthy", 200), ("/-/ready", 200), ("/metrics", 404), ("/", 404), ("/report", 404)] {
        assert_eq!(client.get(served.probe(path)).send().await.unwrap().status().as_u16(), status, "{path}");
    }
    assert_eq!(client.post(served.probe("/-/reload")).send().await.unwrap().status().as_u16(), 404);
    served.rewrite(&users("grafana", "other"));
    becomes("another user", async || ask("grafana", "other").await.status() == StatusCode::OK).await;
    assert_eq!(ask("prometheus", "s3cret").await.status(), StatusCode::UNAUTHORIZED, "what was right is forgotten with the user");
    assert_eq!(ask("grafana", "other").await.status(), StatusCode::OK);
    // A file that became wrong opens no door.
    served.rewrite("basic_auth_users: {}\nnonsense: true\n");
    becomes("the file is wrong", async || served.said("a key is not known") == 1).await;
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ask("grafana", "other").await.status(), StatusCode::OK);
    served.rewrite("basic_auth_users: {}\n");
    becomes("no users", async || client.get(&url).send().await.unwrap().status() == StatusCode::OK).await;
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK, "without users there are no passwords");
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_versions_and_certificates_of_clients() {
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let served = Served::start(tls).await;
    let url = format!("https://{}:9840/metrics", served.host);
    let ok = async |builder: ClientBuilder| builder.build().unwrap().get(&url).send().await.is_ok_and(|answer| answer.status() == StatusCode::OK);
    assert!(ok(served.client()).await);
    assert!(Client::builder().no_proxy().build().unwrap().get(&url).send().await.is_err(), "an authority that the client does not know");
    let plain = served.client().build().unwrap().get(url.replace("https", "http")).send().await;
    assert!(!plain.is_ok_and(|answer| answer.status() == StatusCode::OK), "nothing is served without encryption");
    let old = || served.client().tls_version_max(reqwest::tls::Version::TLS_1_2);
    assert!(ok(old()).await);
    served.rewrite(&format!("{tls}  min_version: TLS13\n"));
    becomes("a minimum", async || !ok(old()).await).await;
    assert!(!ok(old()).await && ok(served.client()).await);
    // What is not spoken of stays: a file may be cut off before it.
    served.rewrite(tls);
    becomes("the minimum is missed", async || served.said("tls_server_config.min_version is in force") == 1).await;
    assert!(!ok(old()).await);
    served.rewrite(&format!("{tls}  min_version: TLS12\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"));
    let stranger = Authority::new("Other").unwrap();
    becomes("certificates of clients", async || !ok(served.client()).await).await;
    assert!(!ok(served.client()).await, "no certificate");
    assert!(!ok(served.client().identity(Served::identity(&stranger, "prometheus"))).await, "of another authority");
    assert!(ok(served.client().identity(Served::identity(&served.authority, "prometheus"))).await);
    served.rewrite(&format!("{tls}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [prometheus]\n"));
    becomes("names of clients", async || !ok(served.client().identity(Served::identity(&served.authority, "grafana"))).await).await;
    assert!(ok(served.client().identity(Served::identity(&served.authority, "prometheus"))).await);
    assert!(!ok(served.client().identity(Served::identity(&served.authority, "grafana"))).await, "another name");
    served.rewrite(&format!("{tls}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"));
    becomes("a certificate may be missing", async || ok(served.client()).await).await;
    assert!(ok(served.client()).await && !ok(served.client().identity(Served::identity(&stranger, "prometheus"))).await);
    // A renewed certificate is served without a restart.
    served.rewrite(tls);
    let (certificate, key) = stranger.issue_pem(&Leaf::good(&[&served.host])).unwrap();
    std::fs::write(served.file("server.pem"), certificate).unwrap();
    std::fs::write(served.file("server.key"), key).unwrap();
    let root = reqwest::Certificate::from_pem(stranger.pem().as_bytes()).unwrap();
    let renewed = || Client::builder().no_proxy().pool_max_idle_per_host(0).tls_certs_only([root.clone()]);
    let changed = tokio::time::Instant::now();
    becomes("a renewed certificate", async || ok(renewed()).await).await;
    assert!(changed.elapsed() < Duration::from_secs(15), "it took {:?}", changed.elapsed());
    assert!(ok(renewed()).await);
}

/// Whatever a writer leaves in the file on its way, the door stays as closed as it was.
#[tokio::test(flavor = "multi_thread")]
async fn no_way_of_writing_the_file_opens_the_door() {
    let tls = "tls_server_config: { cert_file: server.pem, key_file: server.key }\n";
    let full = format!("{tls}{}", users("ada", "s3cret"));
    let served = Served::start(&full).await;
    let (client, url) = (served.client().build().unwrap(), format!("https://{}:9840/report.json", served.host));
    let stays_closed = async |what: &str| {
        let plain = client.get(url.replace("https", "http")).send().await;
        assert!(plain.is_err(), "{what}: without encryption");
        assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::UNAUTHORIZED, "{what}: without a password");
        assert_eq!(client.get(&url).basic_auth("ada", Some("s3cret")).send().await.unwrap().status(), StatusCode::OK, "{what}");
    };
    stays_closed("whole").await;
    for (what, text, why) in [
        ("truncated", "", "it holds nothing"),
        ("half written", tls, "basic_auth_users is in force"),
        ("a comment", "# soon\n", "it holds nothing"),
        ("null", "null\n", "it holds nothing"),
        ("nothing said", "{}\n", "basic_auth_users is in force"),
    ] {
        served.write_badly(text, why).await;
        stays_closed(what).await;
    }
    std::fs::remove_file(served.file("web.yaml")).unwrap();
    let gone = async || served.said("web.yaml: ") > 5;
    becomes("it is gone", gone).await;
    stays_closed("deleted").await;
    // A pipe that nobody writes to would hold whoever opens it for ever.
    let (code, _, errors) = run(std::process::Command::new("mkfifo").arg(served.file("web.yaml")));
    assert_eq!(code, 0, "{errors}");
    becomes("it is a pipe", async || served.said("it is no regular file") == 1).await;
    stays_closed("a pipe").await;
    served.rewrite(&format!("{tls}{}", users("eve", "other")));
    becomes("another user", async || client.get(&url).basic_auth("eve", Some("other")).send().await.unwrap().status() == StatusCode::OK).await;
    assert_eq!(client.get(&url).basic_auth("ada", Some("s3cret")).send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_at_the_start_is_one_without_rules_until_it_has_some() {
    let served = Served::start("").await;
    let (client, url) = (served.client().build().unwrap(), format!("http://{}:9840/metrics", served.host));
    assert_eq!(client.get(&url).send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(served.said("everybody may use this server"), 1);
    served.rewrite(&users("ada", "s3cret"));
    becomes("a password", async || client.get(&url).send().await.unwrap().status() == StatusCode::UNAUTHORIZED).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_the_limit_are_turned_away() {
    let served = Served::start("rate_limit: { interval: 1h, burst: 3 }\n").await;
    let client = served.client().build().unwrap();
    let mut seen = Vec::new();
    for _ in 0..5 {
        seen.push(client.get(format!("http://{}:9840/-/healthy", served.host)).send().await.unwrap().status().as_u16());
    }
    assert_eq!(seen, [200, 200, 200, 429, 429]);
    assert_eq!(client.get(served.probe("/-/healthy")).send().await.unwrap().status(), StatusCode::OK, "the kubelet is not counted");
}

#[test]
fn a_wrong_file_stops_the_start_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (web, config) = (folder.path().join("web.yaml"), folder.path().join("readiness.yaml"));
    std::fs::write(&config, "").unwrap();
    for (text, words) in [
        ("tls_server_config: { cert_file: no.pem, key_file: no.key }", "no.pem"),
        ("basic_auth_users: { a: hunter2 }", "basic_auth_users: user 1 in the order of names must have a bcrypt hash"),
        ("http_server_config: { headers: { Server: x } }", "http_server_config.headers.***: must be one of"),
        ("basic_auth_user: {}", "basic_auth_user: a key is not known; did you mean basic_auth_users?; known are"),
        ("rate_limit: { interval: 1s, burst: 0 }", "rate_limit: must have an interval and a burst above 0"),
        ("tls_server_config: { cert_file: a, key_file: b, client_auth_type: RequestClientCert }", "known are NoClientCert"),
        ("hunter: 1", "a key is not known; known are"),
    ] {
        std::fs::write(&web, text).unwrap();
        let (code, _, errors) =
            run(exporter().arg("--config.file").arg(&config).arg("--web.config.file").arg(&web).args(["--web.listen-address", "127.0.0.1:0"]));
        assert_eq!(code, 2, "{text}: {errors}");
        assert!(errors.contains(words) && !errors.contains("hunter2"), "{text}: {errors}");
    }
}
