//! What a kubeconfig tells about its own life: pure. Nothing here keeps or quotes any of it.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::certificates::{certificates, certificates_and_keys, last_of};
use super::expiry::{Told, jwt};
use super::pair::Unpaired;
use crate::encoded;
use crate::net::Trust;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: Option<String>,
    contexts: Option<Vec<NamedContext>>,
    users: Option<Vec<NamedUser>>,
    clusters: Option<Vec<NamedCluster>>,
}

impl Kubeconfig {
    /// The user and the cluster of its current context, which is all that a client takes of it unless it is told of
    /// another one. A name that stands twice is read by no client.
    /// Source: <https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/>
    fn current(self) -> Result<(User, Place), &'static str> {
        let current = self.current_context.filter(|name| !name.is_empty()).ok_or("it has no current context")?;
        let contexts = self.contexts.unwrap_or_default().into_iter().filter(|own| own.name == current).map(|own| own.context);
        let context = only(contexts).and_then(|context| context).ok_or("its current context is not among its contexts")?;
        let users = self.users.unwrap_or_default().into_iter().filter(|own| own.name == context.user).map(|own| own.user);
        let user = only(users).and_then(|user| user).ok_or("the user of its current context is not among its users")?;
        let clusters = self.clusters.unwrap_or_default().into_iter().filter(|own| own.name == context.cluster).map(|own| own.cluster);
        let cluster = only(clusters).and_then(|cluster| cluster).ok_or("the cluster of its current context is not among its clusters")?;
        Ok((user, cluster))
    }
}

/// The only one of those that have a name.
fn only<T>(mut named: impl Iterator<Item = T>) -> Option<T> {
    named.next().filter(|_| named.next().is_none())
}

#[derive(Deserialize)]
struct NamedContext {
    #[serde(default)]
    name: String,
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    #[serde(default)]
    user: String,
    #[serde(default)]
    cluster: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    #[serde(default)]
    name: String,
    cluster: Option<Place>,
}

/// Where the API server of a cluster is.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Place {
    server: Option<String>,
    certificate_authority_data: Option<String>,
    certificate_authority: Option<String>,
}

impl Place {
    /// The authorities that the server is known by: as good as the last of them that ends, since each is enough.
    /// Clients refuse one that has ended, as they do any certificate.
    fn told(self, now: i64) -> Result<Option<Told>, &'static str> {
        if self.server.is_none_or(|server| server.is_empty()) {
            return Err("the cluster of its current context has no server");
        }
        let Some(data) = self.certificate_authority_data.filter(|data| !data.is_empty()) else {
            return Ok(self.certificate_authority.map(|_| Told::silent("it points at files, which must be watched themselves")));
        };
        let pem = encoded::padded(&data).ok_or("a certificate authority in it is not base64")?;
        let authorities: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| "the PEM of a certificate authority in it is broken")?;
        if authorities.is_empty() {
            return Err("a certificate authority in it holds no certificate");
        }
        last_of(&authorities, now).map(Some)
    }
}

#[derive(Deserialize)]
struct NamedUser {
    #[serde(default)]
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    client_key: Option<String>,
    token: Option<String>,
    exec: Option<serde_json::Value>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
}

