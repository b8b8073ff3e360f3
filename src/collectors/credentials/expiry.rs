//! What a credential says about itself, by kind: pure. Nothing here keeps or quotes any of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use zeroize::Zeroizing;

use super::dates::{self, Ends};
use super::pair::{self, Unpaired};
use crate::collectors::registry::{Identity, Life};
use crate::document;
use crate::encoded;
use crate::jwt;
use crate::net::{Trust, Verified};

/// Certificates that one credential can hold; more is no credential but a bundle of authorities.
const MOST_CERTIFICATES: usize = 1_000;

/// What a credential says about its own life. One that says nothing at all never ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// The first end of any of its parts, in Unix seconds.
    pub(super) ends: Option<i64>,
    /// From when on all of its parts hold, in Unix seconds.
    pub(super) begins: Option<i64>,
    /// Why the end of a part cannot be known.
    pub(super) silent: Option<&'static str>,
    /// When the oldest of its parts was made, in Unix seconds, where one tells that itself.
    pub(super) made: Option<i64>,
    /// When its issuer made it, in Unix seconds, where the issuer tells.
    pub(super) created: Option<i64>,
    /// When it was last used, in Unix seconds, where the issuer tells.
    pub(super) used: Option<i64>,
    /// Why its private key is not seen to belong to it.
    pub(super) unpaired: Option<Unpaired>,
}

impl Told {
    pub(super) fn of(ends: Ends) -> Self {
        match ends {
            Ends::At(at) => Self { ends: Some(at), ..Self::default() },
            Ends::Never => Self::default(),
        }
    }

    pub(super) fn silent(why: &'static str) -> Self {
        Self { silent: Some(why), ..Self::default() }
    }

    /// Both together: the earlier end, the later beginning.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            ends: [self.ends, other.ends].into_iter().flatten().min(),
            begins: self.begins.max(other.begins),
            silent: self.silent.or(other.silent),
            made: [self.made, other.made].into_iter().flatten().min(),
            created: self.created.max(other.created),
            used: self.used.max(other.used),
            unpaired: self.unpaired.max(other.unpaired),
        }
    }

    /// With what was seen of its private key.
    pub(super) fn paired(self, seen: Result<(), Unpaired>) -> Self {
        Self { unpaired: self.unpaired.max(seen.err()), ..self }
    }
}

/// One certificate in DER.
pub(super) fn certificate(der: &[u8]) -> Result<Told, &'static str> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| "it holds something that is no certificate")?;
    if !rest.is_empty() {
        return Err("something stands behind its certificate");
    }
    let [begins, ends] = [certificate.validity().not_before, certificate.validity().not_after].map(|at| at.timestamp());
    // Authorities are meant to be old.
    let made = (!certificate.is_ca()).then_some(begins);
    Ok(Told { ends: Some(ends), begins: Some(begins), made, ..Told::default() })
}

/// Certificates, in PEM or DER, in any order: each that is no authority is as good as the path to a root
/// that lasts longest, or as the first of all that ends while no path verifies at `now`, in Unix seconds.
pub(super) fn certificates(bytes: &[u8], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let pem: Vec<CertificateDer<'_>> =
        CertificateDer::pem_slice_iter(bytes).take(MOST_CERTIFICATES + 1).collect::<Result<_, _>>().map_err(|_| "its PEM is broken")?;
    if pem.len() > MOST_CERTIFICATES {
        return Err("it holds more than a thousand certificates");
    }
    if pem.is_empty() {
        // DER begins with a sequence; anything else was never meant as one.
        return if bytes.first() == Some(&0x30) { certificate(bytes) } else { Err("it holds no certificate") };
    }
    let told = chain(&pem, trust, now)?;
    // Load balancers take both in one file.
    Ok(if pair::holds_key(bytes) { told.paired(key_of(&pem, bytes)) } else { told })
}

