//! Clusters to begin with: one for each API server of a kubeconfig.

use std::collections::BTreeSet;
use std::path::Path;

use kube::config::{AuthInfo, Cluster, Kubeconfig, NamedContext};

use crate::aws;
use crate::collectors::kubernetes::client::kubeconfig;
use crate::collectors::kubernetes::config::{ClusterConfig, Eks};
use crate::files;
use crate::say;
use crate::say::{Message, named};
use crate::value::{Problem, Url};
use crate::word::did_you_mean;

/// What a kubeconfig leads to.
#[derive(Debug, Default)]
pub struct Found {
    /// A cluster for each API server.
    pub clusters: Vec<ClusterConfig>,
    /// Names of contexts that lead to one of them as well.
    pub left_out: Vec<String>,
    /// Names of contexts that lead nowhere, with the reason.
    pub unusable: Vec<(String, Message)>,
    /// API servers that a cluster leads to, with the proxy behind which they are.
    servers: Vec<(String, String)>,
    /// Contexts of the files before: of several of one name kubectl takes the first.
    contexts: BTreeSet<String>,
    /// How many files were read.
    pub files: usize,
    /// Names of the contexts that alone are wanted; of all when empty.
    wanted: Vec<String>,
}

impl Found {
    /// Nothing yet, where these contexts alone are wanted, or all if there are none.
    pub fn of(wanted: Vec<String>) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Whether some contexts alone are wanted.
    pub const fn is_choosy(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Those that are wanted and stand in no kubeconfig, each with the name that it is like.
    pub fn absent(&self) -> impl Iterator<Item = Message> {
        let absent = self.wanted.iter().filter(|name| !self.contexts.contains(*name));
        let known = || self.contexts.iter().map(|name| say!("{}", named(name)));
        absent.map(move |name| match did_you_mean(name, self.contexts.iter().map(String::as_str)) {
            hint if hint.as_str().is_empty() => say!("no context is named {}; known are {}", named(name), Message::joined(known(), ", ")),
            hint => say!("no context is named {}{}", named(name), hint),
        })
    }
}

/// A name that no cluster has yet: this one, or the same with a number behind it.
fn free_name(clusters: &[ClusterConfig], wanted: &str) -> String {
    let is_taken = |name: &str| clusters.iter().any(|other| other.name == name);
    let numbered = (2..).map(|number| format!("{wanted}-{number}"));
    std::iter::once(wanted.to_owned()).chain(numbered).find(|name| !is_taken(name)).unwrap_or_default()
}

/// Adds the `clusters` section for the contexts of a kubeconfig. Contexts that get their token from the
/// AWS CLI become EKS clusters, since a container of this program has no such CLI.
pub fn add(found: &mut Found, file: &Path) -> Result<(), Message> {
    let failed = |why: Message| say!("read {}: {}", file.display(), why);
    let content = files::read_now(file, kubeconfig::LARGEST).map_err(|error| failed(say!("{}", error)))?;
    let kubeconfig = kubeconfig::parse(&content.bytes).map_err(failed)?;
    found.files += 1;
    let before = found.clusters.len() + found.left_out.len();
    let mut unusable = Vec::new();
    // Of several contexts for one API server the current one is what its owner uses.
    let current = kubeconfig.current_context.as_deref();
    let place = |named: &NamedContext| {
        let cluster = cluster_of(&kubeconfig, named)?;
        // Behind another proxy the same address is another server.
        Some((cluster.server.clone()?, cluster.proxy_url.clone().unwrap_or_default()))
    };
    let preferred = kubeconfig.contexts.iter().find(|named| current == Some(named.name.as_str())).and_then(place);
    let wanted = std::mem::take(&mut found.wanted);
    for named in kubeconfig.contexts.iter().filter(|named| wanted.is_empty() || wanted.contains(&named.name)) {
        if found.contexts.contains(&named.name) {
            unusable.push((named.name.clone(), say!("a file before has a context of that name, which is the one that kubectl takes")));
            continue;
        }
        if let Some(server) = place(named) {
            let another = wanted.is_empty() && preferred.as_ref() == Some(&server) && current != Some(named.name.as_str());
            if another || found.servers.contains(&server) {
                found.left_out.push(named.name.clone());
                continue;
            }
            found.servers.push(server);
        }
        let user = named.context.as_ref().and_then(|context| context.user.as_ref());
        let auth = user.and_then(|user| kubeconfig.auth_infos.iter().find(|auth| auth.name == *user)).and_then(|auth| auth.auth_info.as_ref());
        let reached = cluster_of(&kubeconfig, named);
        let eks = auth.and_then(eks).filter(|eks| reached.is_some_and(|cluster| is_at_home(cluster, eks)));
        // Of a cluster of EKS its name and region say where it is.
        if let (None, Err(why)) = (&eks, kubeconfig::leads_somewhere(&kubeconfig, &named.name)) {
            unusable.push((named.name.clone(), why));
            continue;
        }
        let short = short(&named.name, named.context.as_ref().map_or("", |context| &context.cluster));
        let name = free_name(&found.clusters, short);
        let proxy = reached.filter(|_| eks.is_some()).and_then(|cluster| cluster.proxy_url.as_deref()).map(Url::new);
        let (kubeconfig, context) = if eks.is_some() { (None, None) } else { (Some(file.to_owned()), Some(named.name.clone())) };
        found.clusters.push(ClusterConfig {
            name,
            in_cluster: false,
            kubeconfig,
            context,
            server: None,
            ca_file: None,
            token: None,
            eks,
            version: None,
            proxy,
        });
    }
    found.wanted = wanted;
    found.contexts.extend(kubeconfig.contexts.iter().map(|named| named.name.clone()));
    let failed = match unusable.first() {
        _ if found.clusters.len() + found.left_out.len() > before => Ok(()),
        None if !found.wanted.is_empty() => Ok(()),
        Some((_, why)) => Err(say!("read {}: none of its contexts can be used: {}", file.display(), why)),
        None => Err(say!("read {}: it names no context", file.display())),
    };
    found.unusable.extend(unusable);
    failed
}

/// The cluster that a context names.
fn cluster_of<'a>(kubeconfig: &'a Kubeconfig, named: &NamedContext) -> Option<&'a Cluster> {
    let wanted = named.context.as_ref().map(|context| &context.cluster)?;
    kubeconfig.clusters.iter().find(|cluster| cluster.name == *wanted)?.cluster.as_ref()
}

