//! Secrets that somebody wrote into the configuration, where none belongs.

use std::path::Path;

use super::{Leaks, Planted};
use crate::common::{Running, exporter, run};
use crate::slack::own_host;

/// Addresses with a secret in them; not all can be parsed.
const ADDRESSES: [&str; 17] = [
    "https://user:W@host.test/",
    "https://W@host.test/",
    "https://user:W@host.test:99999/",
    "https://user:W@ho st.test/",
    "https://user:W@*.a.*.b/",
    "https://user:W@[::1/",
    "https://user:W@",
    "http://user:W@host.test/",
    "ftp://user:W@host.test/",
    "user:W@host.test",
    "//user:W@host.test/",
    "https://host.test/?token=W",
    "https://host.test/?sig=W",
    "https://host.test/?code=W",
    "https://host.test/?X-Amz-Signature=W",
    "https://host.test/?access_token=W#x",
    "https://host.test:99999/?sig=W",
];

/// Every field that takes an address; `A` stands for it.
const FIELDS: [(&str, &str); 11] = [
    ("http url", "collectors: { http: { targets: [{ name: a, url: A }] } }"),
    ("http proxy", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", proxy: A }] } }"),
    ("http resolver", "collectors: { http: { resolver: A, targets: [{ name: a, url: \"http://h.test\" }] } }"),
    ("tls address", "collectors: { tls: { targets: [{ name: a, address: A }] } }"),
    ("cluster server", "clusters: [{ name: a, server: A, token: { file: x } }]"),
    ("cluster proxy", "clusters: [{ name: a, in_cluster: true, proxy: A }]"),
    ("credential api", "collectors: { credentials: { credentials: [{ name: a, kind: gitlab, api: A, from: { file: x } }] } }"),
    (
        "entra login",
        "collectors: { credentials: { credentials: [{ name: a, kind: entra_app_secret, entra: { tenant: t, client_id: c, login: A }, from: { file: x } }] } }",
    ),
    ("google login", "collectors: { credentials: { credentials: [{ name: a, kind: gcp_service_account, google: { oauth: A, iam: A }, from: { file: x } }] } }"),
    ("registry host", "collectors: { registry: { registries: [{ host: A }] } }"),
    ("image", "collectors: { registry: { images: [A] } }"),
];

/// A secret where a reference to one belongs, and other places where nobody looks for one.
const MISPLACED: [(&str, &str); 27] = [
    ("token as text", "clusters: [{ name: a, server: \"https://h.test\", token: W }]"),
    ("token as a list", "clusters: [{ name: a, server: \"https://h.test\", token: [W] }]"),
    ("token as a key", "clusters: [{ name: a, server: \"https://h.test\", token: { W: 1 } }]"),
    ("token as another field", "clusters: [{ name: a, server: \"https://h.test\", token: { value: W } }]"),
    ("token beside a file", "clusters: [{ name: a, server: \"https://h.test\", token: { file: x, value: W } }]"),
    ("token in a file's place", "clusters: [{ name: a, server: \"https://h.test\", token: { file: [W] } }]"),
    ("token of a cluster with a kubeconfig", "clusters: [{ name: a, kubeconfig: x, token: W }]"),
    ("token in an unknown field", "clusters: [{ name: a, kubeconfig: x, tokn: W }]"),
    ("cluster as text", "clusters: W"),
    ("registry's password as text", "collectors: { registry: { registries: [{ host: h.test, username: u, password: W }] } }"),
    ("registry's token as text", "collectors: { registry: { registries: [{ host: h.test, token: W }] } }"),
    ("registry's token beside a file", "collectors: { registry: { registries: [{ host: h.test, token: { file: x, value: W } }] } }"),
    ("docker config as a map", "collectors: { registry: { registries: [{ host: h.test, docker_config: { auth: W } }] } }"),
    ("header's value", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: [{ name: Authorization, value: W }] }] } }"),
    ("header's value with a line break", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: [{ name: X-A, value: \"W\\n\" }] }] } }"),
    ("header's value as a map", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: [{ name: X-A, value: { W: 1 } }] }] } }"),
    ("header's reference as text", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: [{ name: X-A, value_from: W }] }] } }"),
    ("headers as a map", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: { Authorization: W } }] } }"),
    ("header as a text", "collectors: { http: { targets: [{ name: a, url: \"http://h.test\", headers: [\"Authorization: W\"] }] } }"),
    ("credential as text", "collectors: { credentials: { credentials: [{ name: a, kind: jwt, from: W }] } }"),
    ("credential as a value", "collectors: { credentials: { credentials: [{ name: a, kind: jwt, from: { value: W } }] } }"),
    ("keystore's password as text", "collectors: { credentials: { credentials: [{ name: a, kind: pkcs12, password: W, from: { file: x } }] } }"),
    (
        "Entra's secret",
        "collectors: { credentials: { credentials: [{ name: a, kind: entra_app_secret, entra: { tenant: t, client_id: c, client_secret: W }, from: { file: x } }] } }",
    ),
    ("AWS keys", "collectors: { secrets_manager: { secret_access_key: W, secrets: [{ name: a, region: r, id: i }] } }"),
    ("line that is not closed", "clusters:\n- name: a\n  token: W\n  server: [x"),
    ("key twice", "clusters:\n- { name: a, token: W, token: W }"),
    ("unknown escape", "clusters:\n- { name: a, token: \"W\\q\" }"),
];