impl User {
    /// What its certificate or token tells.
    fn told(self, trust: &Trust, now: i64) -> Result<Told, &'static str> {
        if let Some(data) = self.client_certificate_data.filter(|data| !data.is_empty()) {
            let chain = encoded::padded(&data).ok_or("a certificate in it is not base64")?;
            return match (self.client_key_data.filter(|data| !data.is_empty()), self.client_key) {
                (Some(key), _) => {
                    let text = Zeroizing::new(key);
                    let key = encoded::padded(&text).ok_or("a private key in it is not base64")?;
                    certificates_and_keys(&chain, &[key], trust, now)
                }
                (None, Some(_)) => {
                    let why = Unpaired::Unknown("whether a private key belongs to its certificate is not known: the key is in a file of its own");
                    Ok(certificates(&chain, trust, now)?.paired(Err(why)))
                }
                (None, None) => Err("a certificate in it has no private key"),
            };
        }
        // What the file holds comes before what stands here, as for every client.
        // Source: <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/#AuthInfo>
        let is_there = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.trim().is_empty());
        let points = is_there(&self.token_file);
        if let Some(token) = self.token.filter(|token| !points && !token.trim().is_empty()) {
            return Ok(jwt(&token).unwrap_or_else(|_| Told::silent("an opaque token does not tell when it expires")));
        }
        if self.exec.is_some_and(|exec| exec["command"].as_str().is_some_and(|command| !command.is_empty())) {
            Ok(Told::silent("a plugin makes its tokens"))
        } else if points || is_there(&self.client_certificate) {
            Ok(Told::silent("it points at files, which must be watched themselves"))
        } else if is_there(&self.username) && is_there(&self.password) {
            Ok(Told::silent("a password does not tell when it expires"))
        } else {
            Err("the user of its current context has no credential")
        }
    }
}

