//! A pair of AWS in two keys of one Secret, tried at a stand-in for STS.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use readiness_lab::issuers::CANARY;
use readiness_lab::plain_server;

use crate::common::exporter;

const ID: &str = "AKIALABLABLABLABLAB1";

const KNOWN: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/llm</Arn><UserId>AIDALAB</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>";

fn refusal(code: &str) -> String {
    format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{CANARY}</Message></Error></ErrorResponse>")
}

/// Both halves are shown to STS, which alone can tell whether they belong together.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_in_two_keys_of_one_secret_is_tried() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let (folder, host) = (tempfile::tempdir().unwrap(), crate::slack::own_host());
    let data = Arc::new(Mutex::new(String::new()));
    let said = Arc::clone(&data);
    let secret = move |_: &str, _: &str, _: &hyper::HeaderMap| {
        let text = format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"aws","namespace":"n","creationTimestamp":"2026-01-01T00:00:00Z"}},"data":{{{}}}}}"#,
            said.lock().unwrap()
        );
        (200, vec![("content-type", "application/json".to_owned())], text.into_bytes())
    };
    let _api = plain_server(format!("{host}:6444").parse().unwrap(), Duration::ZERO, secret).await.unwrap();
    let sts = Arc::new(Mutex::new((200, KNOWN.to_owned())));
    let (told, asked) = (Arc::clone(&sts), Arc::new(Mutex::new(Vec::new())));
    let log = Arc::clone(&asked);
    // Signatures tell whose they are, and for which service.
    let answer = move |_: &str, _: &str, headers: &hyper::HeaderMap| {
        let signed = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let xml = vec![("content-type", "text/xml".to_owned())];
        if !signed.contains("/sts/aws4_request") {
            return (403, xml, refusal("AccessDenied").into_bytes());
        }
        log.lock().unwrap().push(signed);
        let (status, body) = told.lock().unwrap().clone();
        (status, xml, body.into_bytes())
    };
    let _aws = plain_server(format!("{host}:5008").parse().unwrap(), Duration::ZERO, answer).await.unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{host}:6444\" }} }}]\nusers: [{{ name: u, user: {{ token: t }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let file = folder.path().join("readiness.yaml");
    let look = async |keys: &str, pair: [&str; 2]| {
        let [id, half] = pair.map(|text| STANDARD.encode(text));
        *data.lock().unwrap() = format!(r#""id":"{id}","secret":"{half}""#);
        let configuration = format!(
            "clusters: [{{ name: c, kubeconfig: kubeconfig }}]\ncollectors: {{ credentials: {{ credentials: [{{ name: llm, kind: aws_access_key, aws: {{ region: us-east-2 }}, from: {{ secret: {{ cluster: c, namespace: n, name: aws, key: id{keys} }} }} }}] }} }}\n"
        );
        std::fs::write(&file, configuration).unwrap();
        asked.lock().unwrap().clear();
        let mut command = exporter();
        command.args(["check", "--output", "json", "--config.file"]).arg(&file);
        command.env("AWS_ENDPOINT_URL", format!("http://{host}:5008")).env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "none");
        let said = tokio::task::spawn_blocking(move || crate::common::run(&mut command).1).await.unwrap();
        assert!(!said.contains(CANARY) && !said.contains(ID), "{said}");
        let report: serde_json::Value = serde_json::from_str(&said).unwrap();
        let checks = report["judgements"][0]["sections"].as_array().unwrap().iter().flat_map(|section| section["checks"].as_array().unwrap());
        let states: std::collections::BTreeMap<String, String> =
            checks.map(|check| (check["name"].as_str().unwrap().to_owned(), check["state"].as_str().unwrap().to_owned())).collect();
        let own = asked.lock().unwrap().iter().filter(|signed| signed.contains(&format!("Credential={ID}/"))).count();
        (["CredentialMissing", "CredentialInvalid", "CredentialUnproven"].map(|name| states[name].clone()), own)
    };
    let both = ", secret_key: secret";
    let states = |states: [&str; 3], asked: usize| (states.map(str::to_owned), asked);
    let good = [ID, "lab-canary-secret-half"];
    assert_eq!(look(both, good).await, states(["pass", "pass", "pass"], 1));
    // The identifier alone is no secret, so that it proves nothing, and STS is not asked.
    let (alone, times) = look("", good).await;
    assert!(alone[2] != "pass" && times == 0, "{alone:?}, asked {times} times");
    assert_eq!(look(both, [ID, " "]).await.0[0], "fail", "a half is missing");
    *sts.lock().unwrap() = (403, refusal("SignatureDoesNotMatch"));
    assert_eq!(look(both, good).await, states(["pass", "fail", "unknown"], 1), "the halves belong to different keys");
    *sts.lock().unwrap() = (403, refusal("InvalidClientTokenId"));
    assert_eq!(look(both, good).await, states(["pass", "fail", "unknown"], 1), "the key was deleted");
    *sts.lock().unwrap() = (200, "<html>portal</html>".to_owned());
    assert_eq!(look(both, good).await, states(["pass", "unknown", "unknown"], 1), "whoever answers knows nobody");
}
