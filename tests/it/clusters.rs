//! Clusters that change under the exporter: tokens that rotate, permissions that are missing, one
//! that hangs beside others, and clusters that are found through AWS.

use std::time::Duration;

use readiness_exporter::checklist::{CheckState, Decision};

use crate::common::{Estate, exporter, names, run, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_rotates_is_read_again() {
    let estate = Estate::start().await;
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.rotate_token().unwrap();
    // A change of that cluster, kubelets included, is seen with the new token.
    for (fault, check) in [("node-cordoned", "NodeCordoned"), ("storage-high-in-london", "NodeStorageHigh")] {
        estate.lab.estate().set(fault, true);
        until(&app, check, |judgement| {
            let unknown = names(judgement, &[CheckState::Unknown]);
            unknown.is_empty() && names(judgement, &[CheckState::Fail, CheckState::Warn]) == [check]
        })
        .await;
        estate.lab.estate().set(fault, false);
        until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_hangs_changes_nothing_for_the_others() {
    let estate = Estate::start().await;
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("api-hang", true);
    until(&app, "us-west-2 is unknown", |judgement| names(judgement, &[CheckState::Unknown]).contains(&"NodeNotReady".to_owned())).await;
    estate.lab.estate().set("node-disk-pressure", true);
    let judgement = until(&app, "us-east-2 is red", |judgement| names(judgement, &[CheckState::Fail]) == ["NodeDiskPressure"]).await;
    let check = judgement.checks().find(|check| check.name == "NodeDiskPressure").unwrap();
    let of = |cluster: &str| check.lines.iter().filter(|line| line.labels.get("cluster") == Some(cluster)).map(|line| line.state).collect::<Vec<_>>();
    assert_eq!(of("us-west-2"), [CheckState::Unknown]);
    assert_eq!(of("eu-west-2"), [CheckState::Pass; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_a_fact_that_names_it() {
    let estate = Estate::start().await;
    estate.lab.estate().set("forbidden-quotas", true);
    let app = estate.exporter();
    let judgement = until(&app, "only quotas are unknown", |judgement| {
        judgement.decision == Decision::Undecided && names(judgement, &[CheckState::Unknown]) == ["ResourceQuotaNearlyUsed"]
    })
    .await;
    assert!(app.exposition().text().contains("readiness_permission_missing{cluster=\"us-west-2\",verb=\"list and watch\",resource=\"resourcequotas\"} 1\n"));
    let report = readiness_exporter::report::text(&[judgement], false, None);
    assert!(report.contains("us-west-2 / resource-quotas / ResourceQuota: list resourcequotas: status 403 (Forbidden)."), "{report}");
}

/// The binary finds an EKS cluster, signs its token and sees it; a cluster that AWS does not know
/// says so.
#[tokio::test(flavor = "multi_thread")]
async fn an_eks_cluster_is_found_by_name_and_region() {
    let estate = Estate::for_one_look().await;
    let east = |name: &str| format!("clusters:\n  - name: us-east-2\n    eks: {{ name: {name}, region: us-east-2 }}\n  - name: us-west-2\n");
    let kubeconfig = estate.configuration.split("  - name: us-west-2\n").next().unwrap().rsplit_once("clusters:\n").unwrap().0.to_owned();
    let check = |name: &str| {
        let rest = estate.configuration.split_once("  - name: us-west-2\n").unwrap().1;
        std::fs::write(estate.file(), format!("{kubeconfig}{}{rest}", east(name))).unwrap();
        let mut command = exporter();
        command.args(["check", "--output", "text", "--all", "--config.file"]).arg(estate.folder.path().join("readiness.yaml"));
        command.env("AWS_ENDPOINT_URL", estate.lab.aws()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "AKIDLAB").env("AWS_SECRET_ACCESS_KEY", "not-a-real-one");
        run(&mut command)
    };
    let (code, seen, _) = check("us-east-2");
    assert!(seen.contains("pass    W3.13") && seen.contains("pass    W3.2 All nodes below 60% of their disk [9 good]"), "{code}\n{seen}");
    let (code, unseen, log) = check("unheard-of");
    assert_eq!(code, 3, "{unseen}");
    assert!(unseen.contains("ask EKS for cluster unheard-of in us-east-2: ResourceNotFoundException"), "{unseen}");
    for text in [seen, unseen, log] {
        assert!(!text.contains("not-a-real-one") && !text.contains("k8s-aws-v1"), "a secret left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_configuration_comes_from_a_kubeconfig_and_names_its_permissions() {
    let estate = Estate::start().await;
    let kubeconfig = estate.lab.dir().join("kubeconfig");
    let (code, text, error) = run(exporter().args(["config", "init", "--kubeconfig"]).arg(&kubeconfig));
    assert_eq!(code, 0, "{error}");
    let file = estate.folder.path().join("first.yaml");
    std::fs::write(&file, &text).unwrap();
    let (code, said, error) = run(exporter().args(["config", "check", "--config.file"]).arg(&file));
    assert_eq!(code, 0, "{said}{error}");
    // As kubectl does, it reads every file of KUBECONFIG that is there, and of contexts of one name takes the first.
    let copy = estate.lab.dir().join("copy");
    std::fs::copy(&kubeconfig, &copy).unwrap();
    let several = std::env::join_paths([&estate.lab.dir().join("absent"), &kubeconfig, &copy]).unwrap();
    let (code, both, error) = run(exporter().args(["config", "init"]).env("KUBECONFIG", several));
    assert!(code == 0 && both.contains("name: us-east-2\n") && !both.contains("us-east-2-2") && !both.contains("/copy"), "{both}{error}");
    assert!(both.contains("# The context us-east-2 is left out: read the kubeconfig: a file before has a context of that name"), "{both}");
    let roles = |cluster: &str| {
        let (code, roles, error) = run(exporter().args(["config", "rbac", "--cluster", cluster, "--config.file"]).arg(estate.file()));
        assert_eq!(code, 0, "{error}");
        for never in ["\"*\"", "- delete\n", "- patch\n", "- update\n"] {
            assert!(!roles.contains(never), "{never} is in\n{roles}");
        }
        roles
    };
    // Secrets are named, each in its namespace, and nothing can list any.
    let (east, london) = (roles("us-east-2"), roles("eu-west-2"));
    let mut names = Vec::new();
    for role in east.split("---").filter(|part| part.contains("- secrets\n")) {
        assert!(role.contains("kind: Role\n") && role.contains("  namespace: "), "{role}");
        for rule in role.split("- apiGroups").filter(|rule| rule.contains("- secrets\n")) {
            let (_, named) = rule.split_once("resourceNames:\n").unwrap_or_else(|| panic!("every Secret is named: {rule}"));
            // The list of names ends where the next key begins.
            let listed = named.lines().map(str::trim).map_while(|line| line.strip_prefix("- "));
            names.extend(listed.map(str::to_owned));
            assert!(!rule.contains("- list\n") && !rule.contains("- watch\n"), "{rule}");
        }
    }
    names.sort();
    assert_eq!(names, ["gcloud-auth", "llm-key", "llm-key-copy", "pull", "wildcard"]);
    assert!(!london.contains("secrets"), "{london}");
    // With a token of its own the exporter asks kubelets itself, and needs far less for it.
    for part in ["kind: ClusterRole\n", "kind: Role\n", "- nodes/proxy\n", "resourceNames:\n", "- subjectaccessreviews\n", "- nodepools\n"] {
        assert!(east.contains(part), "{part} is not in\n{east}");
    }
    assert!(london.contains("- nodes/stats\n") && !london.contains("nodes/proxy") && !london.contains("subjectaccessreviews"), "{london}");
    let (code, _, error) = run(exporter().args(["config", "rbac", "--cluster", "us-east", "--config.file"]).arg(estate.file()));
    assert!(code == 2 && error.contains("did you mean us-east-2?"), "{error}");
}

/// The configuration with the clusters of a kubeconfig that a test wrote.
fn with_kubeconfig(estate: &Estate, change: impl Fn(String) -> String) -> String {
    let own = std::fs::read_to_string(estate.lab.dir().join("kubeconfig")).unwrap();
    let file = estate.lab.dir().join("kubeconfig-of-the-test");
    std::fs::write(&file, change(own)).unwrap();
    estate.configuration.replace(&format!("{}/kubeconfig\n", estate.lab.dir().display()), &format!("{}\n", file.display()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_of_a_kubeconfig_makes_the_token() {
    let mut estate = Estate::start().await;
    let folder = estate.lab.dir().to_owned();
    let plugin = |token: &str| {
        let said = serde_json::json!({ "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": { "token": token } });
        std::fs::write(folder.join("plugin.json"), said.to_string()).unwrap();
        let file = folder.join("plugin.json");
        format!("user: {{ exec: {{ apiVersion: client.authentication.k8s.io/v1, command: cat, args: [\"{}\"], interactiveMode: Never }} }}", file.display())
    };
    let token = |text: &str| {
        let (_, rest) = text.split_once("- name: us-west-2\n  user: { token: ").unwrap();
        rest.split_once(' ').unwrap().0.to_owned()
    };
    estate.configuration = with_kubeconfig(&estate, |text| {
        let own = token(&text);
        text.replacen(&format!("user: {{ token: {own} }}"), &plugin(&own), 1)
    });
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(Duration::from_secs(1)).await;
    // A plugin that is not there is a cluster that cannot be seen.
    estate.configuration = with_kubeconfig(&estate, |text| {
        let own = token(&text);
        text.replacen(&format!("user: {{ token: {own} }}"), &plugin(&own).replace("command: cat", "command: no-such-plugin"), 1)
    });
    let app = estate.exporter();
    let judgement = until(&app, "us-west-2 is unknown", |judgement| names(judgement, &[CheckState::Unknown]).contains(&"NodeNotReady".to_owned())).await;
    assert_ne!(judgement.decision, Decision::Go);
    app.shutdown(Duration::from_secs(1)).await;
}

/// A proxy that opens tunnels, and counts them. The first `lost` connections are cut.
async fn tunnels(address: std::net::SocketAddr, lost: usize) -> std::sync::Arc<std::sync::atomic::AtomicUsize> {
    use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
    let count = std::sync::Arc::<std::sync::atomic::AtomicUsize>::default();
    let (listener, opened) = (tokio::net::TcpListener::bind(address).await.unwrap(), std::sync::Arc::clone(&count));
    tokio::spawn(async move {
        for _ in 0..lost {
            drop(listener.accept().await);
        }
        while let Ok((stream, _)) = listener.accept().await {
            let opened = std::sync::Arc::clone(&opened);
            tokio::spawn(async move {
                let mut stream = tokio::io::BufReader::new(stream);
                let mut first = String::new();
                stream.read_line(&mut first).await.ok()?;
                let mut line = String::new();
                while stream.read_line(&mut line).await.ok()? > 2 {
                    line.clear();
                }
                let target = first.strip_prefix("CONNECT ")?.split(' ').next()?;
                let mut onward = tokio::net::TcpStream::connect(target).await.ok()?;
                opened.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.ok()?;
                tokio::io::copy_bidirectional(&mut stream, &mut onward).await.ok()
            });
        }
    });
    count
}

/// London's API server is reached through a proxy.
async fn behind_a_proxy(mut estate: Estate, lost: usize) -> (Estate, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let address = format!("{}:3128", estate.lab.host());
    let opened = tunnels(address.parse().unwrap(), lost).await;
    let london = "  - name: eu-west-2\n";
    assert!(estate.configuration.contains(london));
    estate.configuration = estate.configuration.replacen(london, &format!("{london}    proxy: http://{address}\n"), 1);
    (estate, opened)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_does_not_decide_for_a_pipeline() {
    let (estate, opened) = behind_a_proxy(Estate::for_one_look().await, 1).await;
    let (code, said, log) = run(exporter().args(["check", "--config.file"]).arg(estate.file()));
    assert_eq!(code, 0, "{said}{log}");
    assert!(opened.load(std::sync::atomic::Ordering::SeqCst) > 0, "others went through");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_can_be_behind_a_proxy() {
    let (estate, opened) = behind_a_proxy(Estate::start().await, 0).await;
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    assert!(opened.load(std::sync::atomic::Ordering::SeqCst) > 0, "it went through the proxy");
    app.shutdown(Duration::from_secs(1)).await;
}