/// A secret where the name of a file or of a variable belongs. Most are good configurations, whose
/// files are looked for.
const NAMES: [(&str, &str); 21] = [
    ("kubeconfig", "clusters: [{ name: a, kubeconfig: W }]"),
    ("kubeconfig's content", "clusters: [{ name: a, kubeconfig: \"token: W\" }]"),
    ("kubeconfig's lines", "clusters: [{ name: a, kubeconfig: \"users:\\n- W\" }]"),
    ("docker config", "collectors: { registry: { images: [h.test/a], registries: [{ host: h.test, docker_config: W }] } }"),
    (
        "docker config's content",
        "collectors: { registry: { images: [h.test/a], registries: [{ host: h.test, docker_config: '{\"auths\":{\"h\":{\"auth\":\"W\"}}}' }] } }",
    ),
    ("cluster's authority", "clusters: [{ name: a, server: \"https://127.0.0.1:1\", token: { file: token }, ca_file: W }]"),
    ("http's authority", "collectors: { http: { ca_file: W, targets: [{ name: a, url: \"http://127.0.0.1:1\" }] } }"),
    ("tls' authority", "collectors: { tls: { ca_file: W, targets: [{ name: a, address: \"127.0.0.1:1\" }] } }"),
    ("registry's authority", "collectors: { registry: { images: [h.test/a], registries: [{ host: h.test, ca_file: W }] } }"),
    ("PEM in one line", "collectors: { http: { ca_file: \"-----BEGIN CERTIFICATE-----W\", targets: [{ name: a, url: \"http://127.0.0.1:1\" }] } }"),
    ("PEM", "collectors: { http: { ca_file: \"-----BEGIN CERTIFICATE-----\\nW\\n\", targets: [{ name: a, url: \"http://127.0.0.1:1\" }] } }"),
    ("cluster's token", "clusters: [{ name: a, server: \"https://127.0.0.1:1\", token: { file: W } }]"),
    ("cluster's token behind a slash", "clusters: [{ name: a, server: \"https://127.0.0.1:1\", token: { file: /W } }]"),
    ("cluster's variable", "clusters: [{ name: a, server: \"https://127.0.0.1:1\", token: { env: W } }]"),
    ("registry's password", "collectors: { registry: { images: [h.test/a], registries: [{ host: h.test, username: u, password: { file: W } }] } }"),
    ("header", "collectors: { http: { targets: [{ name: a, url: \"http://127.0.0.1:1\", headers: [{ name: X-A, value_from: { file: W } }] }] } }"),
    ("header's variable", "collectors: { http: { targets: [{ name: a, url: \"http://127.0.0.1:1\", headers: [{ name: X-A, value_from: { env: W } }] }] } }"),
    ("credential", "collectors: { credentials: { credentials: [{ name: a, kind: jwt, from: { file: eyJhbGciOiJIUzI1NiJ9.W.c2ln } }] } }"),
    ("credential's variable", "collectors: { credentials: { credentials: [{ name: a, kind: jwt, from: { env: W } }] } }"),
    ("attestations", "attestations: { file: W }"),
    ("checklist", "checklists: [{ name: own, file: W }]"),
];

/// Variables of the environment that override the file.
const VARIABLES: [&str; 8] = [
    "READINESS__CLUSTERS",
    "READINESS__CLUSTERS__TOKEN",
    "READINESS__TOKEN",
    "READINESS__COLLECTORS__HTTP__TOKEN",
    "READINESS__COLLECTORS__HTTP__TARGETS",
    "READINESS__COLLECTORS__REGISTRY__REGISTRIES",
    "READINESS__COLLECTORS__CREDENTIALS__CREDENTIALS",
    "READINESS__COLLECTORS__HTTP__HEADERS",
];

/// Files of the server's own access with a secret where none belongs.
const WEB: [(&str, &str); 8] = [
    ("password in the clear", "basic_auth_users: { prometheus: W }"),
    ("users as a text", "basic_auth_users: W"),
    ("users as a list", "basic_auth_users: [{ prometheus: W }]"),
    ("password as a map", "basic_auth_users: { prometheus: { password: W } }"),
    ("unknown field", "basic_auth_password: W"),
    ("not closed", "basic_auth_users:\n  prometheus: W\n  other: [x"),
    ("key as text", "tls_server_config: { cert_file: x, key: W }"),
    ("header", "http_server_config: { headers: { X-Secret: W } }"),
];

