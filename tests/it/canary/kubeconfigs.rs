//! Kubeconfigs that are broken in every form, and plugins that misbehave in every way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Leaks, Planted, commands, serves};
use crate::common::{exporter, run};
use crate::slack::own_host;

/// A kubeconfig whose user is what follows, with a server at which nobody listens.
fn with_user(user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- {{ name: c, cluster: {{ server: \"https://127.0.0.1:9\" }} }}\ncontexts:\n- {{ name: c, context: {{ cluster: c, user: u }} }}\nusers:\n- name: u\n  user:\n{user}"
    )
}

/// The same with a cluster of one's own.
fn with_cluster(cluster: &str, user: &str) -> String {
    with_user(user).replace("{ server: \"https://127.0.0.1:9\" }", cluster)
}

/// Kubeconfigs by name; `W` stands for the secret.
fn broken() -> Vec<(&'static str, Vec<u8>)> {
    let encoded = "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t";
    let text = |name: &'static str, text: String| (name, text.into_bytes());
    let user = |name: &'static str, user: &str| (name, with_user(user).into_bytes());
    vec![
        user("broken after the token", "    token: W\n    foo: [unclosed\n"),
        user("broken before the token", "    foo: ]\n    token: W\n"),
        user("token twice", "    token: W\n    token: W\n"),
        user("token is a map", "    token: { W: 1 }\n"),
        user("token is a map of it", "    token: { value: W }\n"),
        user("token is a list", "    token: [W]\n"),
        user("token is tagged as a number", "    token: !!int W\n"),
        user("token of another encoding", "    token: !!binary W\n"),
        user("token with an unknown escape", "    token: \"W\\q\"\n"),
        user("token is an unknown alias", "    token: *W\n"),
        user("token is an anchor and its alias", "    token: &a W\n    password: *b\n"),
        user("token is merged", "    <<: W\n"),
        user("token without a colon", "    token W\n    username: u\n"),
        user("token behind a tab", "\ttoken: W\n"),
        user("token in an unknown tag", "    token: !W x\n"),
        user("token with a line break", "    token: \"W\\nW\"\n"),
        user("token with a control character", "    token: \"W\\x01\"\n"),
        user("token in two lines", "    token: |\n     W\n   W\n"),
        user("password is a list", "    username: u\n    password: [W]\n"),
        user("password without a user", "    password: W\n"),
        user("user is a text", "    W\n"),
        user("exec is a text", "    exec: W\n"),
        user("exec arguments are a text", "    exec: { apiVersion: client.authentication.k8s.io/v1, command: x, args: W }\n"),
        user("exec environment is a text", "    exec: { apiVersion: client.authentication.k8s.io/v1, command: x, env: [W] }\n"),
        user("mode of exec", "    exec: { apiVersion: client.authentication.k8s.io/v1, command: x, interactiveMode: W }\n"),
        user("provider", "    auth-provider: { name: gcp, config: { access-token: W, expiry: W, cmd-path: /W, cmd-args: W } }\n"),
        user(
            "provider of oidc",
            "    auth-provider: { name: oidc, config: { id-token: W, refresh-token: W, client-secret: W, idp-issuer-url: \"https://127.0.0.1:9/W\" } }\n",
        ),
        user("unknown provider", "    auth-provider: { name: W, config: { token: W } }\n"),
        user("key is no Base64", "    client-certificate-data: W\n    client-key-data: W\n"),
        user("key is no PEM", "    client-certificate-data: enE=\n    client-key-data: enE=\n    token: W\n"),
        text("cut inside of the key", with_user(&format!("    client-certificate-data: {encoded}\n    client-key-data: \"{encoded}W"))),
        text("cut inside of a list", with_user("    token: W\n    as-groups: [a, b")),
        text("address with a password", with_cluster("{ server: \"https://u:W@127.0.0.1:9\" }", "    token: t\n")),
        text("address that is none", with_cluster("{ server: \"https://u:W@ho st:99999/\" }", "    token: t\n")),
        text("address without a scheme", with_cluster("{ server: \"u:W@127.0.0.1:9\" }", "    token: t\n")),
        text("address with a query", with_cluster("{ server: \"https://127.0.0.1:9/?token=W\" }", "    token: t\n")),
        text("proxy with a password", with_cluster("{ server: \"https://127.0.0.1:9\", proxy-url: \"http://u:W@127.0.0.1:9\" }", "    token: t\n")),
        text("proxy that is none", with_cluster("{ server: \"https://127.0.0.1:9\", proxy-url: \"http://u:W@:99999\" }", "    token: t\n")),
        text("proxy of another kind", with_cluster("{ server: \"https://127.0.0.1:9\", proxy-url: \"socks4://u:W@127.0.0.1:9\" }", "    token: t\n")),
        text("authority is no Base64", with_cluster("{ server: \"https://127.0.0.1:9\", certificate-authority-data: W }", "    token: t\n")),
        text("cluster is a text", with_cluster("W", "    token: t\n")),
        text("it is JSON and broken", "{\"apiVersion\":\"v1\",\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"W\"}},]]".to_owned()),
        text("it is a text", "W".to_owned()),
        text("it is a list", "- W\n- token: W\n".to_owned()),
        text("two documents", format!("{}---\ntoken: W: W\n", with_user("    token: W\n"))),
        text("nothing closes", format!("{}[", with_user("    token: {\"W\n"))),
        ("not in UTF-8", [with_user("    token: W").as_bytes(), &[0xff, 0xfe, b'\n']].concat()),
        ("binary", [&[0, 1, 2, 0x80][..], b"W", &[0, 0xff, 0x1b], b"[31mW"].concat()),
    ]
}

/// What a plugin is and does; `W` stands for the secret in all of it.
fn plugins() -> Vec<(&'static str, &'static str)> {
    let credential = r#"{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","#;
    let mut all = vec![
        ("prints its token and fails", "echo '{\"status\":{\"token\":\"W\"}}'; echo 'bad password W' >&2; exit 1"),
        ("complains and fails", "echo 'bad password W' >&2; exit 3"),
        ("complains and says nothing", "echo 'bad password W' >&2"),
        ("is killed after its token", "echo W; echo W >&2; kill -9 $$"),
        ("prints a token alone", "echo W"),
        ("prints broken YAML", "echo 'W: [x'"),
        ("prints a string", "echo '\"W\"'"),
        ("prints a list", "echo '[\"W\"]'"),
        ("prints its token cut off", "printf '%s' '{\"status\":{\"token\":\"W'"),
        ("prints bytes", "printf 'W\\377\\376W'"),
        ("hangs after its token", "echo '{\"status\":{\"token\":\"W\"}}'; echo W >&2; exec sleep 40"),
        ("tells its environment", "env; env >&2; exit 1"),
        ("tells its arguments", "echo \"$@\"; echo \"$@\" >&2; exit 1"),
    ];
    for (name, rest) in [
        ("token in a wrong place", r#""token":"W"}"#),
        ("status is a string", r#""status":"W"}"#),
        ("token is a map", r#""status":{"token":{"W":1}}}"#),
        ("token is a list", r#""status":{"token":["W"]}}"#),
        ("end is no time", r#""status":{"token":"W","expirationTimestamp":"W"}}"#),
        ("end is a number", r#""status":{"token":"W","expirationTimestamp":7}}"#),
        ("token that is none", r#""status":{"token":"W\u0001\nW"}}"#),
        ("key that is none", r#""status":{"clientCertificateData":"W","clientKeyData":"W"}}"#),
        ("key without a certificate", r#""status":{"clientKeyData":"W"}}"#),
        ("spec is a string", r#""spec":"W","status":{"token":"W"}}"#),
    ] {
        // The scripts live as long as the tests do.
        all.push((name, Box::leak(format!("echo '{credential}{}'", rest.replace('\\', "\\\\")).into_boxed_str())));
    }
    all
}

/// Writes all of it to a folder: the configuration's clusters.
fn write(folder: &Path, planted: &mut Planted) -> Vec<String> {
    let mut clusters = Vec::new();
    for (index, (name, content)) in broken().into_iter().enumerate() {
        let word = planted.word(&format!("kubeconfig, {name}"));
        // Lossless for what is no text, too.
        let content: Vec<u8> = content.split(|byte| *byte == b'W').collect::<Vec<_>>().join(word.as_bytes());
        std::fs::write(folder.join(format!("kubeconfig-{index}")), content).unwrap();
        clusters.push(format!("kubeconfig-{index}"));
    }
    for (index, (name, script)) in plugins().into_iter().enumerate() {
        let words = ["output", "arguments", "environment", "PATH"].map(|part| planted.word(&format!("plugin that {name}, {part}")));
        let path = folder.join(format!("plugin-{index}"));
        std::fs::write(&path, format!("#!/bin/sh\n{}\n", script.replace('W', &words[0]))).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let user = format!(
            "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {}\n      args: [--password, {}, \"--token={}\"]\n      env: [{{ name: VAULT_TOKEN, value: {} }}, {{ name: PATH, value: \"/{}:/usr/bin:/bin\" }}]\n      interactiveMode: Never\n      installHint: none\n",
            path.display(),
            words[1],
            words[1],
            words[2],
            words[3]
        );
        std::fs::write(folder.join(format!("exec-{index}")), with_user(&user)).unwrap();
        clusters.push(format!("exec-{index}"));
    }
    // Programs that cannot be started at all.
    for (index, command) in ["/nowhere/W/plugin", "plugin --password=W", "/", ""].into_iter().enumerate() {
        let word = planted.word(&format!("plugin that is {command:?}"));
        let user = format!(
            "    exec: {{ apiVersion: client.authentication.k8s.io/v1, command: \"{}\", args: [{word}], env: [{{ name: A, value: {word} }}], interactiveMode: Never }}\n",
            command.replace('W', &word)
        );
        std::fs::write(folder.join(format!("missing-{index}")), with_user(&user)).unwrap();
        clusters.push(format!("missing-{index}"));
    }
    clusters
}

/// A configuration with a cluster for each of the files.
fn configuration(files: &[String]) -> String {
    let clusters: String = files.iter().map(|file| format!("  - {{ name: {file}, kubeconfig: {file} }}\n")).collect();
    format!(
        "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\nstate_file: state.json\narchive: archive\nclusters:\n{clusters}collectors:\n  kubernetes: {{ interval: 3s, timeout: 2s }}\n"
    )
}

async fn nothing_leaves_at(level: &str) {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let files = write(folder.path(), &mut planted);
    std::fs::create_dir(folder.path().join("archive")).unwrap();
    std::fs::write(folder.path().join("readiness.yaml"), configuration(&files)).unwrap();
    serves(&planted, folder.path(), &format!("{}:9840", own_host()), level, &[], &mut leaks).await;
    leaks.none();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_broken_kubeconfig_leaves_by_default() {
    nothing_leaves_at("info").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_broken_kubeconfig_leaves_at_debug() {
    nothing_leaves_at("debug").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_broken_kubeconfig_leaves_at_trace() {
    nothing_leaves_at("trace").await;
}

#[test]
fn nothing_of_a_broken_kubeconfig_leaves_with_a_command() {
    let (folder, mut planted, mut leaks) = (tempfile::tempdir().unwrap(), Planted::default(), Leaks::default());
    let files = write(folder.path(), &mut planted);
    std::fs::write(folder.path().join("readiness.yaml"), configuration(&files)).unwrap();
    commands(&planted, folder.path(), &[], &mut leaks);
    for file in files {
        let (_, said, errors) = run(exporter().args(["config", "init", "--log.level", "trace", "--kubeconfig"]).arg(folder.path().join(&file)));
        leaks.look(&planted, "config init: stdout", &said);
        leaks.look(&planted, "config init: stderr", &errors);
    }
    leaks.none();
}
