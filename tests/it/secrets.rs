//! Credentials: nothing of them leaves, whatever breaks, and the three stories of keys that ended
//! in the middle of a workshop.

use std::process::{Command, Stdio};
use std::time::Duration;

use readiness_exporter::checklist::{CheckState, Decision, Judgement};
use readiness_lab::Process;
use readiness_lab::issuers::{CANARY, secrets};

use crate::common::{Estate, exporter, names, until};
use crate::faults::group;

/// Every secret of the lab holds a canary. It must be nowhere: not in what is scraped, shown or
/// reported, and not in a log at its most talkative.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_whatever_breaks() {
    let estate = Estate::start().await;
    let secrets = secrets();
    assert!(secrets.len() == 6 && secrets.iter().all(|secret| secret.len() > 9), "{secrets:?}");
    let leaks = |text: &str| secrets.iter().any(|secret| text.contains(secret.as_str()));
    let log = estate.folder.path().join("log");
    let address = format!("{}:9840", estate.lab.host());
    let mut command: Command = exporter();
    command.args(["--log.level", "trace", "--web.listen-address", &address, "--config.file"]).arg(estate.file());
    let _running = Process(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ready = async || client.get(format!("http://{address}/-/ready")).send().await.is_ok_and(|answer| answer.status() == 200);
    let limit = tokio::time::Instant::now() + crate::common::PATIENCE;
    while !ready().await {
        assert!(tokio::time::Instant::now() < limit, "it is never ready");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let looks = async || {
        let text = client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("readiness_collector_last_success_timestamp_seconds{collector=\"credentials\",source=\"bedrock\"}"))
            .unwrap()
            .to_owned();
        (text, line)
    };
    for fault in ["credentials", "secrets", "registries"].iter().flat_map(|name| group(name).faults) {
        estate.lab.estate().set(fault.name, true);
        // Two more looks of a source that never fails: all others had their chance as well.
        for _ in 0..2 {
            let (_, before) = looks().await;
            while looks().await.1 == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        for path in ["metrics", "", "report.md", "report.json", "report.html", "report.txt", "report.xml"] {
            let said = client.get(format!("http://{address}/{path}")).send().await.unwrap().text().await.unwrap();
            assert!(!leaks(&said), "{}: /{path} holds a secret", fault.name);
        }
        estate.lab.estate().set(fault.name, false);
    }
    let state = std::fs::read_to_string(estate.lab.dir().join("state.json")).unwrap();
    assert!(state.contains("rotate-key") && !leaks(&state), "{state}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("listening address"), "it is the log of the program: {log}");
    let leak = log.lines().find(|line| leaks(line));
    assert_eq!(leak, None);
}

/// An estate whose event starts in two days, with one more credential and one more rotation.
async fn two_days_before() -> (Estate, jiff::Timestamp) {
    let mut estate = Estate::start().await;
    let start = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(48)).unwrap().round(jiff::Unit::Second).unwrap();
    let (before, rest) = estate.configuration.split_once("events:\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let civil = start.strftime("%Y-%m-%dT%H:%M:%S");
    estate.configuration = format!("{before}events:\n  - {{ name: w, time_zone: UTC, start: {civil}, duration: 3h, participants: 12 }}\n\n{after}");
    estate.without_maintenance_at(start);
    (estate, start)
}

fn red(judgement: &Judgement) -> Vec<String> {
    names(judgement, &[CheckState::Fail])
}

/// A credential that is a date in a file, which the story writes.
fn with_key(estate: &mut Estate, ends: jiff::Timestamp) -> std::path::PathBuf {
    let file = estate.folder.path().join("key-end");
    std::fs::write(&file, ends.to_string()).unwrap();
    let own = format!("    credentials:\n      - {{ name: workshop-key, kind: date, from: {{ file: \"{}\" }} }}\n", file.display());
    assert!(estate.configuration.contains("    credentials:\n"));
    estate.configuration = estate.configuration.replacen("    credentials:\n", &own, 1);
    file
}

fn after(at: jiff::Timestamp, hours: i64) -> jiff::Timestamp {
    at.checked_add(jiff::SignedDuration::from_hours(hours)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_ends_during_the_event_is_no_go_two_days_before() {
    let (mut estate, start) = two_days_before().await;
    let file = with_key(&mut estate, after(start, 1));
    let app = estate.exporter();
    let judgement = until(&app, "the key is found", |judgement| red(judgement).contains(&"CredentialExpiresBeforeEventEnd".to_owned())).await;
    assert_eq!(judgement.decision, Decision::NoGo);
    let check = judgement.checks().find(|check| check.name == "CredentialExpiresBeforeEventEnd").unwrap();
    assert!(check.lines[0].evidence.starts_with("Credential workshop-key (date) expires 2h"), "{}", check.lines[0].evidence);
    std::fs::write(&file, after(start, 24 * 30).to_string()).unwrap();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_inside_the_event_is_no_go_two_days_before() {
    let (mut estate, start) = two_days_before().await;
    let [at, away] = [1, -6].map(|hours| after(start, hours).strftime("%-M %-H * * *").to_string());
    estate.configuration = estate.configuration.replacen(&format!("schedule: \"{away}\""), &format!("schedule: \"{at}\""), 1);
    let app = estate.exporter();
    let judgement = until(&app, "the rotation is found", |judgement| red(judgement) == ["RotationHitsEvent"]).await;
    assert_eq!(judgement.decision, Decision::NoGo);
    let check = judgement.checks().find(|check| check.name == "RotationHitsEvent").unwrap();
    assert!(
        check.lines[0].evidence.contains("database-maintenance") && check.lines[0].evidence.contains("it rotates at some moment between "),
        "{}",
        check.lines[0].evidence
    );
    app.shutdown(Duration::from_secs(1)).await;
    estate.configuration = estate.configuration.replacen(&format!("schedule: \"{at}\""), &format!("schedule: \"{away}\""), 1);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(Duration::from_secs(1)).await;
}

/// The trap: suspending the rotation keeps it out of the event, and the key of eight hours lapses.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_suspended_lets_a_short_key_lapse_and_that_is_no_go() {
    let (mut estate, start) = two_days_before().await;
    let file = with_key(&mut estate, after(jiff::Timestamp::now(), 24 * 30));
    let own = "cron_jobs: key-rotation, credential: ";
    assert!(estate.configuration.contains(own));
    estate.configuration = estate.configuration.replacen(&format!("{own}llm-key"), &format!("{own}workshop-key"), 1);
    // The rotation renews another key than that of the lab, which must then last by itself.
    estate.lab.estate().set("credential-llm-key-lasts", true);
    estate.lab.estate().set("rotation-not-suspended", true);
    let app = estate.exporter();
    until(&app, "it rotates every minute", |judgement| red(judgement) == ["RotationHitsEvent"]).await;
    // Suspended, as the advice goes, and with the event at hand that is no oversight.
    estate.lab.estate().set("rotation-forgotten", true);
    until(&app, "nothing rotates", |judgement| judgement.decision == Decision::Go).await;
    std::fs::write(&file, after(jiff::Timestamp::now(), 8).to_string()).unwrap();
    let both = ["CredentialExpiresBeforeEventEnd", "RotationSuspendedKeyLapses"];
    let judgement = until(&app, "the key lapses", |judgement| both.iter().all(|name| red(judgement).contains(&(*name).to_owned()))).await;
    assert_eq!(judgement.decision, Decision::NoGo);
    let evidence = |judgement: &Judgement| {
        let check = judgement.checks().find(|check| check.name == "RotationSuspendedKeyLapses").unwrap();
        check.lines.iter().map(|line| line.evidence.to_string()).collect::<String>()
    };
    let said = evidence(&judgement);
    assert!(said.starts_with("What llm-keys us-east-2/coder-ws/rotate-key renews expires 1d 1"), "{said}");
    std::fs::write(&file, after(start, 24 * 30).to_string()).unwrap();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    // Let it run again, and nothing is left to lapse.
    std::fs::write(&file, "no date").unwrap();
    until(&app, "when the key expires is not known", |judgement| names(judgement, &[CheckState::Unknown]).contains(&both[1].to_owned())).await;
    estate.lab.estate().set("rotation-forgotten", false);
    until(&app, "it is renewed", |judgement| !names(judgement, &[CheckState::Unknown]).contains(&both[1].to_owned())).await;
    app.shutdown(Duration::from_secs(1)).await;
    // A key that nobody looks at, but of which it is known how long it lives.
    std::fs::write(&file, after(start, 24 * 30).to_string()).unwrap();
    estate.lab.estate().set("rotation-not-suspended", false);
    estate.lab.estate().set("rotation-forgotten", true);
    estate.configuration = estate.configuration.replacen(&format!("{own}workshop-key"), "cron_jobs: key-rotation, lifetime: 8h", 1);
    let app = estate.exporter();
    let judgement = until(&app, "the key lapses", |judgement| red(judgement) == both[1..]).await;
    assert!(evidence(&judgement).contains("Seen: it expires at "), "{}", evidence(&judgement));
    // One that runs every night lets it lapse every day.
    estate.lab.estate().set("rotation-forgotten", false);
    let pauses = |judgement: &Judgement| red(judgement).contains(&both[1].to_owned()) && evidence(judgement).contains("Seen: it runs at ");
    until(&app, "it pauses", pauses).await;
    estate.lab.estate().set("rotation-forgotten", true);
    app.shutdown(Duration::from_secs(1)).await;
    estate.configuration = estate.configuration.replacen("lifetime: 8h", "lifetime: 60d", 1);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(Duration::from_secs(1)).await;
}

/// Files of credentials that everybody can read, and a state file that was edited.
#[tokio::test(flavor = "multi_thread")]
async fn files_with_wide_permissions_and_a_state_file_that_cannot_be_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let estate = Estate::start().await;
    let token = estate.lab.dir().join("gitlab.token");
    let state = estate.lab.dir().join("state.json");
    let mode = |mode: u32| std::fs::set_permissions(&token, std::fs::Permissions::from_mode(mode)).unwrap();
    let warned = |judgement: &Judgement| names(judgement, &[CheckState::Fail, CheckState::Warn]);
    let app = estate.exporter();
    until(&app, "go, and nothing to warn of", |judgement| judgement.decision == Decision::Go && warned(judgement).is_empty()).await;
    mode(0o644);
    until(&app, "the file is exposed", |judgement| warned(judgement) == ["CredentialFileExposed"]).await;
    mode(0o600);
    until(&app, "the file is private", |judgement| warned(judgement).is_empty()).await;
    app.shutdown(Duration::from_secs(1)).await;
    let text = std::fs::read_to_string(&state).unwrap();
    std::fs::write(&state, text.replace("rotate-key", "rotate-kex")).unwrap();
    let app = estate.exporter();
    let edited = |judgement: &Judgement| judgement.decision == Decision::Go && warned(judgement) == ["StateFileUnusable"];
    until(&app, "the state file was edited, which blocks nobody", edited).await;
    app.shutdown(Duration::from_secs(1)).await;
    let app = estate.exporter();
    until(&app, "it was begun anew", |judgement| judgement.decision == Decision::Go && warned(judgement).is_empty()).await;
    app.shutdown(Duration::from_secs(1)).await;
}

/// A key of Bedrock is a credential of an IAM user, which the Query protocol tells about.
#[tokio::test(flavor = "multi_thread")]
async fn keys_of_bedrock_are_asked_for_at_iam() {
    use base64::Engine as _;
    let (folder, host) = (tempfile::tempdir().unwrap(), crate::slack::own_host());
    let answer = std::sync::Arc::new(std::sync::Mutex::new((200, String::new())));
    let said = std::sync::Arc::clone(&answer);
    let _iam = readiness_lab::plain_server(format!("{host}:5008").parse().unwrap(), Duration::ZERO, move |method, path, headers| {
        if path == "/foundation-models" {
            let models = br#"{"modelSummaries":[{"modelArn":"arn:aws:bedrock:eu-west-2::foundation-model/a.b","modelId":"a.b"}]}"#;
            return (200, Vec::new(), models.to_vec());
        }
        let signed = headers.get("authorization").is_some_and(|value| value.to_str().unwrap().contains("/us-east-1/iam/aws4_request"));
        let (status, body) = said.lock().unwrap().clone();
        if method == "POST" && signed { (status, Vec::new(), body.into_bytes()) } else { (403, Vec::new(), b"<html>not signed</html>".to_vec()) }
    })
    .await
    .unwrap();
    let file = folder.path().join("bedrock.key");
    let key = base64::engine::general_purpose::STANDARD.encode("BedrockAPIKey-ab12-at-123456789012:lab-canary");
    std::fs::write(&file, format!("ABSK{key}\n")).unwrap();
    let configuration = folder.path().join("readiness.yaml");
    std::fs::write(
        &configuration,
        "checklists: [{ name: workshop, overrides: { CredentialExpiresBeforeEventEnd: { lead_time_within: 3000d } } }]\nevents: [{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }]\ncollectors: { credentials: { credentials: [{ name: models, kind: bedrock_api_key, aws: { region: eu-west-2 }, from: { file: bedrock.key } }] } }\n",
    )
    .unwrap();
    let listed = |user: &str, status: &str, end: &str| {
        format!(
            "<ListServiceSpecificCredentialsResponse><ListServiceSpecificCredentialsResult><ServiceSpecificCredentials>\
             <member><UserName>BedrockAPIKey-ab12</UserName><Status>Active</Status><ServiceUserName>another</ServiceUserName><CreateDate>2026-01-01T00:00:00Z</CreateDate></member>\
             <member><UserName>BedrockAPIKey-ab12</UserName><Status>{status}</Status><ServiceUserName>{user}</ServiceUserName><CreateDate>2026-11-01T00:00:00Z</CreateDate>{end}</member>\
             </ServiceSpecificCredentials></ListServiceSpecificCredentialsResult></ListServiceSpecificCredentialsResponse>"
        )
    };
    let own = "BedrockAPIKey-ab12-at-123456789012";
    let refusal = |code: &str| format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>lab-canary</Message></Error></ErrorResponse>");
    for (status, body, words) in [
        (200, listed(own, "Active", "<ExpirationDate>2031-01-01T00:00:00Z</ExpirationDate>"), "pass    W1.9 Every credential outlives the event"),
        (200, listed(own, "Active", "<ExpirationDate>2029-12-01T00:00:00Z</ExpirationDate>"), "Credential models (bedrock_api_key) expires 31d 10h"),
        (200, listed(own, "Active", ""), "pass    W1.9 Every credential outlives the event"),
        (200, listed(own, "Inactive", ""), "IAM says that the key is not active"),
        (200, listed("somebody", "Active", ""), "IAM does not know the key any more"),
        (404, refusal("NoSuchEntity"), "IAM does not know the user of the key"),
        // Bedrock took the key, so that only its end is not known.
        (403, refusal("AccessDenied"), "IAM could not be asked when it expires"),
        (503, "<html>maintenance</html>".to_owned(), "IAM could not be asked when it expires"),
        (200, "{}".to_owned(), "IAM could not be asked when it expires"),
    ] {
        *answer.lock().unwrap() = (status, body);
        let mut command = exporter();
        command.args(["check", "--output", "text", "--all", "--config.file"]).arg(&configuration);
        command.env("AWS_ENDPOINT_URL", format!("http://{host}:5008")).env("AWS_ACCESS_KEY_ID", "AKIDTEST").env("AWS_SECRET_ACCESS_KEY", "none");
        let said = tokio::task::spawn_blocking(move || crate::common::run(&mut command).1).await.unwrap();
        assert!(said.contains(words), "{words}:\n{said}");
        assert!(!said.contains(CANARY));
    }
}

/// Whoever reads that nobody was asked looks in the wrong place, where the issuer did answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_answers_and_proves_nothing_is_told_with_its_answer() {
    let estate = Estate::start().await;
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("credential-bedrock-may-not-list", true);
    let is_told = |judgement: &Judgement| judgement.checks().any(|check| check.name == "CredentialUnproven" && check.lines[0].state != CheckState::Pass);
    let judgement = until(&app, "unproven", is_told).await;
    let check = judgement.checks().find(|check| check.name == "CredentialUnproven").unwrap();
    let evidence = &check.lines[0].evidence;
    assert!(evidence.contains(" Seen: Bedrock was asked for its models and answered with status 403: whoever shows the key may not list them"), "{evidence}");
}

/// Nodes that expire during the event, a pool that nobody has, and certificates that are renewed.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_expire_and_pools_that_nobody_has() {
    let mut estate = Estate::start().await;
    let with = |pool: &str, configuration: &str| {
        configuration.replacen("      - { name: certificates,", &format!("      - {{ name: nodes, node_pool: {pool} }}\n      - {{ name: certificates,"), 1)
    };
    let good = estate.configuration.clone();
    estate.configuration = with("coder-ws", &good);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("nodeclaim-expires-in-event", true);
    let judgement = until(&app, "nodes expire", |judgement| red(judgement).contains(&"RotationHitsEvent".to_owned())).await;
    let check = judgement.checks().find(|check| check.name == "RotationHitsEvent").unwrap();
    let evidence = &check.lines[0].evidence;
    assert!(evidence.starts_with("Rotation nodes may run, or still have an effect, while november-workshop runs. Seen: "), "{evidence}");
    assert!(evidence.contains("/coder-ws") && evidence.contains("rotate"), "{evidence}");
    estate.lab.estate().set("nodeclaim-expires-in-event", false);
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    // No node that is there expires then, but those that are made for the event do.
    estate.lab.estate().set("nodepool-nodes-live-short", true);
    let judgement = until(&app, "new nodes expire", |judgement| red(judgement).contains(&"RotationHitsEvent".to_owned())).await;
    let evidence = &judgement.checks().find(|check| check.name == "RotationHitsEvent").unwrap().lines[0].evidence;
    assert!(evidence.contains("a node of eu-west-2/coder-ws that is made before expires then"), "{evidence}");
    estate.lab.estate().set("nodepool-nodes-live-short", false);
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(Duration::from_secs(1)).await;
    estate.configuration = with("codr-ws", &good);
    let app = estate.exporter();
    let judgement = until(&app, "everything but the pool is seen", |judgement| names(judgement, &[CheckState::Unknown]) == ["RotationHitsEvent"]).await;
    let check = judgement.checks().find(|check| check.name == "RotationHitsEvent").unwrap();
    assert!(check.lines[0].evidence.contains("no cluster has a NodePool codr-ws"), "{}", check.lines[0].evidence);
    app.shutdown(Duration::from_secs(1)).await;
}

/// A date that somebody wrote into an annotation, alone and beside what the credential says itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_annotation_tells_when_a_credential_ends() {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let (folder, host) = (tempfile::tempdir().unwrap(), crate::slack::own_host());
    let secret = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let said = std::sync::Arc::clone(&secret);
    let _api = readiness_lab::plain_server(format!("{host}:6444").parse().unwrap(), Duration::ZERO, move |_, _, _| {
        (200, vec![("content-type", "application/json".to_owned())], said.lock().unwrap().clone().into_bytes())
    })
    .await
    .unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{host}:6444\" }} }}]\nusers: [{{ name: u, user: {{ token: t }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let look = async |kind: &str, content: &str, annotation: Option<&str>| {
        let annotations = annotation.map_or_else(String::new, |text| format!(r#","annotations":{{"coder.com/rotation-due":"{text}"}}"#));
        *secret.lock().unwrap() = format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"s","namespace":"n","creationTimestamp":"2026-01-01T00:00:00Z"{annotations}}},"data":{{"key":"{}"}}}}"#,
            STANDARD.encode(content)
        );
        let file = folder.path().join("readiness.yaml");
        let configuration = format!(
            "checklists: [{{ name: workshop, overrides: {{ CredentialExpiresBeforeEventEnd: {{ lead_time_within: 3000d }} }} }}]\nevents: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\nclusters: [{{ name: c, kubeconfig: kubeconfig }}]\ncollectors: {{ credentials: {{ credentials: [{{ name: key, kind: {kind}, from: {{ secret: {{ cluster: c, namespace: n, name: s, key: key, annotation: coder.com/rotation-due }} }} }}] }} }}\n"
        );
        std::fs::write(&file, configuration).unwrap();
        tokio::task::spawn_blocking(move || crate::common::run(exporter().args(["check", "--output", "text", "--all", "--config.file"]).arg(file)).1)
            .await
            .unwrap()
    };
    let jwt = |ends: &str| {
        let at = ends.parse::<jiff::Timestamp>().unwrap().as_second();
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{at}}}"#)))
    };
    for (kind, content, annotation, words) in [
        ("opaque", "lab-canary".to_owned(), Some("2031-01-01"), "pass    W1.9 Every credential outlives the event"),
        ("opaque", "lab-canary".to_owned(), Some("2029-12-31"), "Credential key (opaque) expires 1d 10h"),
        ("opaque", "lab-canary".to_owned(), Some("soon"), "the annotation that tells when it expires is no date, such as 2027-11-27"),
        ("opaque", "lab-canary".to_owned(), None, "its Secret lacks the annotation that tells when it expires"),
        ("jwt", jwt("2031-01-01T00:00:00Z"), Some("2031-01-01"), "pass    W1.9 Declared expiry dates match those of the credentials"),
        ("jwt", jwt("2031-01-01T00:00:00Z"), Some("2032-01-01"), "Credential key (jwt) expires on another date than the one that is declared."),
        ("jwt", jwt("2031-01-01T00:00:00Z"), Some("2029-12-31"), "Credential key (jwt) expires 1d 10h"),
    ] {
        let said = look(kind, &content, annotation).await;
        assert!(said.contains(words), "{kind} {annotation:?}: {words}:\n{said}");
        assert!(!said.contains(CANARY));
    }
}