/// A kubeconfig: the certificate or token of the user of its current context, and the authorities of that cluster.
pub(super) fn kubeconfig(text: &str, trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let file: Kubeconfig = serde_saphyr::from_str(text).map_err(|_| "it is no kubeconfig")?;
    let (user, cluster) = file.current()?;
    let told = user.told(trust, now)?;
    Ok(cluster.told(now)?.map_or(told, |authorities| told.and(authorities)))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use readiness_lab::{Authority, CrossSigned, Leaf};

    use super::*;
    use crate::jwt::token;

    const NOW: i64 = 1_764_000_000;

    #[test]
    fn a_kubeconfig_is_as_good_as_the_user_of_its_current_context() {
        let authority = Authority::new("Root").unwrap();
        let [(pem, key), (_, other)] = [authority.issue_pem(&Leaf::good(&["a.test"])).unwrap(), authority.issue_pem(&Leaf::good(&["a.test"])).unwrap()];
        let jwt = token(r#"{"alg":"RS256"}"#, &format!(r#"{{"exp":{NOW}}}"#));
        let of_key = |key: &str| {
            let own = STANDARD.encode(&pem);
            of_a(&format!("users:\n- name: a\n  user: {{ client-certificate-data: {own}{key} }}\n- name: b\n  user: {{ token: {jwt} }}\n"))
        };
        let unpaired = |key: &str| kubeconfig(&of_key(key), &Trust::nothing(), NOW).map(|told| told.unpaired);
        assert_eq!(unpaired(&format!(", client-key-data: {}", STANDARD.encode(&key))), Ok(None));
        let wrong = Unpaired::Wrong("its private key belongs to another certificate");
        assert_eq!(unpaired(&format!(", client-key-data: {}", STANDARD.encode(other))), Ok(Some(wrong)));
        assert!(matches!(unpaired(", client-key: /a.key"), Ok(Some(Unpaired::Unknown(_)))));
        assert_eq!(unpaired(""), Err("a certificate in it has no private key"));
        let text = of_key(&format!(", client-key-data: {}", STANDARD.encode(key)));
        let ends = |text: &str| kubeconfig(text, &Trust::nothing(), NOW).map(|told| told.ends);
        assert!(ends(&text).unwrap() > Some(NOW), "nobody uses the token of the other one");
        assert_eq!(ends(&text.replace("user: a,", "user: b,")), Ok(Some(NOW)));
        for (what, with, why) in [
            ("current-context: x", "", "it has no current context"),
            ("current-context: x", "current-context: nope", "its current context is not among its contexts"),
            ("user: a,", "user: nobody,", "the user of its current context is not among its users"),
            ("cluster: c ", "cluster: nowhere ", "the cluster of its current context is not among its clusters"),
            ("- name: b", "- name: a", "the user of its current context is not among its users"),
        ] {
            assert_eq!(ends(&text.replace(what, with)), Err(why), "{with}");
        }
        let plugin = kubeconfig(&of_a("users:\n- name: a\n  user: { exec: { command: aws } }\n"), &Trust::nothing(), NOW).unwrap();
        assert_eq!(plugin.silent, Some("a plugin makes its tokens"));
        let with_file = |file: &str| {
            let text = of_a(&format!("users:\n- name: a\n  user: {{ token: {jwt}, tokenFile: {file} }}\n"));
            kubeconfig(&text, &Trust::nothing(), NOW).map(|told| (told.ends, told.silent))
        };
        assert_eq!(with_file("/var/run/token"), Ok((None, Some("it points at files, which must be watched themselves"))), "what the file holds comes first");
        assert_eq!(with_file("''"), Ok((Some(NOW), None)));
        for text in ["users: []", "{}", "users:\n- name: a\n  user: {}\n", "[", "users:\n- name: a\n  user: { client-certificate-data: '!' }\n"] {
            assert!(kubeconfig(&of_a(text), &Trust::nothing(), NOW).is_err(), "{text}");
        }
    }

    /// A kubeconfig whose current context is of the user `a` at the cluster `c`, which is added where the rest has none.
    fn of_a(rest: &str) -> String {
        let clusters = if rest.contains("clusters:") { "" } else { "clusters: [{ name: c, cluster: { server: 'https://a' } }]\n" };
        format!("current-context: x\ncontexts: [{{ name: x, context: {{ user: a, cluster: c }} }}]\n{clusters}{rest}")
    }

    /// Text in lines of 76 characters.
    fn wrapped(text: &str, end: &str) -> String {
        text.as_bytes().chunks(76).map(|line| format!("{}{end}", std::str::from_utf8(line).unwrap())).collect()
    }

    #[test]
    fn a_kubeconfig_whose_base64_is_broken_into_lines_is_read_as_kubectl_reads_it() {
        let authority = Authority::new("Root").unwrap();
        let (pem, key) = authority.issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let read = |break_up: &dyn Fn(&str) -> String| {
            let [pem, key] = [&pem, &key].map(|text| break_up(&STANDARD.encode(text)));
            let text = format!(
                "clusters:\n- name: c\n  cluster: {{ server: https://a, certificate-authority-data: {pem:?} }}\nusers:\n- name: a\n  user: {{ client-certificate-data: {pem:?}, client-key-data: {key:?} }}\n"
            );
            kubeconfig(&of_a(&text), &Trust::nothing(), NOW)
        };
        let whole = read(&str::to_owned).unwrap();
        assert_eq!((whole.ends, whole.unpaired), (certificates(pem.as_bytes(), &Trust::nothing(), NOW).unwrap().ends, None));
        for end in ["\n", "\r\n"] {
            assert_eq!(read(&|text| wrapped(text, end)), Ok(whole), "{end:?}");
        }
        // Folded lines are joined by spaces, which kubectl does not take either.
        assert!(read(&|text| wrapped(text, " ")).is_err_and(|why| why.ends_with("in it is not base64")));
    }

    #[test]
    fn a_kubeconfig_is_as_good_as_the_authorities_that_servers_are_known_by() {
        let user = "users:\n- name: a\n  user: { token: opaque }\n";
        let authority = |name: &str, days: i64| Authority::new(name).unwrap().issue_pem(&Leaf::good(&["a.test"]).ends_in(days * 86_400)).unwrap().0;
        let (short, long) = (authority("Old", 3), authority("New", 300));
        let with = |clusters: &[&str]| {
            let named = ["c", "d"].into_iter().zip(clusters);
            let clusters: Vec<String> = named.map(|(name, own)| format!("- name: {name}\n  cluster: {{ server: 'https://a', {own} }}\n")).collect();
            kubeconfig(&of_a(&format!("{user}clusters:\n{}", clusters.concat())), &Trust::nothing(), NOW)
        };
        let data = |pem: &str| format!("certificate-authority-data: {}", STANDARD.encode(pem));
        let ends = |pem: &str| certificates(pem.as_bytes(), &Trust::nothing(), NOW).unwrap().ends;
        assert_eq!(with(&[&data(&short)]).unwrap().ends, ends(&short));
        assert_eq!(with(&[&data(&format!("{short}{long}"))]).unwrap().ends, ends(&long), "while authorities are changed both are there");
        assert_eq!(with(&[&data(&long), &data(&short)]).unwrap().ends, ends(&long), "the other one is not asked");
        assert_eq!(with(&["certificate-authority: /ca.pem"]).unwrap().ends, None);
        for broken in ["certificate-authority-data: '!'".to_owned(), data("no certificate"), data(&short[..200])] {
            assert!(with(&[&broken]).is_err_and(|why| why.contains("certificate authority")), "{broken}");
        }
    }

    /// Whoever uses one is asked for a password, or refused.
    #[test]
    fn a_user_with_nothing_in_it_has_no_credential() {
        let user = |fields: &str| kubeconfig(&of_a(&format!("users:\n- name: a\n  user: {{ {fields} }}\n")), &Trust::nothing(), NOW).map(|told| told.silent);
        for fields in
            ["token: ''", "tokenFile: ''", "username: u", "username: u, password: ''", "username: '', password: p", "exec: {}", "exec: { command: '' }"]
        {
            assert_eq!(user(fields), Err("the user of its current context has no credential"), "{fields}");
        }
        assert_eq!(user("username: u, password: p"), Ok(Some("a password does not tell when it expires")));
        assert_eq!(user("token: '', exec: { command: aws }"), Ok(Some("a plugin makes its tokens")));
        for cluster in ["{}", "{ server: '' }"] {
            let text = of_a(&format!("users:\n- name: a\n  user: {{ token: t }}\nclusters:\n- name: c\n  cluster: {cluster}\n"));
            assert_eq!(kubeconfig(&text, &Trust::nothing(), NOW), Err("the cluster of its current context has no server"), "{cluster}");
        }
    }

    #[test]
    fn what_no_path_needs_ends_nothing() {
        let own = CrossSigned::new(&["a.test"]).unwrap();
        let root = CertificateDer::pem_slice_iter(own.root.as_bytes()).next().unwrap().unwrap();
        let (trust, now) = (Trust::of_certificates(&[root]), jiff::Timestamp::now().as_second());
        let leaf_end = certificates(own.leaf.as_bytes(), &Trust::nothing(), now).unwrap().ends;
        let chain = format!("{}{}{}", own.leaf, own.intermediate, own.cross);
        let kubeconfig_of = |chain: &str| {
            let [chain, key] = [chain, &own.key].map(|text| STANDARD.encode(text));
            of_a(&format!("users:\n- name: a\n  user: {{ client-certificate-data: {chain}, client-key-data: {key} }}\n"))
        };
        assert_eq!(kubeconfig(&kubeconfig_of(&chain), &trust, now).unwrap().ends, leaf_end);
    }

    #[test]
    fn fuzz_kubeconfigs() {
        let (pem, _) = Authority::new("Root").unwrap().issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let signed = token(r#"{"alg":"RS256"}"#, r#"{"exp":1764000000,"nbf":5}"#);
        let users = format!("users:\n- name: a\n  user: {{ token: {signed} }}\n- name: b\n  user: {{ client-certificate-data: {} }}\n", STANDARD.encode(&pem));
        let users = format!("{users}clusters:\n- name: c\n  cluster: {{ server: https://a, certificate-authority-data: {} }}\n", STANDARD.encode(&pem));
        crate::fuzz::survive_text(&[&of_a(&users)], |text| kubeconfig(text, &Trust::nothing(), NOW));
    }
}
