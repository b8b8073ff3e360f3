//! A configuration to start from, with a cluster for each context of a kubeconfig.

use std::fmt::Write as _;
use std::path::Path;

use kube::config::AuthInfo;

use super::config::{ClusterConfig, Eks};
use super::kubeconfig;
use crate::files;
use crate::say;
use crate::say::Message;

/// The `clusters` section for the contexts of a kubeconfig. Contexts that get their token from the
/// AWS CLI become EKS clusters, since a container of this program has no such CLI.
pub fn clusters(file: &Path) -> Result<Vec<ClusterConfig>, Message> {
    let failed = |why: Message| say!("read {}: {}", file.display(), why);
    let content = files::read_now(file, kubeconfig::LARGEST).map_err(|error| failed(say!("{}", error)))?;
    let kubeconfig = kubeconfig::parse(&content.bytes).map_err(failed)?;
    let mut clusters: Vec<ClusterConfig> = Vec::new();
    for named in &kubeconfig.contexts {
        let user = named.context.as_ref().and_then(|context| context.user.as_ref());
        let auth = user.and_then(|user| kubeconfig.auth_infos.iter().find(|auth| auth.name == *user)).and_then(|auth| auth.auth_info.as_ref());
        let eks = auth.and_then(eks);
        let name = short(&named.name);
        let taken = clusters.iter().filter(|other| other.name == name || other.name.starts_with(&format!("{name}-"))).count();
        let name = if taken == 0 { name } else { format!("{name}-{}", taken + 1) };
        let (kubeconfig, context) = if eks.is_some() { (None, None) } else { (Some(file.to_owned()), Some(named.name.clone())) };
        clusters.push(ClusterConfig {
            name,
            in_cluster: false,
            kubeconfig,
            context,
            server: None,
            ca_file: None,
            token: None,
            eks,
            version: None,
            proxy: None,
        });
    }
    if clusters.is_empty() { Err(say!("read {}: it names no context", file.display())) } else { Ok(clusters) }
}

/// The last part of an ARN or of a name with slashes, which reads better as a label.
fn short(context: &str) -> String {
    context.rsplit('/').next().unwrap_or(context).to_owned()
}

/// The cluster that `aws eks get-token` and `aws-iam-authenticator token` are told.
fn eks(auth: &AuthInfo) -> Option<Eks> {
    let exec = auth.exec.as_ref()?;
    let command = exec.command.as_deref()?.rsplit('/').next()?;
    let arguments = exec.args.as_deref().unwrap_or_default();
    let after = |flags: &[&str]| arguments.iter().position(|argument| flags.contains(&argument.as_str())).and_then(|at| arguments.get(at + 1)).cloned();
    let known = match command {
        "aws" => arguments.iter().any(|argument| argument == "get-token"),
        "aws-iam-authenticator" => arguments.iter().any(|argument| argument == "token"),
        _ => false,
    };
    let set = |name: &str| {
        exec.env
            .as_deref()
            .unwrap_or_default()
            .iter()
            .find(|entry| entry.get("name").is_some_and(|own| own == name))
            .and_then(|entry| entry.get("value").cloned())
    };
    let region = after(&["--region"]).or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
    let name = after(&["--cluster-name", "--cluster-id", "-i"]);
    known.then_some(Eks { name: name?, region: region?, role_arn: after(&["--role-arn", "--role", "-r"]) })
}

/// A whole file with these clusters, and what else a first configuration needs, in comments.
pub fn configuration(clusters: &[ClusterConfig]) -> String {
    #[derive(serde::Serialize)]
    struct Section<'a> {
        clusters: &'a [ClusterConfig],
    }
    // Plain strings and maps always serialise.
    let mut text = serde_saphyr::to_string(&Section { clusters }).unwrap_or_default();
    text.insert_str(0, "# Made by `readiness-exporter config init`. `readiness-exporter config check` says what is wrong with it.\n\n");
    let _ = write!(text, "{REST}");
    text
}

const REST: &str = r#"
collectors:
  # Nodes, pods, events, storage of nodes, quotas and classes are looked at without further words.
  kubernetes:
    workloads: []
    #  - { name: control-plane, kind: Deployment, namespace: coder, labels: "app.kubernetes.io/name=coder" }
    services: []
    #  - { namespace: coder, name: coder }
    # workspaces: [{ name: workspaces, namespaces: [coder-ws], labels: { app.kubernetes.io/name: coder-workspace } }]
    # karpenter: { node_classes: ec2 }

# events:
#   - { name: workshop, time_zone: Europe/London, start: "2027-01-15T09:00", duration: 3h, participants: 20 }
"#;

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters:
- { name: a, cluster: { server: "https://a.example.com" } }
contexts:
- { name: "arn:aws:eks:us-east-2:123456789012:cluster/workshop", context: { cluster: a, user: east } }
- { name: "arn:aws:eks:eu-west-2:123456789012:cluster/workshop", context: { cluster: a, user: west } }
- { name: kind-local, context: { cluster: a, user: local } }
users:
- name: east
  user: { exec: { apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [--region, us-east-2, eks, get-token, --cluster-name, workshop, --role-arn, "arn:aws:iam::123456789012:role/reader"] } }
- name: west
  user: { exec: { apiVersion: client.authentication.k8s.io/v1beta1, command: /usr/local/bin/aws-iam-authenticator, args: [token, -i, workshop], env: [{ name: AWS_REGION, value: eu-west-2 }] } }
- { name: local, user: { token: hunter2 } }
"#;

    #[test]
    fn each_context_becomes_a_cluster_and_aws_commands_become_eks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, KUBECONFIG).unwrap();
        let found = clusters(&file).unwrap();
        let names: Vec<&str> = found.iter().map(|cluster| cluster.name.as_str()).collect();
        assert_eq!(names, ["workshop", "workshop-2", "kind-local"]);
        let role_arn = Some("arn:aws:iam::123456789012:role/reader".to_owned());
        assert_eq!(found[0].eks, Some(Eks { name: "workshop".into(), region: "us-east-2".into(), role_arn }));
        assert_eq!(found[1].eks, Some(Eks { name: "workshop".into(), region: "eu-west-2".into(), role_arn: None }));
        assert_eq!((found[2].eks.clone(), found[2].context.as_deref()), (None, Some("kind-local")));
        let text = configuration(&found);
        assert!(!text.contains("hunter2"), "{text}");
        let loaded = crate::config::load_str(&text, "init", folder.path(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(loaded.settings.clusters.len(), 3);
    }
}
