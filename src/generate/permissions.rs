//! What the exporter's identity must be allowed to do in a cluster, as manifests: nothing beyond
//! what the configuration makes it ask.
//!
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/rbac/>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::collectors::CollectorsConfig;
use crate::collectors::kubernetes::{ClusterConfig, Permission};

/// Name of everything that is made, and of the service account.
const NAME: &str = "readiness-exporter";

/// A service account with its roles and bindings for one cluster.
pub fn manifests(collectors: &CollectorsConfig, cluster: &ClusterConfig, namespace: &str) -> String {
    let mut scopes: BTreeMap<Option<String>, Vec<Permission>> = BTreeMap::new();
    for permission in collectors.permissions(cluster) {
        scopes.entry(permission.namespace.clone()).or_default().push(permission);
    }
    let mut documents = vec![json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": NAME, "namespace": namespace } })];
    for (scope, permissions) in scopes {
        documents.extend(role(scope.as_deref(), &permissions, namespace));
    }
    let header = format!("# What readiness-exporter reads in {}, from its configuration. Made by `readiness-exporter config rbac`.\n", cluster.name);
    // Plain strings and maps always serialise.
    documents.iter().fold(header, |text, document| format!("{text}---\n{}", serde_saphyr::to_string(document).unwrap_or_default()))
}

fn role(scope: Option<&str>, permissions: &[Permission], account: &str) -> [Value; 2] {
    let (kind, binding) = if scope.is_some() { ("Role", "RoleBinding") } else { ("ClusterRole", "ClusterRoleBinding") };
    let mut metadata = json!({ "name": NAME });
    if let Some(namespace) = scope {
        metadata["namespace"] = json!(namespace);
    }
    let rules = merged(permissions);
    [
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata, "rules": rules }),
        json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": binding, "metadata": metadata,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": NAME },
            "subjects": [{ "kind": "ServiceAccount", "name": NAME, "namespace": account }] }),
    ]
}

/// Group, verbs and names, which make one rule for all resources that share them.
type Way<'a> = (&'a str, &'static [&'static str], &'a [String]);

fn merged(permissions: &[Permission]) -> Vec<Value> {
    let mut rules: BTreeMap<Way<'_>, BTreeSet<&str>> = BTreeMap::new();
    for permission in permissions {
        rules.entry((&permission.group, permission.verbs, &permission.names)).or_default().insert(&permission.resource);
    }
    let rule = |((group, verbs, names), resources): (Way<'_>, BTreeSet<&str>)| {
        let mut rule = json!({ "apiGroups": [group], "resources": resources, "verbs": verbs });
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    };
    rules.into_iter().map(rule).collect()
}
