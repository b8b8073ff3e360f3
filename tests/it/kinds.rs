//! Every kind of credential turns both ways: there and gone, working and not, far from its end and
//! close to it. Key stores are written by openssl and keytool, AWS is moto, the other issuers are the
//! lab's.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use readiness_lab::{Authority, Leaf, Process};

use crate::common::{Estate, PATIENCE, exporter, repository, run};
use crate::moto::{Moto, with_aws};
use crate::slack::own_host;

/// How a credential is turned from good to something else.
enum Turn {
    /// Its content changes.
    Content(Vec<u8>),
    /// A fault of the lab.
    Fault(&'static str),
    /// Its file becomes a hundred days old.
    Aged,
    /// A call of moto's IAM, and the one that undoes it.
    Iam([String; 2]),
    /// The answer of IAM as it is then.
    Answer(String),
    /// It has no such state.
    Never,
}

/// A kind of credential.
struct Kind {
    name: &'static str,
    /// Of its configuration, after the place where it is.
    settings: String,
    good: Vec<u8>,
    /// What is said of a good one.
    valid: &'static str,
    soon: Turn,
    broken: Turn,
}

fn jwt(ends: i64) -> String {
    format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#), URL_SAFE_NO_PAD.encode(format!(r#"{{"exp":{ends}}}"#)))
}

fn ecr(ends: i64) -> Vec<u8> {
    let password = STANDARD.encode(format!(r#"{{"payload":"x","expiration":{ends}}}"#));
    format!(r#"{{"auths":{{"registry.test":{{"auth":"{}"}}}}}}"#, STANDARD.encode(format!("AWS:{password}"))).into_bytes()
}

fn succeed(command: &mut Command) {
    let (code, _, errors) = run(command);
    assert_eq!(code, 0, "{errors}");
}

/// A PKCS#12 file and a Java key store of certificates that last so many seconds.
fn key_stores(authority: &Authority, seconds: i64) -> [Vec<u8>; 2] {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pem, key) = authority.issue_pem(&Leaf::good(&["a.test"]).ends_in(seconds)).unwrap();
    std::fs::write(at("cert.pem"), pem).unwrap();
    std::fs::write(at("key.pem"), key).unwrap();
    let openssl = ["pkcs12", "-export", "-passout", "pass:changeit", "-in", "cert.pem", "-inkey", "key.pem", "-out", "store.p12"];
    succeed(Command::new("openssl").args(openssl).current_dir(folder.path()));
    let keytool = "-importcert -noprompt -storetype JKS -keystore store.jks -storepass changeit -alias a -file cert.pem";
    succeed(Command::new("keytool").args(keytool.split(' ')).current_dir(folder.path()));
    [std::fs::read(at("store.p12")).unwrap(), std::fs::read(at("store.jks")).unwrap()]
}

/// Kinds that tell about themselves.
fn telling(folder: &Path) -> Vec<Kind> {
    let authority = Authority::new("Root").unwrap();
    let now = jiff::Timestamp::now().as_second();
    let (far, near) = (now + 400 * 86_400, now + 3_600);
    let pem = |seconds: i64| authority.issue_pem(&Leaf::good(&["a.test"]).ends_in(seconds)).unwrap().0.into_bytes();
    let kubeconfig = |seconds: i64| {
        let (pem, key) = authority.issue_pem(&Leaf::good(&["a.test"]).ends_in(seconds)).unwrap();
        let [pem, key] = [pem, key].map(|text| STANDARD.encode(text));
        let context =
            "current-context: c\ncontexts: [{ name: c, context: { cluster: k, user: a } }]\nclusters: [{ name: k, cluster: { server: 'https://k' } }]\n";
        format!("{context}users:\n- name: a\n  user: {{ client-certificate-data: {pem}, client-key-data: {key} }}\n").into_bytes()
    };
    let reference = |at: i64| STANDARD.encode(format!("reftkn:01:{at}:abc")).into_bytes();
    let licence = |at: i64| format!(r#"{{"license":{{"expires":{at}}}}}"#).into_bytes();
    let ([p12, jks], [p12_soon, jks_soon]) = (key_stores(&authority, far - now), key_stores(&authority, near - now));
    std::fs::write(folder.join("password"), "changeit\n").unwrap();
    let kind = |name, settings: &str, good, soon, broken: &[u8]| Kind {
        name,
        settings: settings.to_owned(),
        good,
        valid: if ["certificate", "pkcs12", "jks", "date"].contains(&name) { "consistent" } else { "unproven" },
        soon: Turn::Content(soon),
        broken: Turn::Content(broken.to_vec()),
    };
    vec![
        kind("certificate", "", pem(far - now), pem(near - now), b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        kind("jwt", "", jwt(far).into_bytes(), jwt(near).into_bytes(), b"no dots"),
        kind("docker_config", "", ecr(far), ecr(near), b"{}"),
        kind("kubeconfig", "", kubeconfig(far - now), kubeconfig(near - now), b"users: []"),
        kind("artifactory", "", reference(far), reference(near), b"nonsense"),
        kind("pkcs12", ", password: { file: password }", p12, p12_soon, b"0"),
        kind("jks", "", jks, jks_soon, b"PK"),
        kind("date", ", pointer: /license/expires", licence(far), licence(near), b"no json"),
        Kind {
            soon: Turn::Aged,
            // It tells nothing that could be wrong.
            broken: Turn::Never,
            ..kind("opaque", ", max_age: 90d", b"lab-canary".to_vec(), Vec::new(), b"")
        },
    ]
}

/// Kinds that are proved by their issuers: the lab's, and IAM of moto.
fn proved(estate: &Estate, moto: &Moto) -> Vec<Kind> {
    let api = format!(", api: \"https://{}:17063\"", estate.lab.host());
    let of_lab = |name: &str| std::fs::read(estate.lab.dir().join(name)).unwrap();
    let kind = |name, file: &str, settings: &str, soon, broken| Kind {
        name,
        settings: format!("{api}{settings}"),
        good: of_lab(file),
        valid: "valid",
        soon: Turn::Fault(soon),
        broken,
    };
    let login = format!("https://{}:17063", estate.lab.host());
    let google = format!(", google: {{ oauth: \"{login}\", iam: \"{login}\" }}");
    let entra = format!(", entra: {{ tenant: lab-tenant, client_id: 11111111-2222-3333-4444-555555555555, login: \"{login}\" }}");
    let provisioner = ", provisioner: { organization: default, name: workshop }, max_age: 90d";
    let key = moto.boto("iam = client('iam')\niam.create_user(UserName='llm')\nkey = iam.create_access_key(UserName='llm')['AccessKey']\nprint(key['AccessKeyId'], key['SecretAccessKey'])");
    let (id, secret) = key.split_once(' ').unwrap();
    let session = moto.boto("key = client('sts').assume_role(RoleArn='arn:aws:iam::123456789012:role/llm', RoleSessionName='llm')['Credentials']\nprint(key['AccessKeyId'], key['SecretAccessKey'], key['SessionToken'])");
    let session: Vec<&str> = session.split(' ').collect();
    let ends = jiff::Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    let session = serde_json::json!({ "AccessKeyId": session[0], "SecretAccessKey": session[1], "SessionToken": session[2], "Expiration": ends.to_string() });
    let switch = |status: &str| format!("client('iam').update_access_key(UserName='llm', AccessKeyId='{id}', Status='{status}')");
    vec![
        kind("gitlab", "gitlab.token", "", "credential-gitlab-ends-soon", Turn::Fault("credential-gitlab-revoked")),
        kind("github", "github.token", "", "credential-github-ends-soon", Turn::Fault("credential-github-refused")),
        kind("coder", "coder.token", "", "credential-coder-ends-soon", Turn::Content(b"labkey0001-another".to_vec())),
        kind("coder_license", "coder.token", "", "credential-licence-ends-soon", Turn::Fault("credential-licence-gone")),
        kind("coder_provisioner_key", "coder.token", provisioner, "credential-provisioner-key-old", Turn::Fault("credential-provisioner-key-gone")),
        kind("litellm", "litellm.key", "", "credential-llm-key-ends-soon", Turn::Content(b"sk-another".to_vec())),
        kind("entra_app_secret", "entra.secret", &entra, "credential-entra-ends-soon", Turn::Fault("credential-entra-refused")),
        kind("gcp_service_account", "google.json", &google, "credential-google-ends-soon", Turn::Fault("credential-google-key-deleted")),
        Kind {
            name: "aws_access_key",
            settings: ", aws: { region: us-east-2 }".to_owned(),
            good: format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n").into_bytes(),
            valid: "valid",
            soon: Turn::Content(session.to_string().into_bytes()),
            broken: Turn::Iam([switch("Inactive"), switch("Active")]),
        },
    ]
}

/// What IAM says about the key of Bedrock, which moto does not know.
fn bedrock_answer(status: &str, ends: i64) -> String {
    let ends = jiff::Timestamp::from_second(ends).unwrap();
    format!(
        "<ListServiceSpecificCredentialsResponse><ListServiceSpecificCredentialsResult><ServiceSpecificCredentials><member>\
         <UserName>BedrockAPIKey-ab12</UserName><Status>{status}</Status><ServiceUserName>BedrockAPIKey-ab12-at-123456789012</ServiceUserName>\
         <CreateDate>2026-01-01T00:00:00Z</CreateDate><ExpirationDate>{ends}</ExpirationDate>\
         </member></ServiceSpecificCredentials></ListServiceSpecificCredentialsResult></ListServiceSpecificCredentialsResponse>"
    )
}

fn bedrock() -> Kind {
    let now = jiff::Timestamp::now().as_second();
    let key = STANDARD.encode("BedrockAPIKey-ab12-at-123456789012:lab-canary");
    Kind {
        name: "bedrock_api_key",
        settings: ", aws: { region: eu-west-2 }".to_owned(),
        good: format!("ABSK{key}\n").into_bytes(),
        valid: "valid",
        soon: Turn::Answer(bedrock_answer("Active", now + 3_600)),
        broken: Turn::Answer(bedrock_answer("Inactive", now + 400 * 86_400)),
    }
}

type Answer = std::sync::Arc<std::sync::Mutex<String>>;

/// An exporter that looks at kinds, and what turns them.
struct Watched<'a> {
    kinds: Vec<Kind>,
    folder: &'a Path,
    estate: &'a Estate,
    moto: &'a Moto,
    iam: Answer,
    metrics: String,
    _process: Process,
}

impl<'a> Watched<'a> {
    fn start(kinds: Vec<Kind>, folder: &'a Path, estate: &'a Estate, moto: &'a Moto, aws: &str, iam: Answer) -> Self {
        let listed: String =
            kinds.iter().map(|kind| format!("      - {{ name: {0}, kind: {0}, from: {{ file: {0} }}{1} }}\n", kind.name, kind.settings)).collect();
        let authority = estate.lab.dir().join("ca.pem");
        let file = folder.join(format!("{}.yaml", kinds[0].name));
        let configuration = format!(
            "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\n\
             collectors:\n  credentials:\n    interval: 1s\n    timeout: 1s\n    ca_file: {}\n    credentials:\n{listed}",
            authority.display()
        );
        std::fs::write(&file, configuration).unwrap();
        let address = format!("{}:9840", own_host());
        let mut command = exporter();
        command.args(["--web.listen-address", &address, "--config.file"]).arg(file).stderr(Stdio::null());
        let process = Process::start(with_aws(&mut command, aws));
        Self { kinds, folder, estate, moto, iam, metrics: format!("http://{address}/metrics"), _process: process }
    }

    fn put(&self, kind: &Kind) {
        // In place as a whole: a look in between must not find half of it.
        std::fs::write(self.folder.join("new"), &kind.good).unwrap();
        std::fs::rename(self.folder.join("new"), self.folder.join(kind.name)).unwrap();
    }

    fn turn(&self, kind: &Kind, turn: &Turn, on: bool) {
        match turn {
            Turn::Content(content) if on => std::fs::write(self.folder.join(kind.name), content).unwrap(),
            Turn::Content(_) => self.put(kind),
            Turn::Fault(fault) => assert!(self.estate.lab.estate().set(fault, on), "there is no fault {fault}"),
            Turn::Aged => {
                let at = if on { SystemTime::now() - Duration::from_hours(24 * 100) } else { SystemTime::now() };
                std::fs::File::options().write(true).open(self.folder.join(kind.name)).unwrap().set_modified(at).unwrap();
            }
            Turn::Iam(scripts) => drop(self.moto.boto(&scripts[usize::from(!on)])),
            Turn::Answer(answer) if on => self.iam.lock().unwrap().clone_from(answer),
            Turn::Answer(_) => *self.iam.lock().unwrap() = bedrock_answer("Active", jiff::Timestamp::now().as_second() + 400 * 86_400),
            Turn::Never => {}
        }
    }

    /// Waits until the metrics say something of every kind that they should.
    async fn until(&self, what: &str, holds: impl Fn(&Said, &Kind) -> bool) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let limit = tokio::time::Instant::now() + PATIENCE;
        loop {
            let text = match client.get(&self.metrics).send().await {
                Ok(answer) => answer.text().await.unwrap(),
                Err(_) => String::new(),
            };
            let said = |kind: &Kind| Said { text: text.clone(), kind: kind.name };
            let missing: Vec<&str> = self.kinds.iter().filter(|kind| !holds(&said(kind), kind)).map(|kind| kind.name).collect();
            if missing.is_empty() {
                return;
            }
            let lines: Vec<&str> = text.lines().filter(|line| missing.iter().any(|name| line.contains(&format!("\"{name}\"")))).collect();
            assert!(tokio::time::Instant::now() < limit, "{missing:?} never {what}:\n{}", lines.join("\n"));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn turns_and_back(&self, what: &str, of: impl Fn(&Kind) -> &Turn, holds: impl Fn(&Said) -> bool) {
        self.kinds.iter().for_each(|kind| self.turn(kind, of(kind), true));
        self.until(what, |said, kind| matches!(of(kind), Turn::Never) || holds(said)).await;
        self.kinds.iter().for_each(|kind| self.turn(kind, of(kind), false));
        self.until("good again", Said::is_good).await;
    }

    async fn all_ways(&self) {
        self.kinds.iter().for_each(|kind| self.put(kind));
        self.until("good", Said::is_good).await;
        self.turns_and_back("about to end", |kind| &kind.soon, Said::ends_soon).await;
        self.turns_and_back("invalid", |kind| &kind.broken, |said| said.is("valid", "invalid")).await;
        self.kinds.iter().for_each(|kind| std::fs::remove_file(self.folder.join(kind.name)).unwrap());
        self.until("absent", |said, _| said.is("", "absent") && said.is("valid", "unknown") && said.is("end", "unknown")).await;
        self.kinds.iter().for_each(|kind| self.put(kind));
        self.until("there again", Said::is_good).await;
    }
}

/// What the metrics say of a kind.
struct Said {
    text: String,
    kind: &'static str,
}

impl Said {
    fn is(&self, set: &str, state: &str) -> bool {
        let set = if set.is_empty() { String::new() } else { format!("_{set}") };
        self.text.contains(&format!("readiness_credential{set}_state{{credential=\"{0}\",kind=\"{0}\",state=\"{state}\"}} 1\n", self.kind))
    }

    /// In how many seconds it ends.
    fn ends_in(&self) -> Option<f64> {
        let start = format!("readiness_credential_expiry_timestamp_seconds{{credential=\"{0}\",kind=\"{0}\"}} ", self.kind);
        let at: f64 = self.text.lines().find_map(|line| line.strip_prefix(&start))?.parse().unwrap();
        Some(at - jiff::Timestamp::now().as_second() as f64)
    }

    fn ends_soon(&self) -> bool {
        self.is("end", "at") && self.ends_in().is_some_and(|seconds| seconds < 86_400.0)
    }

    fn is_good(&self, kind: &Kind) -> bool {
        let end = self.is("end", "never") || (self.is("end", "at") && self.ends_in().is_some_and(|seconds| seconds > 40.0 * 86_400.0));
        self.is("", "present") && self.is("valid", kind.valid) && end
    }
}

/// What the configuration takes for `kind`, by its schema.
fn kinds_of_the_schema() -> BTreeSet<String> {
    let schema: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(repository("docs/config.schema.json")).unwrap()).unwrap();
    let kinds = schema["$defs"].as_object().unwrap().values().filter_map(|of| of["oneOf"].as_array());
    let named = |kinds: &Vec<serde_json::Value>| kinds.iter().filter_map(|kind| kind["const"].as_str().map(str::to_owned)).collect::<BTreeSet<_>>();
    kinds.map(named).find(|kinds| kinds.contains("gcp_service_account")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_there_works_and_lasts_or_does_not() {
    let (folder, estate, moto, host) = (tempfile::tempdir().unwrap(), Estate::start().await, Moto::start(), own_host());
    let kinds: Vec<Kind> = telling(folder.path()).into_iter().chain(proved(&estate, &moto)).collect();
    let watched: BTreeSet<String> = kinds.iter().map(|kind| kind.name.to_owned()).chain(["bedrock_api_key".to_owned()]).collect();
    assert_eq!(watched, kinds_of_the_schema());
    Watched::start(kinds, folder.path(), &estate, &moto, &moto.endpoint, Answer::default()).all_ways().await;
    let answer = Answer::default();
    let said = std::sync::Arc::clone(&answer);
    let _iam = readiness_lab::plain_server(format!("{host}:5008").parse().unwrap(), Duration::ZERO, move |method, _, _| {
        let models = r#"{"modelSummaries":[{"modelArn":"arn:aws:bedrock:eu-west-2::foundation-model/a.b","modelId":"a.b"}]}"#;
        (200, Vec::new(), if method == "GET" { models.into() } else { said.lock().unwrap().clone().into_bytes() })
    })
    .await
    .unwrap();
    let bedrock = Watched::start(vec![bedrock()], folder.path(), &estate, &moto, &format!("http://{host}:5008"), answer);
    bedrock.kinds.iter().for_each(|kind| bedrock.turn(kind, &kind.soon, false));
    bedrock.all_ways().await;
}