/// Every configuration by name, with a word of its own in each.
fn all(planted: &mut Planted) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (field, text) in FIELDS {
        for address in ADDRESSES {
            all.push((format!("{field} {address}"), text.replace(" A", &format!(" \"{address}\"")).replace("[A", &format!("[\"{address}\""))));
        }
    }
    all.extend(MISPLACED.into_iter().chain(NAMES).map(|(name, text)| (name.to_owned(), text.to_owned())));
    all.into_iter()
        .map(|(name, text)| {
            let word = planted.word(&name);
            (name, text.replace('W', &word))
        })
        .collect()
}

/// What is said about a configuration: its problems, or the settings in force.
fn looked_at(planted: &Planted, file: &Path, environment: Option<(&str, &str)>, leaks: &mut Leaks) {
    let mut command = exporter();
    command.args(["config", "print", "--log.level", "trace", "--config.file"]).arg(file).envs(environment);
    let (code, said, errors) = run(&mut command);
    assert!(code == 0 || code == 2, "{code}: {errors}");
    leaks.look(planted, "config print: stdout", &said);
    leaks.look(planted, "config print: stderr", &errors);
}

/// What one look says about a configuration that names no such file or variable.
#[test]
fn a_secret_in_the_place_of_a_name_is_not_repeated() {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let file = folder.path().join("readiness.yaml");
    for (name, text) in NAMES {
        std::fs::write(&file, text.replace('W', &planted.word(name))).unwrap();
        for arguments in [["config", "check"].as_slice(), &["check", "--timeout", "2s"]] {
            let (_, said, errors) = run(exporter().args(arguments).args(["--log.level", "trace", "--config.file"]).arg(&file));
            leaks.look(&planted, &format!("{arguments:?}: stdout"), &said);
            leaks.look(&planted, &format!("{arguments:?}: stderr"), &errors);
        }
    }
    leaks.none();
}

#[test]
fn a_secret_in_the_configuration_is_not_repeated() {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let file = folder.path().join("readiness.yaml");
    for (_, text) in all(&mut planted) {
        std::fs::write(&file, text).unwrap();
        looked_at(&planted, &file, None, &mut leaks);
    }
    std::fs::write(&file, "collectors: { http: { targets: [{ name: a, url: \"http://h.test\" }] } }").unwrap();
    for variable in VARIABLES {
        let word = planted.word(variable);
        looked_at(&planted, &file, Some((variable, &word)), &mut leaks);
    }
    leaks.none();
}

#[test]
fn a_secret_in_the_web_configuration_is_not_repeated() {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let [settings, web] = ["readiness.yaml", "web.yaml"].map(|name| folder.path().join(name));
    std::fs::write(&settings, "{}").unwrap();
    for (name, text) in WEB {
        let word = planted.word(name);
        std::fs::write(&web, text.replace('W', &word)).unwrap();
        // A good file would be served with; what ends it is not its business here.
        let mut command = std::process::Command::new("timeout");
        command.args(["2", env!("CARGO_BIN_EXE_readiness-exporter"), "--log.level", "trace", "--web.listen-address", &format!("{}:9840", own_host())]);
        command.arg("--config.file").arg(&settings).arg("--web.config.file").arg(&web);
        let (_, said, errors) = run(&mut command);
        leaks.look(&planted, "stdout", &said);
        leaks.look(&planted, "stderr", &errors);
    }
    leaks.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_a_configuration_that_is_reloaded_is_not_repeated() {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let file = folder.path().join("readiness.yaml");
    std::fs::write(&file, "{}").unwrap();
    let mut command = exporter();
    command.args(["--log.level", "trace", "--config.file"]).arg(&file);
    let running = Running::start(&command, &format!("{}:9840", own_host()), &folder.path().join("log"));
    running.until("healthy", "/-/healthy", |text| text.contains("healthy")).await;
    // All of them at first, and then a link to each, as Kubernetes swaps them: what somebody may still write
    // to is waited for.
    let files: Vec<_> = all(&mut planted)
        .into_iter()
        .enumerate()
        .map(|(index, (_, text))| {
            let path = folder.path().join(format!("{index}.yaml"));
            std::fs::write(&path, text).unwrap();
            path
        })
        .collect();
    for own in files {
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(own, &file).unwrap();
        let answer = running.client.post(format!("{}/-/reload", running.url)).send().await.unwrap().text().await.unwrap();
        leaks.look(&planted, "answer of a reload", &answer);
        leaks.look(&planted, "page", &running.get("/").await.unwrap());
    }
    leaks.look(&planted, "log", &running.log());
    leaks.none();
}