/// Whether a cluster of EKS is reached where AWS says that it is, so that its name and region are enough. The end of a tunnel
/// is known to the kubeconfig alone, and so is a proxy that `clusters` cannot name.
fn is_at_home(cluster: &Cluster, eks: &Eks) -> bool {
    let host = cluster.server.as_deref().and_then(|server| url::Url::parse(server).ok()).and_then(|server| Some(server.host_str()?.to_owned()));
    let ends = [format!(".eks.{}", aws::domain(&eks.region)), format!(".{}.api.aws", eks.region)];
    let can_be_named = |proxy: &String| {
        url::Url::parse(proxy).is_ok_and(|proxy| matches!(proxy.scheme(), "http" | "https") && proxy.username().is_empty() && proxy.password().is_none())
    };
    let is_named = cluster.tls_server_name.is_none() && cluster.proxy_url.as_ref().is_none_or(can_be_named);
    is_named && host.is_some_and(|host| ends.iter().any(|end| host.ends_with(end)))
}

/// Every kubeconfig of a configuration that is there and cannot be used. That stops no start, since the file may be
/// mended while the exporter runs. Reads on this thread.
pub(crate) fn unusable(clusters: &[ClusterConfig], problems: &mut Vec<Problem>) {
    for (index, cluster) in clusters.iter().enumerate() {
        let Some(file) = &cluster.kubeconfig else { continue };
        let key = if cluster.context.is_some() { "context" } else { "kubeconfig" };
        let told = kubeconfig::check_now(file, cluster.context.as_deref()).err();
        problems.extend(told.map(|why| Problem::bare(format!("clusters[{index}].{key}"), why.as_str())));
    }
}

/// The part of a name with slashes that names the cluster, as in `namespace/cluster/user` of `OpenShift`, or
/// the last one, as in an ARN: it reads better as a label.
fn short<'a>(context: &'a str, cluster: &str) -> &'a str {
    let mut parts = context.rsplit('/');
    parts.clone().find(|part| *part == cluster).or_else(|| parts.next()).unwrap_or(context)
}

/// Flags of `aws eks get-token` and `aws-iam-authenticator token` that are understood here.
const FLAGS: [&str; 9] = ["--region", "--profile", "--cluster-name", "--cluster-id", "-i", "--role-arn", "--role", "-r", "--output"];
/// Variables that are understood here, or that change nothing.
const VARIABLES: [&str; 5] = ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_STS_REGIONAL_ENDPOINTS"];