/// Whether a private key belongs to the certificates: to the first, which is the one that servers show.
fn key_of(certificates: &[CertificateDer<'_>], key: &[u8]) -> Result<(), Unpaired> {
    let Some((first, others)) = certificates.split_first() else { return Ok(()) };
    pair::check(first, key).map_err(|why| {
        let is_behind = others.iter().any(|other| pair::check(other, key).is_ok());
        if is_behind { Unpaired::Wrong("the certificate of its private key is not the first, so that servers do not take the two") } else { why }
    })
}

/// Certificates with the private keys that are kept beside them.
pub(super) fn certificates_and_keys(bytes: &[u8], keys: &[Zeroizing<Vec<u8>>], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let told = certificates(bytes, trust, now)?;
    let mut all: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(bytes).filter_map(Result::ok).collect();
    if all.is_empty() {
        all.push(CertificateDer::from(bytes));
    }
    Ok(keys.iter().fold(told, |told, key| told.paired(key_of(&all, key))))
}

/// The same for certificates that are read already.
pub(super) fn chain(certificates: &[CertificateDer<'_>], trust: &Trust, now: i64) -> Result<Told, &'static str> {
    let told: Vec<Told> = certificates.iter().map(|der| certificate(der)).collect::<Result<_, _>>()?;
    let all = told.iter().copied().reduce(Told::and).ok_or("it holds no certificate")?;
    let (authorities, leaves): (Vec<_>, Vec<_>) = certificates.iter().cloned().partition(is_authority);
    let paths: Option<Vec<Verified>> = leaves.iter().map(|leaf| trust.end_of(leaf, &authorities, now)).collect();
    let Some(ends) = paths.and_then(|paths| paths.iter().map(|path| path.ends).min()) else { return Ok(all) };
    // A path that verifies has begun.
    let begins = told.iter().zip(certificates).filter(|(_, der)| !is_authority(der)).filter_map(|(told, _)| told.begins).max();
    Ok(Told { ends: Some(ends), begins, ..all })
}

/// Source: RFC 5280, section 4.2.1.9
fn is_authority(der: &CertificateDer<'_>) -> bool {
    let parsed = X509Certificate::from_der(der).ok();
    parsed.is_some_and(|(_, certificate)| certificate.basic_constraints().ok().flatten().is_some_and(|constraints| constraints.value.ca))
}

/// A JSON Web Token. Its signature is not checked: whoever takes it does that.
pub(super) fn jwt(text: &str) -> Result<Told, &'static str> {
    let claims = jwt::claims(text)?;
    let moment = |value: &serde_json::Value| value.as_i64().or_else(|| dates::of_json(value).and_then(Ends::at));
    // Without the claim a token has no end. RFC 7519, section 4.1.4; null is not without.
    let mut told = match claims.get("exp") {
        None => Told::default(),
        Some(exp) => Told { ends: Some(moment(exp).ok_or("its exp is no moment")?), ..Told::default() },
    };
    // RFC 7519, section 4.1.6. One that cannot be read tells nothing.
    told.made = claims.get("iat").and_then(dates::moment);
    told.begins = claims.get("nbf").map(|nbf| moment(nbf).ok_or("its nbf is no moment")).transpose()?;
    Ok(told)
}

/// A docker config: tokens say when they end, passwords do not.
pub(super) fn docker_config(text: &str) -> Result<Told, &'static str> {
    let entries = Identity::entries(text).map_err(|_| "it is no docker config")?;
    let helped = Told::silent("a helper program keeps its passwords, and does not tell when they end");
    let told = entries.into_iter().map(|(_, identity)| match identity.map_err(|_| "an entry of it cannot be read")? {
        Identity::Anonymous => Ok(helped),
        Identity::Token(token) => Ok(jwt(token.expose()).unwrap_or_else(|_| Told::silent("a token does not tell when it ends"))),
        identity => Ok(match identity.life() {
            Life::Until { ends, made } => Told { made, ..Told::of(Ends::At(ends)) },
            Life::Short(why) => Told::silent(why),
            Life::Untold => Told::silent("a password does not tell when it ends"),
        }),
    });
    let told = told.reduce(|one, other| Ok(one?.and(other?)));
    told.unwrap_or_else(|| if Identity::has_helpers(text) { Ok(helped) } else { Err("it is no docker config, or knows no registry") })
}

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
    certificate_authority_data: Option<String>,
    certificate_authority: Option<String>,
}