/// What is being deleted will be gone by the event, whatever it holds until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_being_deleted_is_gone() {
    let (folder, host) = (tempfile::tempdir().unwrap(), crate::slack::own_host());
    let deleted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let said = std::sync::Arc::clone(&deleted);
    let _api = readiness_lab::plain_server(format!("{host}:6446").parse().unwrap(), Duration::ZERO, move |_, _, _| {
        let deleted = if said.load(std::sync::atomic::Ordering::SeqCst) { r#","deletionTimestamp":"2026-01-02T00:00:00Z","finalizers":["a.test/wait"]"# } else { "" };
        let secret = format!(
            r#"{{"kind":"Secret","apiVersion":"v1","metadata":{{"name":"s","namespace":"n","creationTimestamp":"2026-01-01T00:00:00Z"{deleted}}},"data":{{"key":"bGFiLWNhbmFyeQ=="}}}}"#
        );
        (200, vec![("content-type", "application/json".to_owned())], secret.into_bytes())
    })
    .await
    .unwrap();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{ name: c, cluster: {{ server: \"http://{host}:6446\" }} }}]\nusers: [{{ name: u, user: {{ token: t }} }}]\ncontexts: [{{ name: c, context: {{ cluster: c, user: u }} }}]\n"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).unwrap();
    let file = folder.path().join("readiness.yaml");
    let configuration = "clusters: [{ name: c, kubeconfig: kubeconfig }]\ncollectors: { credentials: { credentials: [{ name: key, kind: opaque, from: { secret: { cluster: c, namespace: n, name: s, key: key } } }] } }\n";
    std::fs::write(&file, configuration).unwrap();
    let look = async || {
        let file = file.clone();
        tokio::task::spawn_blocking(move || crate::common::run(exporter().args(["check", "--output", "text", "--all", "--config.file"]).arg(file)).1)
            .await
            .unwrap()
    };
    let there = look().await;
    assert!(!there.contains("Credential key (opaque) is absent"), "{there}");
    deleted.store(true, std::sync::atomic::Ordering::SeqCst);
    let gone = look().await;
    assert!(gone.contains("Credential key (opaque) is absent"), "{gone}");
}