/// The cluster that `aws eks get-token` and `aws-iam-authenticator token` are told. `None` for whatever
/// else they are told, since that may be another account: then the plugin is asked itself. Nor is it known as whom else
/// somebody asks, which a kubeconfig alone can say.
fn eks(auth: &AuthInfo) -> Option<Eks> {
    if auth.impersonate.is_some() || auth.impersonate_groups.is_some() {
        return None;
    }
    let exec = auth.exec.as_ref()?;
    let command = exec.command.as_deref()?.rsplit('/').next()?;
    let arguments = exec.args.as_deref().unwrap_or_default();
    let after = |flags: &[&str]| {
        let mut pairs = arguments.iter().zip(arguments.iter().skip(1).map(Some).chain([None]));
        pairs.find_map(|(argument, next)| match argument.split_once('=') {
            Some((flag, value)) => flags.contains(&flag).then(|| value.to_owned()),
            None => next.filter(|_| flags.contains(&argument.as_str())).cloned(),
        })
    };
    let flag = |argument: &str| argument.split_once('=').map_or_else(|| argument.to_owned(), |(flag, _)| flag.to_owned());
    let strange = arguments.iter().any(|argument| argument.starts_with('-') && !FLAGS.contains(&flag(argument).as_str()));
    let variables = exec.env.as_deref().unwrap_or_default();
    if strange || !variables.iter().all(|entry| entry.get("name").is_some_and(|name| VARIABLES.contains(&name.as_str()))) {
        return None;
    }
    let known = match command {
        "aws" => arguments.iter().any(|argument| argument == "get-token"),
        "aws-iam-authenticator" => arguments.iter().any(|argument| argument == "token"),
        _ => false,
    };
    // An empty one is as good as none to AWS.
    let set = |name: &str| {
        let own = variables.iter().find(|entry| entry.get("name").is_some_and(|own| own == name));
        own.and_then(|entry| entry.get("value").cloned()).filter(|value| !value.is_empty())
    };
    let region = after(&["--region"]).or_else(|| set("AWS_REGION")).or_else(|| set("AWS_DEFAULT_REGION"));
    let name = after(&["--cluster-name", "--cluster-id", "-i"]);
    let profile = after(&["--profile"]).or_else(|| set("AWS_PROFILE")).or_else(|| set("AWS_DEFAULT_PROFILE"));
    known.then_some(Eks { name: name?, region: region?, role_arn: after(&["--role-arn", "--role", "-r"]), profile })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(found: &Found) -> String {
        crate::config::begin::configuration(found, &crate::config::begin::Endpoints::default())
    }

    const KUBECONFIG: &str = r#"
apiVersion: v1
kind: Config
clusters:
- { name: a, cluster: { server: "https://A0.gr7.us-east-2.eks.amazonaws.com" } }
- { name: b, cluster: { server: "https://B0.gr7.eu-west-2.eks.amazonaws.com" } }
- { name: c, cluster: { server: "https://c.example.com" } }
contexts:
- { name: "arn:aws:eks:us-east-2:123456789012:cluster/workshop", context: { cluster: a, user: east } }
- { name: "arn:aws:eks:eu-west-2:123456789012:cluster/workshop", context: { cluster: b, user: west } }
- { name: kind-local, context: { cluster: c, user: local } }
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
        let found = found_in(&[&file]).clusters;
        let names: Vec<&str> = found.iter().map(|cluster| cluster.name.as_str()).collect();
        assert_eq!(names, ["workshop", "workshop-2", "kind-local"]);
        let role_arn = Some("arn:aws:iam::123456789012:role/reader".to_owned());
        assert_eq!(found[0].eks, Some(Eks { name: "workshop".into(), region: "us-east-2".into(), role_arn, profile: None }));
        assert_eq!(found[1].eks, Some(Eks { name: "workshop".into(), region: "eu-west-2".into(), role_arn: None, profile: None }));
        assert_eq!((found[2].eks.clone(), found[2].context.as_deref()), (None, Some("kind-local")));
        let text = configuration(&Found { clusters: found, ..Found::default() });
        assert!(!text.contains("hunter2"), "{text}");
        let loaded = crate::config::load_str(&text, "init", folder.path(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(loaded.settings.clusters.len(), 3);
    }

    fn found_in(files: &[&Path]) -> Found {
        let mut found = Found::default();
        for file in files {
            add(&mut found, file).unwrap();
        }
        found
    }

    #[test]
    fn several_files_are_read_as_kubectl_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let of = |context: &str, server: &str| {
            format!(
                "clusters: [{{ name: c, cluster: {{ server: '{server}' }} }}]\ncontexts: [{{ name: {context}, context: {{ cluster: c, user: u }} }}]\nusers: [{{ name: u, user: {{ token: hunter2 }} }}]\n"
            )
        };
        let [first, copy] = ["first", "copy"].map(|name| file(name, &of(name, "https://a.test")));
        let shadowed = file("shadowed", &of("first", "https://b.test"));
        let other = file("other", &of("other", "https://c.test"));
        let mut found = found_in(&[&first, &copy, &other]);
        assert!(add(&mut found, &shadowed).is_err());
        let names: Vec<&str> = found.clusters.iter().map(|cluster| cluster.name.as_str()).collect();
        assert_eq!((names, found.left_out.as_slice()), (vec!["first", "other"], ["copy".to_owned()].as_slice()));
        let text = configuration(&found);
        assert!(text.contains("# The context copy leads to the API server of one above."), "{text}");
        assert!(text.contains("# The context first is left out: read the kubeconfig: a file before has a context of that name"), "{text}");
        assert!(text.contains("`kubectl config view --flatten`"), "{text}");
        crate::config::load_str(&text, "init", folder.path(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
    }

    fn of(text: &str) -> Vec<ClusterConfig> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, text).unwrap();
        let found = found_in(&[&file]);
        let text = configuration(&found);
        for context in &found.left_out {
            assert!(text.contains(&format!("# The context {context} leads to the API server of one above.\n")), "{text}");
        }
        crate::config::load_str(&text, "init", folder.path(), None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        found.clusters
    }

    /// What leads nowhere becomes no cluster, and each such kubeconfig of a configuration is told with whatever else
    /// is wrong.
    #[test]
    fn a_context_that_leads_nowhere_is_told() {
        let ghost = "- { name: kind-local, context: { cluster: c, user: local } }\n- { name: ghost, context: { cluster: ghost, user: local } }";
        let text = KUBECONFIG.replace("- { name: kind-local, context: { cluster: c, user: local } }", ghost);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, text).unwrap();
        let found = found_in(&[&file]);
        assert_eq!(found.clusters.len(), 3);
        let begun = configuration(&found);
        let why = "its context names a cluster that it does not have";
        assert!(begun.contains(&format!("# The context ghost is left out: read the kubeconfig: {why}.\n")), "{begun}");
        let path = folder.path().join("readiness.yaml");
        let wrong = "clusters: [{ name: a, kubeconfig: kubeconfig, context: ghost }, { name: b, kubeconfig: kubeconfig, context: kind-local }]\ncollectors: { http: { targets: [{ name: x, url: 'ftp://x' }] } }\n";
        std::fs::write(&path, wrong).unwrap();
        let told = crate::config::check(&path).unwrap_err().to_string();
        assert!(told.contains(&format!("clusters[0] (a).context: read {}: {why}\n", file.display())), "{told}");
        assert!(told.contains("has 2 problems") && told.contains("collectors.http.targets[0] (x).url"), "{told}");
        // It stops no start.
        std::fs::write(&path, wrong.replace("ftp:", "http:")).unwrap();
        assert!(crate::config::load(&path).is_ok());
    }

    /// Two accounts, each with a cluster of the same name in the same region.
    #[test]
    fn profiles_and_accounts_stay_apart() {
        let context = |name: &str, server: &str, exec: &str| {
            let kubeconfig = format!(
                "{{ apiVersion: v1, kind: Config, clusters: [{{ name: c, cluster: {{ server: 'https://{server}' }} }}], contexts: [{{ name: {name}, context: {{ cluster: c, user: u }} }}], users: [{{ name: u, user: {{ exec: {{ apiVersion: client.authentication.k8s.io/v1beta1, command: aws, {exec} }} }} }}] }}"
            );
            of(&kubeconfig).remove(0)
        };
        let profile = |exec: &str| context("main", "A0.gr7.us-east-2.eks.amazonaws.com", exec).eks.map(|eks| (eks.profile, eks.region));
        let told = |profile: &str| Some((Some(profile.to_owned()), "us-east-2".to_owned()));
        let rest = "--region, us-east-2, eks, get-token, --cluster-name, workshop";
        assert_eq!(profile(&format!("args: [{rest}, --output, json], env: [{{ name: AWS_PROFILE, value: staging }}]")), told("staging"));
        assert_eq!(profile(&format!("args: [--profile, production, {rest}], env: [{{ name: AWS_PROFILE, value: staging }}]")), told("production"));
        assert_eq!(profile("args: ['--profile=production', '--region=us-east-2', eks, get-token, '--cluster-name=workshop']"), told("production"));
        assert_eq!(profile(&format!("args: [{rest}]")), Some((None, "us-east-2".to_owned())));
        // Whoever else is meant is asked through the plugin, as kubectl does.
        for other in [
            format!("args: [{rest}], env: [{{ name: AWS_ACCESS_KEY_ID, value: x }}]"),
            format!("args: [{rest}], env: [{{ name: AWS_CONFIG_FILE, value: x }}]"),
            format!("args: [{rest}, --endpoint-url, x]"),
            "args: [eks, get-token, --cluster-name, workshop]".to_owned(),
        ] {
            let found = context("main", "A0.gr7.us-east-2.eks.amazonaws.com", &other);
            assert!(found.eks.is_none() && found.context.as_deref() == Some("main"), "{other}");
        }
    }

    /// What a kubeconfig of EKS says beside the name of the cluster is not lost.
    #[test]
    fn how_a_cluster_of_eks_is_reached_stays() {
        let context = |cluster: &str, user: &str, env: &str| {
            let exec = format!(
                "{{ apiVersion: client.authentication.k8s.io/v1beta1, command: aws, args: [--region, us-east-2, eks, get-token, --cluster-name, w], env: [{env}] }}"
            );
            let kubeconfig = format!(
                "{{ apiVersion: v1, kind: Config, clusters: [{{ name: c, cluster: {{ {cluster} }} }}], contexts: [{{ name: main, context: {{ cluster: c, user: u }} }}], users: [{{ name: u, user: {{ {user} exec: {exec} }} }}] }}"
            );
            of(&kubeconfig).remove(0)
        };
        let home = "server: 'https://A0.gr7.us-east-2.eks.amazonaws.com'";
        let plain = context(home, "", "{ name: AWS_PROFILE, value: '' }");
        assert_eq!(plain.eks.map(|eks| eks.profile), Some(None), "an empty one is none");
        let behind = context(&format!("{home}, proxy-url: 'http://proxy.example.com:3128'"), "", "");
        assert_eq!((behind.eks.is_some(), behind.proxy.map(|proxy| proxy.to_string())), (true, Some("http://proxy.example.com:3128/".to_owned())));
        for (cluster, user) in [
            ("server: 'https://localhost:8443', tls-server-name: A0.gr7.us-east-2.eks.amazonaws.com", ""),
            ("server: 'https://A0.gr7.us-east-2.eks.amazonaws.com', tls-server-name: other", ""),
            ("server: 'https://A0.gr7.us-east-2.eks.amazonaws.com.example.com'", ""),
            ("server: 'https://A0.gr7.us-east-2.eks.amazonaws.com', proxy-url: 'http://user:hunter2@proxy.example.com:3128'", ""),
            (home, "as: reader,"),
            (home, "as-groups: [readers],"),
        ] {
            let found = context(cluster, user, "");
            assert!(found.eks.is_none() && found.context.as_deref() == Some("main"), "{cluster} {user}");
        }
    }

    #[test]
    fn each_api_server_is_one_cluster_with_a_name_of_its_own() {
        let openshift = |current: &str| {
            let cluster = |side: &str| format!("{{ name: 'api-{side}-example-com:6443', cluster: {{ server: 'https://api.{side}.example.com:6443' }} }}");
            let context = |space: &str, side: &str| {
                format!("{{ name: '{space}/api-{side}-example-com:6443/kube:admin', context: {{ cluster: 'api-{side}-example-com:6443', user: u }} }}")
            };
            let all = [context("default", "east"), context("coder", "east"), context("default", "west")].join(", ");
            of(&format!(
                "{{ apiVersion: v1, kind: Config, current-context: '{current}', clusters: [{}, {}], contexts: [{all}], users: [{{ name: u, user: {{ token: a }} }}] }}",
                cluster("east"),
                cluster("west")
            ))
        };
        let found = openshift("coder/api-east-example-com:6443/kube:admin");
        let names: Vec<&str> = found.iter().map(|cluster| cluster.name.as_str()).collect();
        assert_eq!(names, ["api-east-example-com:6443", "api-west-example-com:6443"]);
        assert_eq!(found[0].context.as_deref(), Some("coder/api-east-example-com:6443/kube:admin"), "the current one");
        let clusters =
            ["x/a-2", "y/a", "z/a"].map(|name| format!("{{ name: '{name}', cluster: {{ server: 'https://{}.example.com' }} }}", &name[..1])).join(", ");
        let contexts = ["x/a-2", "y/a", "z/a"].map(|name| format!("{{ name: '{name}', context: {{ cluster: '{name}', user: u }} }}")).join(", ");
        let found =
            of(&format!("{{ apiVersion: v1, kind: Config, clusters: [{clusters}], contexts: [{contexts}], users: [{{ name: u, user: {{ token: a }} }}] }}"));
        let names: Vec<&str> = found.iter().map(|cluster| cluster.name.as_str()).collect();
        assert_eq!(names, ["a-2", "a", "a-3"]);
    }
}