impl Place {
    /// The authorities that the server is known by: as good as the last of them that ends, since each is enough.
    /// Clients refuse one that has ended, as they do any certificate.
    fn told(self) -> Result<Option<Told>, &'static str> {
        let Some(data) = self.certificate_authority_data.filter(|data| !data.is_empty()) else {
            return Ok(self.certificate_authority.map(|_| Told::silent("it points at files, which must be watched themselves")));
        };
        let pem = encoded::padded(&data).ok_or("a certificate authority in it is not base64")?;
        let authorities: Vec<CertificateDer<'_>> =
            CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| "the PEM of a certificate authority in it is broken")?;
        let told: Vec<Told> = authorities.iter().map(|der| certificate(der)).collect::<Result<_, _>>()?;
        let last = told.into_iter().max_by_key(|told| told.ends).ok_or("a certificate authority in it holds no certificate")?;
        Ok(Some(Told { made: None, ..last }))
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
        if let Some(token) = self.token.filter(|_| self.token_file.as_ref().is_none_or(String::is_empty)) {
            return Ok(jwt(&token).unwrap_or_else(|_| Told::silent("an opaque token does not tell when it ends")));
        }
        if self.exec.is_some() {
            Ok(Told::silent("a plugin makes its tokens"))
        } else if self.token_file.is_some() || self.client_certificate.is_some() {
            Ok(Told::silent("it points at files, which must be watched themselves"))
        } else if self.username.is_some() {
            Ok(Told::silent("a password does not tell when it ends"))
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
    Ok(cluster.told()?.map_or(told, |authorities| told.and(authorities)))
}

/// A token of Artifactory: a JWT, a reference token that says when it ends, or a key of the old kind,
/// which says nothing, and which newer versions take no longer, whatever its age.
/// Source: <https://jfrog.com/help/r/jfrog-platform-administration-documentation/api-key>
pub(super) fn artifactory(text: &str) -> Result<Told, &'static str> {
    let text = text.trim();
    if let Some(rest) = text.strip_prefix("AKC") {
        let is_key = rest.len() >= 10 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
        return if is_key {
            Ok(Told::silent("an API key does not tell when it ends, and newer versions of Artifactory take none"))
        } else {
            Err("it is no API key of Artifactory")
        };
    }
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    match decoded.as_deref().and_then(|text| text.strip_prefix("reftkn:")) {
        Some(rest) => {
            let parts: Vec<&str> = rest.split(':').collect();
            let &[_, at, reference] = parts.as_slice() else { return Err("it is no reference token of Artifactory") };
            let at = at.parse().ok().filter(|_| !reference.is_empty()).and_then(dates::number_of);
            at.map(Told::of).ok_or("its reference token tells no moment")
        }
        None => jwt(text),
    }
}

/// A date, which is the whole text or stands at a place of a JSON document.
pub(super) fn date(text: &str, pointer: Option<&str>) -> Result<Told, &'static str> {
    let ends = match pointer {
        None => dates::read(text),
        Some(pointer) => {
            let document = document::read(text.as_bytes()).ok_or("it is no JSON, or says something twice")?;
            dates::of_json(document.pointer(pointer).ok_or("its JSON has nothing at the configured place")?)
        }
    };
    ends.map(Told::of).ok_or("what should be a date is none")
}

#[cfg(test)]
mod tests {
    use readiness_lab::{Authority, CrossSigned, Leaf};

    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    const NOW: i64 = 1_764_000_000;

