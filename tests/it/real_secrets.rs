//! Secrets Manager, IAM and STS as moto speaks them, and key stores as openssl writes them.

use std::process::Command;

use readiness_lab::{Authority, Leaf};

use crate::common::{exporter, run};
use crate::moto::{Moto, with_aws};

struct Watched {
    folder: tempfile::TempDir,
    moto: Moto,
    configuration: String,
}

impl Watched {
    /// What one run of the exporter says.
    fn look(&self) -> String {
        let file = self.folder.path().join("readiness.yaml");
        std::fs::write(&file, &self.configuration).unwrap();
        let mut command = exporter();
        command.args(["check", "--output", "text", "--all", "--config.file"]).arg(file);
        run(with_aws(&mut command, &self.moto.endpoint)).1
    }

    fn expect(&self, words: &[&str]) {
        let said = self.look();
        for words in words {
            assert!(said.contains(words), "{words}:\n{said}");
        }
    }
}

#[test]
fn secrets_and_access_keys_of_aws_as_moto_has_them() {
    let (folder, moto) = (tempfile::tempdir().unwrap(), Moto::start());
    let keys = moto.boto("iam = client('iam')\niam.create_user(UserName='llm')\nkey = iam.create_access_key(UserName='llm')['AccessKey']\nprint(json.dumps({'id': key['AccessKeyId'], 'secret': key['SecretAccessKey']}))",
    );
    let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
    let (id, secret) = (keys["id"].as_str().unwrap(), keys["secret"].as_str().unwrap());
    let file = folder.path().join("aws.credentials");
    std::fs::write(&file, format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")).unwrap();
    let configuration = format!(
        "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\nchecklists: [{{ name: workshop, overrides: {{ CredentialExpiresBeforeEventEnd: {{ lead_time_within: 3000d }} }} }}]\n\
         collectors:\n  \
           secrets_manager:\n    secrets: [{{ name: database, region: us-east-2, id: workshop/database }}]\n  \
           credentials:\n    credentials:\n      \
             - {{ name: licence, kind: date, from: {{ secrets_manager: {{ region: us-east-2, id: workshop/licence, field: expires }} }} }}\n      \
             - {{ name: llm-access, kind: aws_access_key, aws: {{ region: us-east-2 }}, from: {{ file: {} }} }}\n      \
             - {{ name: llm-aged, kind: aws_access_key, max_age: 90d, aws: {{ region: us-east-2 }}, from: {{ file: {} }} }}\n  \
           rotations:\n    rotations: [{{ name: database, managed_secret: database }}]\n",
        file.display(),
        file.display()
    );
    let mut watched = Watched { folder, moto, configuration };
    let aws = |script: &str| watched.moto.boto(script);
    watched.expect(&["Secret database of AWS Secrets Manager is absent.", "Credential licence (date) is absent."]);
    aws(
        "sm = client('secretsmanager')\nsm.create_secret(Name='workshop/database', SecretString='hunter2')\nsm.create_secret(Name='workshop/licence', SecretString=json.dumps({'expires': '2099-01-01', 'key': 'x'}))",
    );
    watched.expect(&[
        "pass    W1.1 Every secret in AWS Secrets Manager is there",
        "pass    W1.1 Every credential is where it should be",
        "pass    W1.2 No credential is refused",
        "pass    W1.9 It is known when every credential expires",
        "pass    W1.9 Every credential was made, or written to its place, within 90d",
        // By its policy the key is due long before the event.
        "Credential llm-aged (aws_access_key) expires ",
        // Rotation is off, and no event is near.
        "database is suspended, earlier than an event needs it or after one.",
    ]);
    // Thirty days after today's rotation, at any hour of that day.
    aws("sm = client('secretsmanager')\nsm.rotate_secret(SecretId='workshop/database', RotationRules={'AutomaticallyAfterDays': 30}, RotateImmediately=False)");
    let day = |days: i32| jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().checked_add(jiff::Span::new().days(days)).unwrap();
    let rest = watched.configuration.split_once('\n').unwrap().1.to_owned();
    for (days, words) in
        [(20, "pass    W1.5 Nothing rotates or restarts while the event runs"), (30, "Rotation database may run, or still have an effect, while e runs.")]
    {
        watched.configuration = format!("events: [{{ name: e, time_zone: UTC, start: {}T12:00, duration: 2h }}]\n{rest}", day(days));
        watched.expect(&[words, "pass    W8.3 No rotation is suspended", "pass    R1.7 Every rotation that was due is done"]);
    }
    // A rotation that has begun and is not over.
    aws("sm = client('secretsmanager')\nsm.put_secret_value(SecretId='workshop/database', SecretString='next', VersionStages=['AWSPENDING'])");
    watched.expect(&["pass    W1.5 No rotation of AWS Secrets Manager is stuck", "pass    R1.7 Every rotation that was due is done"]);
    let ordinary = watched.configuration.clone();
    watched.configuration = ordinary.replacen("secrets_manager:\n", "secrets_manager:\n    slow_after: 1s\n", 1);
    // By then it has taken longer than a second.
    let slow = ["The rotation of secret database in AWS Secrets Manager is pending.", "database is slow."];
    let is_slow = || slow.iter().all(|words| watched.look().contains(words));
    assert!((0..20).any(|_| is_slow()), "{}", watched.look());
    watched.configuration = ordinary;
    // The key is switched off, and then deleted.
    let iam = |call: &str| {
        watched
            .moto
            .boto(&format!("client('iam').{call}(UserName='llm', AccessKeyId='{id}'{})", if call.starts_with("update") { ", Status='Inactive'" } else { "" }))
    };
    iam("update_access_key");
    watched.expect(&["Credential llm-access (aws_access_key) does not work.", "IAM says that the key is not active"]);
    iam("delete_access_key");
    watched.expect(&["Credential llm-access (aws_access_key) does not work."]);
    let said = watched.moto.boto("sm = client('secretsmanager')\nsm.delete_secret(SecretId='workshop/database', RecoveryWindowInDays=7)\nprint('done')");
    assert_eq!(said, "done");
    watched.expect(&["Secret database of AWS Secrets Manager is deleted."]);
    assert!(!watched.look().contains("hunter2"));
}

#[test]
fn key_stores_as_openssl_writes_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (pem, key) = Authority::new("Root").unwrap().issue_pem(&Leaf::good(&["a.test"]).ends_in(1_800)).unwrap();
    std::fs::write(at("cert.pem"), pem).unwrap();
    std::fs::write(at("key.pem"), key).unwrap();
    std::fs::write(at("password"), "changeit\n").unwrap();
    for (name, options) in [("modern.p12", &[][..]), ("legacy.p12", &["-legacy"][..])] {
        let mut command = Command::new("openssl");
        command.args(["pkcs12", "-export", "-passout", "pass:changeit"]).args(options);
        command.arg("-in").arg(at("cert.pem")).arg("-inkey").arg(at("key.pem")).arg("-out").arg(at(name));
        let (code, _, errors) = run(&mut command);
        assert_eq!(code, 0, "{errors}");
        let configuration = format!(
            "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\n\
             collectors:\n  credentials:\n    credentials: [{{ name: store, kind: pkcs12, password: {{ file: password }}, from: {{ file: {name} }} }}]\n"
        );
        std::fs::write(at("readiness.yaml"), configuration).unwrap();
        let look = || run(exporter().args(["check", "--output", "text", "--all", "--config.file"]).arg(at("readiness.yaml"))).1;
        let said = look();
        assert!(said.contains("Credential store (pkcs12) expires in "), "{name}: {said}");
        std::fs::write(at("password"), "another\n").unwrap();
        let said = look();
        assert!(said.contains("its password is another one"), "{name}: {said}");
        std::fs::write(at("password"), "changeit\n").unwrap();
    }
}
