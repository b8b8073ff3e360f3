//! The first quarter of an hour on one's own estate: two commands lead to a word that is true, without an override.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use readiness_lab::{Authority, Leaf, ok_server, plain_server};

use crate::common::{Estate, exporter, run};
use crate::slack::own_host;

/// Somebody's own endpoints: one in plain HTTP whose status can be changed, and one with a certificate.
struct Endpoints {
    status: Arc<AtomicU16>,
    urls: [String; 2],
    folder: tempfile::TempDir,
}

impl Endpoints {
    async fn start() -> Self {
        let (host, folder) = (own_host(), tempfile::tempdir().unwrap());
        let status = Arc::new(AtomicU16::new(200));
        let told = Arc::clone(&status);
        let answer = move |_: &str, _: &str, _: &hyper::HeaderMap| (told.load(Ordering::SeqCst), Vec::new(), b"OK".to_vec());
        plain_server(format!("{host}:8080").parse().unwrap(), Duration::ZERO, answer).await.unwrap();
        let authority = Authority::new("Own Root").unwrap();
        ok_server(format!("{host}:8443").parse().unwrap(), authority.issue(&Leaf::good(&[&host])).unwrap()).await.unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).unwrap();
        Self { status, urls: [format!("http://{host}:8080/healthz"), format!("https://{host}:8443/healthz")], folder }
    }

    /// A command of somebody who sits in the folder, has no kubeconfig, and whose machine trusts that authority.
    fn command(&self) -> Command {
        let mut command = exporter();
        let home = self.folder.path();
        command.current_dir(home).env("HOME", home).env_remove("KUBECONFIG").env("SSL_CERT_FILE", home.join("ca.pem"));
        command
    }

    /// `config init ARGUMENTS > readiness.yaml`, and what it says beside that.
    fn init(&self, arguments: &[&str]) -> String {
        let (code, text, said) = run(self.command().args(["config", "init"]).args(arguments));
        assert_eq!(code, 0, "{said}");
        std::fs::write(self.folder.path().join("readiness.yaml"), text).unwrap();
        let (code, out, errors) = run(self.command().args(["config", "check"]));
        assert!(code == 0 && !out.contains("warning"), "it is not odd: {out}{errors}");
        said
    }

    fn check(&self) -> (i32, String) {
        let (code, out, errors) = run(self.command().args(["check", "--timeout", "60s"]));
        assert_eq!(errors, "", "{out}");
        (code, out)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_lead_from_a_cluster_and_two_urls_to_a_word() {
    let (estate, own) = (Estate::start().await, Endpoints::start().await);
    // The authority of the API servers stands in the kubeconfig.
    let kubeconfig = estate.lab.dir().join("kubeconfig");
    let said = own.init(&["--kubeconfig", text(&kubeconfig), "--context", "us-east-2", "--context", "us-west-2", "--url", &own.urls[0], "--url", &own.urls[1]]);
    assert!(said.contains("named: 2 clusters, 2 endpoints, 1 TLS server, 0 names\n") && said.contains("readiness-exporter check\n"), "{said}");
    let (code, out) = own.check();
    assert_eq!(code, 0, "{out}");
    assert!(out.starts_with("Readiness of the estate (estate)\nNo event is coming: judged as of now.\n"), "{out}");
    assert!(out.contains("\nGO: ") && out.contains(" not configured\n"), "what was not asked is counted: {out}");

    own.status.store(500, Ordering::SeqCst);
    let (code, out) = own.check();
    assert!(code == 1 && out.contains("status 500, expected 200") && out.contains("\nNO-GO: 1 required check failed"), "{out}");
    own.status.store(200, Ordering::SeqCst);

    estate.lab.estate().set("node-disk-pressure", true);
    let (code, out) = own.check();
    assert!(code == 1 && out.contains("FAIL    Node node-1 in us-east-2 reports DiskPressure"), "{out}");
    estate.lab.estate().set("node-disk-pressure", false);

    // What cannot be seen is unknown, each cause once.
    estate.lab.estate().set("api-hang", true);
    let (code, out) = own.check();
    assert!(code == 3 && out.contains("????    kubernetes us-west-2 could not be seen: ") && out.contains("\nUNDECIDED: "), "{out}");
    estate.lab.estate().set("api-hang", false);
    assert_eq!(own.check().0, 0, "as before");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cluster_is_needed() {
    let own = Endpoints::start().await;
    let said = own.init(&["--url", &own.urls[0], "--url", &own.urls[1]]);
    assert!(said.starts_with("there is no ~/.kube/config, so no cluster is named; ") && said.contains("named: 0 clusters, 2 endpoints, "), "{said}");
    let (code, out) = own.check();
    assert!(code == 0 && out.contains("\nGO: 6 checks passed; 6 of "), "{out}");

    // A kubeconfig that is gone hides no endpoint.
    let said = own.init(&["--kubeconfig", "gone", "--url", &own.urls[0]]);
    assert!(said.contains("left out: read gone: no such file") && said.contains("named: 0 clusters, 1 endpoint, "), "{said}");
    // One that is set to nothing is none, as for kubectl.
    let (code, _, errors) = run(own.command().args(["config", "init"]).env("KUBECONFIG", ""));
    assert!(code == 0 && errors.starts_with("there is no ~/.kube/config"), "{errors}");
}

/// Where nothing is named yet, no word is true but that nothing is known.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_no_go() {
    let own = Endpoints::start().await;
    let (code, text, said) = run(own.command().args(["config", "init"]));
    assert!(code == 0 && said.contains("nothing is named yet: `readiness-exporter config init --url "), "{said}");
    std::fs::write(own.folder.path().join("readiness.yaml"), text).unwrap();
    let (code, out, errors) = run(own.command().args(["check"]));
    assert_eq!(code, 3, "{out}");
    assert!(
        out.contains("\nUNDECIDED: no required check could be ticked; 0 of ") && errors.contains("warning: collectors: none is configured"),
        "{out}{errors}"
    );
    // As after a command whose output was redirected and that failed.
    std::fs::write(own.folder.path().join("readiness.yaml"), "").unwrap();
    let (code, out, errors) = run(own.command().args(["check"]));
    assert!(code == 3 && errors.contains("`readiness-exporter config init` prints a file with your clusters and endpoints"), "{out}{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_named_is_told_and_nothing_is_printed() {
    let own = Endpoints::start().await;
    let wrong = |arguments: &[&str]| {
        let (code, out, errors) = run(own.command().args(["config", "init"]).args(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{errors}");
        errors
    };
    let told = wrong(&["--url", "app.example.com/healthz", "--url", "ftp://a", "--url", &own.urls[0]]);
    assert!(told.starts_with("readiness-exporter: 2 URLs cannot be taken:\n  --url: must be a URL that begins with a scheme"), "{told}");
    assert!(told.contains("; did you mean https://app.example.com/...? (got \"app.example.com/healthz\")\n"), "{told}");
    let user = "apiVersion: v1\nkind: Config\nclusters: [{ name: c, cluster: { server: 'https://a.test' } }]\ncontexts: [{ name: production, context: { cluster: c, user: u } }]\nusers: [{ name: u, user: { token: t } }]\n";
    std::fs::write(own.folder.path().join("kubeconfig"), user).unwrap();
    let context = |name: &str| wrong(&["--kubeconfig", "kubeconfig", "--context", name]);
    assert_eq!(context("prodution"), "readiness-exporter: no context is named prodution; did you mean production?\n");
    assert_eq!(context("lab"), "readiness-exporter: no context is named lab; known are production\n");
    assert!(wrong(&["--context", "lab"]).contains("there is no ~/.kube/config, so there is no context; "));
}