    fn token(header: &str, claims: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_chain_ends_with_the_first_of_it_in_any_order() {
        let authority = Authority::new("Root").unwrap();
        let (long, key) = authority.issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let (short, _) = authority.issue_pem(&Leaf::good(&["b.test"]).ends_in(3 * 86_400)).unwrap();
        let ends = |text: &str| certificates(text.as_bytes(), &Trust::nothing(), NOW).unwrap().ends.unwrap();
        assert!(ends(&long) > ends(&short));
        for chain in [format!("{long}{short}"), format!("{short}{long}"), format!("{key}\ncomment\n{long}{short}")] {
            assert_eq!(ends(&chain), ends(&short));
        }
        let der = CertificateDer::pem_slice_iter(short.as_bytes()).next().unwrap().unwrap();
        assert_eq!(certificates(&der, &Trust::nothing(), NOW).unwrap().ends, Some(ends(&short)), "DER where PEM was meant");
        for (bytes, why) in [
            (key.as_bytes(), "no certificate"),
            (b"".as_slice(), "no certificate"),
            (&short.as_bytes()[..200], "no certificate"),
            (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no certificate"),
            (&der[..40], "no certificate"),
        ] {
            let said = certificates(bytes, &Trust::nothing(), NOW).unwrap_err();
            assert!(said.contains(why) || said.contains("broken"), "{said}");
        }
        let huge = format!("{short}\n").repeat(1_001);
        assert_eq!(certificates(huge.as_bytes(), &Trust::nothing(), NOW), Err("it holds more than a thousand certificates"));
    }

    #[test]
    fn the_private_key_that_servers_take_is_that_of_the_first_certificate() {
        let authority = Authority::new("Root").unwrap();
        let [(own, key), (other, _)] = [authority.issue_pem(&Leaf::good(&["a.test"])).unwrap(), authority.issue_pem(&Leaf::good(&["b.test"])).unwrap()];
        let beside =
            |chain: &str| certificates_and_keys(chain.as_bytes(), &[Zeroizing::new(key.clone().into_bytes())], &Trust::nothing(), NOW).unwrap().unpaired;
        let within = |chain: &str| certificates(format!("{chain}{key}").as_bytes(), &Trust::nothing(), NOW).unwrap().unpaired;
        let wrong = |why| Some(Unpaired::Wrong(why));
        for (chain, expected) in [
            (format!("{own}{other}"), None),
            (format!("{other}{own}"), wrong("the certificate of its private key is not the first, so that servers do not take the two")),
            (other.clone(), wrong("its private key belongs to another certificate")),
        ] {
            assert_eq!((beside(&chain), within(&chain)), (expected, expected));
        }
    }

    fn trusting(pem: &str) -> Trust {
        Trust::of_certificates(&[CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap()])
    }

    #[test]
    fn what_no_path_needs_ends_nothing() {
        let own = CrossSigned::new(&["a.test"]).unwrap();
        let (trust, now) = (trusting(&own.root), jiff::Timestamp::now().as_second());
        let leaf_end = certificates(own.leaf.as_bytes(), &Trust::nothing(), now).unwrap().ends;
        let chain = format!("{}{}{}", own.leaf, own.intermediate, own.cross);
        let told = certificates(chain.as_bytes(), &trust, now).unwrap();
        assert_eq!(told.ends, leaf_end);
        assert!(told.begins.unwrap() < now);
        assert_eq!(certificates(format!("{}{}{}", own.cross, own.intermediate, own.leaf).as_bytes(), &trust, now).unwrap().ends, leaf_end, "in any order");
        let kubeconfig_of = |chain: &str| {
            let [chain, key] = [chain, &own.key].map(|text| STANDARD.encode(text));
            of_a(&format!("users:\n- name: a\n  user: {{ client-certificate-data: {chain}, client-key-data: {key} }}\n"))
        };
        assert_eq!(kubeconfig(&kubeconfig_of(&chain), &trust, now).unwrap().ends, leaf_end);
        // As long as no path verifies, nothing says which of them is needed.
        let ended = |chain: &str, trust: &Trust| certificates(chain.as_bytes(), trust, now).unwrap().ends.unwrap() < now;
        assert!(ended(&chain, &Trust::nothing()));
        assert!(ended(&format!("{}{}", own.leaf, own.ended_intermediate), &trust));
        // A second leaf is no part of the path of the first, and needed all the same.
        let other = Authority::new("Other").unwrap();
        let (second, _) = other.issue_pem(&Leaf::good(&["b.test"]).ends_in(-86_400)).unwrap();
        assert!(ended(&format!("{}{}{second}", own.leaf, own.intermediate), &trust));
    }

    #[test]
    fn tokens_tell_their_life_or_why_they_are_none() {
        let good = r#"{"alg":"RS256"}"#;
        for (text, told) in [
            (token(good, &format!(r#"{{"exp":{NOW},"nbf":5}}"#)), Ok(Told { ends: Some(NOW), begins: Some(5), ..Told::default() })),
            (token(good, "{}").trim_end_matches("c2ln").to_owned(), Err("it is not signed")),
            (format!("{}====", token(good, "{}").trim_end_matches("c2ln")), Err("it is not signed")),
            (token(good, &format!(r#"{{"iat":{NOW}}}"#)), Ok(Told { made: Some(NOW), ..Told::default() })),
            (token(good, r#"{"iat":5}"#), Ok(Told::default())),
            (token(good, r#"{"iat":"then"}"#), Ok(Told::default())),
            (token(good, &format!(r#"{{"exp":{NOW}.5}}"#)), Ok(Told::of(Ends::At(NOW)))),
            (token(good, "{}"), Ok(Told::default())),
            (token(good, "{}"), Ok(Told::default())),
            (token(good, r#"{"exp":null}"#), Err("its exp is no moment")),
            (token(good, r#"{"exp":1,"exp":1893456000}"#), Err("its claims cannot be read")),
            (token(good, &format!(r#"{{"exp":{NOW},"nbf":"later"}}"#)), Err("its nbf is no moment")),
            (token(good, r#"{"exp":"soon"}"#), Err("its exp is no moment")),
            (token(r#"{"alg":"none"}"#, "{}"), Err("it is not signed")),
            (token("{}", "{}"), Err("it is not signed")),
            ("no-dots".to_owned(), Err("it is no token of three parts")),
            ("a.b".to_owned(), Err("it is no token of three parts")),
            ("a.b.c".to_owned(), Err("its header cannot be read")),
            (token(good, "no json"), Err("its claims cannot be read")),
        ] {
            assert_eq!(jwt(&text), told, "{text}");
        }
    }

    #[test]
    fn a_docker_config_tells_what_ecr_tells_and_nothing_of_passwords() {
        let ecr = STANDARD.encode(format!("AWS:{}", STANDARD.encode(format!(r#"{{"payload":"x","expiration":{NOW}}}"#))));
        let config = |entries: &str| format!(r#"{{"auths":{{{entries}}}}}"#);
        let made = Some(NOW - 12 * 3600);
        assert_eq!(docker_config(&config(&format!(r#""a":{{"auth":"{ecr}"}}"#))), Ok(Told { made, ..Told::of(Ends::At(NOW)) }));
        let both = docker_config(&config(&format!(r#""a":{{"auth":"{ecr}"}},"b":{{"auth":"dTpw"}}"#))).unwrap();
        assert_eq!((both.ends, both.silent), (Some(NOW), Some("a password does not tell when it ends")));
        // Two paths of one registry, of which one has ended.
        let ended = STANDARD.encode(format!("AWS:{}", STANDARD.encode(format!(r#"{{"payload":"x","expiration":{}}}"#, NOW - 3600))));
        let paths = config(&format!(r#""r.io/team-a":{{"auth":"{ecr}"}},"r.io/team-b":{{"auth":"{ended}"}}"#));
        assert_eq!(docker_config(&paths), Ok(Told::of(Ends::At(NOW - 3600))));
        let helped = Ok(Some("a helper program keeps its passwords, and does not tell when they end"));
        for text in [
            r#"{"auths":{"r.io":{}},"credsStore":"desktop"}"#,
            r#"{"auths":{"r.io":{}},"credHelpers":{"r.io":"ecr-login"}}"#,
            r#"{"credHelpers":{"r.io":"ecr-login"}}"#,
        ] {
            assert_eq!(docker_config(text).map(|told| told.silent), helped, "{text}");
        }
        assert!(docker_config(r#"{"auths":{"r.io":{}},"credHelpers":{"other.io":"ecr-login"}}"#).is_err());
        assert!(docker_config("{}").is_err() && docker_config("nonsense").is_err() && docker_config(&config(r#""a":{"auth":"!"}"#)).is_err());
    }

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
                "clusters:\n- name: c\n  cluster: {{ certificate-authority-data: {pem:?} }}\nusers:\n- name: a\n  user: {{ client-certificate-data: {pem:?}, client-key-data: {key:?} }}\n"
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

    #[test]
    fn an_authority_is_no_old_credential_and_the_oldest_part_counts() {
        let authority = Authority::new("Root").unwrap();
        let of = |days: i64| authority.issue_pem(&Leaf::good(&["a.test"]).begins_in(-days * 86_400)).unwrap().0;
        let made = |pem: &str| certificates(pem.as_bytes(), &Trust::nothing(), NOW).unwrap().made;
        let (old, young) = (of(100), of(10));
        assert!(made(&old) < made(&young));
        assert_eq!(made(&format!("{young}{old}{}", authority.pem())), made(&old));
        assert_eq!(made(&format!("{young}{}", authority.pem())), made(&young));
        assert_eq!(made(&authority.pem()), None);
    }

    #[test]
    fn reference_tokens_and_dates_are_read_where_they_stand() {
        let reference = |at: &str| STANDARD.encode(format!("reftkn:01:{at}:abc"));
        assert_eq!(artifactory(&reference(&NOW.to_string())), Ok(Told::of(Ends::At(NOW))));
        assert_eq!(artifactory(&reference("0")), Ok(Told::default()));
        assert!(artifactory("AKCp8abcdefghijk").is_ok_and(|told| told.ends.is_none() && told.silent.is_some()), "what says nothing is not without an end");
        assert!(artifactory("AKC").is_err() && artifactory("AKC: see the vault").is_err() && artifactory(&STANDARD.encode("reftkn:01:0:")).is_err());
        assert!(artifactory(&reference("x")).is_err() && artifactory("nonsense").is_err());
        assert_eq!(date(&NOW.to_string(), None), Ok(Told::of(Ends::At(NOW))));
        assert_eq!(date(&format!(r#"{{"license":{{"exp":{NOW}}}}}"#), Some("/license/exp")), Ok(Told::of(Ends::At(NOW))));
        for (text, pointer) in
            [("later", None), ("{}", Some("/exp")), ("no json", Some("/exp")), (r#"{"exp":true}"#, Some("/exp")), (r#"{"exp":null}"#, Some("/exp"))]
        {
            assert!(date(text, pointer).is_err(), "{text}");
        }
    }

    #[test]
    fn fuzz_what_credentials_tell() {
        let (pem, _) = Authority::new("Root").unwrap().issue_pem(&Leaf::good(&["a.test"])).unwrap();
        let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next().unwrap().unwrap();
        crate::fuzz::survive(&[pem.as_bytes(), &der], |bytes| certificates(bytes, &Trust::nothing(), NOW));
        let signed = token(r#"{"alg":"RS256"}"#, r#"{"exp":1764000000,"nbf":5}"#);
        crate::fuzz::survive_text(&[&signed, "a.b.c"], jwt);
        // Whatever stands in the claims, and not only in their encoding.
        crate::fuzz::survive_text(&[r#"{"exp":1764000000,"nbf":5}"#], |claims| jwt(&token(r#"{"alg":"RS256"}"#, claims)));
        let auths = r#"{"auths":{"a":{"auth":"dTpw"},"b":{"username":"u","password":"p"}}}"#;
        crate::fuzz::survive_text(&[auths], docker_config);
        let users = format!("users:\n- name: a\n  user: {{ token: {signed} }}\n- name: b\n  user: {{ client-certificate-data: {} }}\n", STANDARD.encode(&pem));
        let users = format!("{users}clusters:\n- name: c\n  cluster: {{ certificate-authority-data: {} }}\n", STANDARD.encode(&pem));
        crate::fuzz::survive_text(&[&of_a(&users)], |text| kubeconfig(text, &Trust::nothing(), NOW));
        crate::fuzz::survive_text(&["reftkn:01:1764000000:abc"], |text| artifactory(&STANDARD.encode(text)));
        crate::fuzz::survive_text(&[r#"{"license":{"exp":1764000000}}"#], |text| date(text, Some("/license/exp")));
    }
}
