//! A kubeconfig and the files that it names, read without waiting for any of them on the event loop.
//!
//! The client's own reader quotes the lines that it does not understand, tokens among them, reads files
//! and runs plugins on the thread that asks. So the file is read and parsed here, what it refers to is
//! put into it, and the client is left with nothing to read.
//! Source: <https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/>

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use kube::Config;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::ExposeSecret as _;

use crate::cause::Cause as _;
use crate::collectors::kubernetes::client::plugin::Plugin;
use crate::collectors::kubernetes::config::ClusterConfig;
use crate::encoded;
use crate::files;
use crate::say;
use crate::say::{Message, named};
use crate::value::Url;
use crate::word::did_you_mean;

/// Larger than a file with the contexts of hundreds of clusters.
pub(in crate::collectors::kubernetes) const LARGEST: u64 = 16 << 20;

/// What a context says: how to connect, and what renews the login.
pub(in crate::collectors::kubernetes) struct Context {
    /// Without any file to read or plugin to run.
    pub(in crate::collectors::kubernetes) config: Config,
    pub(in crate::collectors::kubernetes) login: Login,
}

/// Where the login of a context comes from, beside what stands in the kubeconfig itself.
pub(in crate::collectors::kubernetes) enum Login {
    /// All of it is in the kubeconfig.
    Inline,
    /// A file with a bearer token, which somebody renews.
    TokenFile(PathBuf),
    /// A program that prints it.
    Plugin(Box<Plugin>),
}

/// The contexts of a file, as they are written there.
pub(in crate::collectors::kubernetes) fn parse(bytes: &[u8]) -> Result<Kubeconfig, Message> {
    let text = std::str::from_utf8(bytes).map_err(|_| say!("it is not UTF-8 text"))?;
    let text = text.trim_start_matches('\u{feff}');
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Kubeconfig> = serde_saphyr::from_multiple_with_options(text, options).map_err(|error| error.words())?;
    let mut documents = documents.into_iter();
    let first = documents.next().unwrap_or_default();
    documents.try_fold(first, |all, next| all.merge(next).map_err(|error| words(&error)))
}

/// A context of a kubeconfig; its current one when `context` is `None`.
pub(in crate::collectors::kubernetes) async fn load(file: &Path, context: Option<&str>) -> Result<Context, Message> {
    let failed = |why: Message| say!("read {}: {}", file.display(), why);
    let content = files::read(file, LARGEST).await.map_err(|error| failed(say!("{}", error)))?;
    let mut kubeconfig = parse(&content.bytes).map_err(failed)?;
    let folder = file.parent().unwrap_or_else(|| Path::new(""));
    let chosen = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone());
    let chosen = chosen.ok_or_else(|| failed(say!("it has no current-context; name a context")))?;
    let found = kubeconfig.contexts.iter().find(|own| own.name == chosen).and_then(|own| own.context.clone());
    // What the file calls things may be a token that somebody wrote there; what the configuration asks for is known.
    let found = found.ok_or_else(|| match context {
        Some(context) => failed(say!("it has no context {}", named(context))),
        None => failed(say!("it has no context of the name that current-context says")),
    })?;
    let cluster = kubeconfig.clusters.iter_mut().find(|own| own.name == found.cluster).and_then(|own| own.cluster.as_mut());
    let cluster = cluster.ok_or_else(|| failed(say!("its context names a cluster that it does not have")))?;
    reachable(cluster).map_err(failed)?;
    inline_authority(cluster, folder).await.map_err(failed)?;
    let cluster = cluster.clone();
    let login = match found.user.as_deref().filter(|name| !name.is_empty()) {
        None => Login::Inline,
        Some(name) => {
            let user = kubeconfig.auth_infos.iter_mut().find(|own| own.name == name).and_then(|own| own.auth_info.as_mut());
            let user = user.ok_or_else(|| failed(say!("its context names a user that it does not have")))?;
            inline_login(user, &cluster, folder).await.map_err(failed)?
        }
    };
    let options = KubeConfigOptions { context: Some(chosen), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(words(&error)))?;
    Ok(Context { config, login })
}

/// What can be said of a context without asking anybody. A file that is not here may be where the
/// exporter runs, and says nothing.
pub(in crate::collectors::kubernetes) fn check_now(file: &Path, context: Option<&str>) -> Result<(), Message> {
    let failed = |why: Message| say!("read {}: {}", file.display(), why);
    cluster_now(file, context).and_then(|cluster| cluster.as_ref().map_or(Ok(()), reachable)).map_err(failed)
}

/// The cluster of a context, if the file is here. Reads on this thread.
fn cluster_now(file: &Path, context: Option<&str>) -> Result<Option<Cluster>, Message> {
    let content = match files::read_now(file, LARGEST) {
        Err(files::ReadError::Absent) => return Ok(None),
        read => read.map_err(|error| say!("{}", error))?,
    };
    cluster_of(&parse(&content.bytes)?, context).map(Some)
}

/// That a context of a kubeconfig leads to a cluster which can be asked.
pub(in crate::collectors::kubernetes) fn leads_somewhere(kubeconfig: &Kubeconfig, context: &str) -> Result<(), Message> {
    cluster_of(kubeconfig, Some(context)).and_then(|cluster| reachable(&cluster))
}

fn cluster_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<Cluster, Message> {
    let chosen = context.or(kubeconfig.current_context.as_deref());
    let found = kubeconfig.contexts.iter().find(|own| chosen == Some(own.name.as_str())).and_then(|own| own.context.as_ref());
    let found = found.ok_or_else(|| lacks(kubeconfig, chosen))?;
    let cluster = kubeconfig.clusters.iter().find(|own| own.name == found.cluster).and_then(|own| own.cluster.as_ref());
    cluster.cloned().ok_or_else(|| say!("its context names a cluster that it does not have"))
}

fn lacks(kubeconfig: &Kubeconfig, chosen: Option<&str>) -> Message {
    match chosen {
        None => say!("it has no current-context; name one as `context`"),
        Some(_) if kubeconfig.contexts.is_empty() => say!("it has no contexts"),
        // A file that was put together by a script may have anything as a name, so none is told but one that is nearly the same.
        Some(chosen) => match did_you_mean(chosen, kubeconfig.contexts.iter().map(|own| own.name.as_str())) {
            hint if hint.as_str().is_empty() => say!("it does not have the context; `kubectl config get-contexts --kubeconfig FILE` lists those that it has"),
            hint => say!("it does not have the context{}", hint),
        },
    }
}

/// Where a cluster is asked. Behind one address there may be several clusters, told apart by the name of the
/// server or by the proxy on the way.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    server: url::Url,
    server_name: Option<String>,
    proxy: Option<url::Url>,
}

impl ClusterConfig {
    /// Where it is asked, as far as files that are here say. Reads on this thread.
    pub(crate) fn place_now(&self) -> Option<Place> {
        let proxy = self.proxy.as_ref().and_then(|proxy| proxy.parse().ok());
        if let Some(server) = &self.server {
            return Some(Place { server: server.parse().ok()?, server_name: None, proxy });
        }
        let cluster = cluster_now(self.kubeconfig.as_deref()?, self.context.as_deref()).ok()??;
        let url = |text: Option<&str>| text.and_then(|text| Url::new(text).parse().ok());
        Some(Place { server: url(cluster.server.as_deref())?, server_name: cluster.tls_server_name, proxy: url(cluster.proxy_url.as_deref()).or(proxy) })
    }
}

fn reachable(cluster: &Cluster) -> Result<(), Message> {
    let server = cluster.server.as_deref().ok_or("the cluster has no server")?;
    can_be_asked(server, &["https", "http"]).map_err(|why| say!("the server of the cluster {}", why))?;
    // kubectl would tell the login to whoever answers, and take his word for the cluster's.
    if cluster.insecure_skip_tls_verify == Some(true) {
        return Err(say!(
            "the cluster says insecure-skip-tls-verify, so nobody knows who answers for it; take that out and name its certificate-authority, and tls-server-name where its certificate is for another name"
        ));
    }
    match cluster.proxy_url.as_deref().filter(|url| !url.is_empty()) {
        Some(url) if url.starts_with("socks5") => {
            Err(say!("the proxy-url of the cluster is a SOCKS proxy, which this program cannot use; put an HTTP proxy before it, or a tunnel in its place"))
        }
        Some(url) => can_be_asked(url, &["https", "http"]).map(drop).map_err(|why| say!("the proxy-url of the cluster {}", why)),
        None => Ok(()),
    }
}

/// A URL that the client can ask. It takes any text that begins like one, and ends in a panic when there
/// is no scheme.
pub(in crate::collectors::kubernetes) fn can_be_asked(url: &str, schemes: &[&'static str]) -> Result<url::Url, Message> {
    let parsed = Url::new(url).parse()?;
    if schemes.contains(&parsed.scheme()) {
        Ok(parsed)
    } else {
        Err(say!("must begin with {}://", Message::joined(schemes.iter().map(|scheme| Message::from(*scheme)), ":// or ")))
    }
}

async fn inline_authority(cluster: &mut Cluster, folder: &Path) -> Result<(), Message> {
    // Empty is as good as left out, for kubectl.
    cluster.certificate_authority_data.take_if(|data| data.is_empty());
    if let Some(file) = cluster.certificate_authority.take().filter(|file| !file.is_empty() && cluster.certificate_authority_data.is_none()) {
        cluster.certificate_authority_data = Some(content(folder, &file, "certificate-authority").await?);
    }
    let Some(data) = &mut cluster.certificate_authority_data else { return Ok(()) };
    let pem = encoded::padded(data).ok_or_else(|| say!("certificate-authority-data is not base64"))?;
    *data = STANDARD.encode(&*pem);
    let found = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).count();
    if found == 0 { Err(say!("the certificate-authority holds no certificate")) } else { Ok(()) }
}

/// What is base64 stands there on one line afterwards, which is all that the client reads.
/// Leaves in the user what the client can use as it is, and takes out what must be renewed. What
/// counts first is what counts first for kubectl.
async fn inline_login(user: &mut AuthInfo, cluster: &Cluster, folder: &Path) -> Result<Login, Message> {
    if user.auth_provider.is_some() {
        return Err(say!("auth-provider cannot be used, as in kubectl since version 1.26; use an exec plugin"));
    }
    user.client_certificate_data.take_if(|data| data.is_empty());
    user.client_key_data.take_if(|data| data.expose_secret().is_empty());
    if let Some(file) = user.client_certificate.take().filter(|file| !file.is_empty() && user.client_certificate_data.is_none()) {
        user.client_certificate_data = Some(content(folder, &file, "client-certificate").await?);
    }
    if let Some(file) = user.client_key.take().filter(|file| !file.is_empty() && user.client_key_data.is_none()) {
        user.client_key_data = Some(content(folder, &file, "client-key").await?.into());
    }
    if user.client_certificate_data.is_some() != user.client_key_data.is_some() {
        return Err(say!("client-certificate and client-key must be given together"));
    }
    // The client ends in a panic over it.
    if user.token.as_ref().is_some_and(|token| HeaderValue::from_str(token.expose_secret()).is_err()) {
        return Err(say!("the token holds characters that no header can, such as the end of a line"));
    }
    if let Some(data) = &mut user.client_certificate_data {
        let pem = encoded::padded(data).ok_or_else(|| say!("client-certificate-data is not base64"))?;
        *data = STANDARD.encode(&*pem);
        CertificateDer::from_pem_slice(&pem).map_err(|_| say!("the client-certificate holds no certificate"))?;
    }
    if let Some(data) = &mut user.client_key_data {
        let key = encoded::padded(data.expose_secret()).ok_or_else(|| say!("client-key-data is not base64"))?;
        *data = STANDARD.encode(&*key).into();
    }
    let (token_file, exec) = (user.token_file.take(), user.exec.take());
    let inline = user.token.is_some() || user.username.is_some();
    match (token_file, exec) {
        _ if inline => Ok(Login::Inline),
        (Some(file), _) if !file.is_empty() => {
            let path = folder.join(&file);
            files::allow(Path::new(&file), &path, true);
            Ok(Login::TokenFile(path))
        }
        (_, Some(exec)) => Plugin::new(exec, cluster, folder).map(|plugin| Login::Plugin(Box::new(plugin))),
        _ => Ok(Login::Inline),
    }
}

async fn content(folder: &Path, file: &str, key: &'static str) -> Result<String, Message> {
    let path = folder.join(file);
    files::allow(Path::new(file), &path, key == "client-key");
    let content = files::read(&path, files::LARGEST).await.map_err(|error| say!("{} {}: {}", key, path.display(), error))?;
    Ok(STANDARD.encode(&content.bytes))
}

/// Why a kubeconfig that could be parsed cannot be used.
fn words(error: &KubeconfigError) -> Message {
    match error {
        KubeconfigError::MissingClusterUrl => say!("the cluster has no server"),
        KubeconfigError::ParseClusterUrl(_) => say!("the server of the cluster is not a URL"),
        KubeconfigError::ParseProxyUrl(_) => say!("the proxy is not a URL"),
        KubeconfigError::ParseNoProxy(_) => say!("NO_PROXY cannot be understood"),
        KubeconfigError::LoadCertificateAuthority(_) => say!("certificate-authority-data is not base64"),
        KubeconfigError::ParseCertificates(_) => say!("the certificate authority is not PEM"),
        KubeconfigError::LoadClientCertificate(_) | KubeconfigError::LoadClientKey(_) => {
            say!("client-certificate and client-key are not a pair of base64 or of files")
        }
        KubeconfigError::KindMismatch | KubeconfigError::ApiVersionMismatch => say!("its documents differ in kind or apiVersion"),
        KubeconfigError::LoadContext(_) | KubeconfigError::LoadClusterOfContext(_) | KubeconfigError::CurrentContextNotSet => {
            say!("the context cannot be found in it")
        }
        _ => say!("it cannot be used"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r"
apiVersion: v1
kind: Config
current-context: main
clusters:
- { name: c, cluster: { server: 'https://localhost:6443' } }
contexts:
- { name: main, context: { cluster: c, user: u } }
users:
- name: u
  user: { token: s3cr3t }
";

    async fn why(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, text).unwrap();
        let why = load(&file, None).await.map(|_| ()).unwrap_err().to_string();
        why.replace(&format!("read {}: ", file.display()), "")
    }

    #[tokio::test]
    async fn a_broken_kubeconfig_is_described_by_its_place_and_never_quoted() {
        for (broken, expected) in [
            (GOOD.replace("{ token: s3cr3t }", "\n   token: s3cr3t\n  odd"), "it is not YAML (line "),
            (GOOD.replace("{ token: s3cr3t }", "{ token: s3cr3t, token: s3cr3t2 }"), "a key is given twice (line 11, column 26)"),
            (GOOD.replace("s3cr3t", "{ a: s3cr3t }"), "a value is of another kind than expected (line 11, column 18)"),
            (GOOD.replace("token: s3cr3t", "tokenFile: [s3cr3t]"), "a value is of another kind than expected (line 11, column "),
            (
                GOOD.replace("token: s3cr3t", "client-certificate: s3cr3t, client-key: key.pem"),
                "client-certificate (a name that is hidden, since it may be a secret)",
            ),
            (
                GOOD.replace("token: s3cr3t", "client-certificate: \"-----BEGIN\\ns3cr3t\""),
                "client-certificate (a name that is hidden, since it may be a secret)",
            ),
            (GOOD.replace("6443' }", "6443', certificate-authority: /s3cr3t }"), "certificate-authority (a name that is hidden, since it may be a secret)"),
            (GOOD.replace("token: s3cr3t", "token: *s3cr3t"), "an alias refers to nothing (line 11, column "),
            (GOOD.replace("token: s3cr3t", "token: \"s3cr3t\\nx\""), "the token holds characters that no header can"),
            (GOOD.replace("token: s3cr3t", "auth-provider: { name: s3cr3t }"), "auth-provider cannot be used"),
            (GOOD.replace("token: s3cr3t", "client-key-data: s3cr3t"), "client-certificate and client-key must be given together"),
            (GOOD.replace("https://localhost:6443", "https://u:s3cr3t@local host"), "the server of the cluster must be a URL"),
            (GOOD.replace("https://localhost:6443", "s3cr3t:6443"), "the server of the cluster must begin with https:// or http://"),
            (GOOD.replace("https://localhost:6443", "127.0.0.1:6443"), "the server of the cluster must be a URL that begins with a scheme"),
            (GOOD.replace("https://localhost:6443", "s3cr3t"), "the server of the cluster must be a URL that begins with a scheme"),
            (GOOD.replace("https://localhost:6443", "ftp://s3cr3t"), "the server of the cluster must begin with https:// or http://"),
            (GOOD.replace("https://localhost:6443", "https://localhost:s3cr3t"), "the server of the cluster must be a URL whose port is a number"),
            (
                GOOD.replace("6443' }", "6443', insecure-skip-tls-verify: true }"),
                "the cluster says insecure-skip-tls-verify, so nobody knows who answers for it",
            ),
            (GOOD.replace("6443' }", "6443', proxy-url: s3cr3t }"), "the proxy-url of the cluster must be a URL"),
            (GOOD.replace("6443' }", "6443', proxy-url: 'socks5://s3cr3t:1080' }"), "the proxy-url of the cluster is a SOCKS proxy"),
            (GOOD.replace("user: u }", "user: v }"), "its context names a user that it does not have"),
            (GOOD.replace("6443' }", "6443', certificate-authority-data: '!s3cr3t' }"), "certificate-authority-data is not base64"),
            (GOOD.replace("6443' }", "6443', certificate-authority-data: czNjcjN0 }"), "the certificate-authority holds no certificate"),
            (GOOD.replace("token: s3cr3t", "client-certificate-data: '!', client-key-data: s3cr3t"), "client-certificate-data is not base64"),
            (GOOD.replace("token: s3cr3t", "client-certificate-data: czNjcjN0, client-key-data: s3cr3t"), "the client-certificate holds no certificate"),
            (GOOD.replace("cluster: c,", "cluster: other,"), "its context names a cluster that it does not have"),
            ("s3cr3t".to_owned(), "a value is of another kind than expected (line 1, column 1)"),
        ] {
            let why = why(&broken).await;
            assert!(why.starts_with(expected), "{broken}\n{why}");
            assert!(!why.contains("s3cr3t"), "{why}");
        }
    }

    #[test]
    fn what_can_be_said_of_a_context_is_said_without_asking_anybody() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        assert!(check_now(&file, None).is_ok(), "it may be where the exporter runs");
        let why = |text: &str, context: Option<&str>| {
            std::fs::write(&file, text).unwrap();
            check_now(&file, context).err().map(|why| why.to_string().replace(&format!("read {}: ", file.display()), ""))
        };
        assert_eq!((why(GOOD, None), why(GOOD, Some("main"))), (None, None));
        assert_eq!(
            why(GOOD, Some("other")).as_deref(),
            Some("it does not have the context; `kubectl config get-contexts --kubeconfig FILE` lists those that it has")
        );
        assert_eq!(why(GOOD, Some("mainn")).as_deref(), Some("it does not have the context; did you mean main?"));
        let insecure = |is: bool| GOOD.replace("6443' }", &format!("6443', insecure-skip-tls-verify: {is} }}"));
        assert_eq!(why(&insecure(false), None), None);
        assert!(why(&insecure(true), None).unwrap().starts_with("the cluster says insecure-skip-tls-verify, so nobody knows who answers for it"));
        let socks = why(&GOOD.replace("6443' }", "6443', proxy-url: 'socks5h://localhost:1080' }"), None).unwrap();
        assert!(socks.starts_with("the proxy-url of the cluster is a SOCKS proxy"), "{socks}");
        assert!(why("clusters: [", None).unwrap().starts_with("it is not YAML"));
    }

    #[tokio::test]
    async fn files_that_it_names_are_taken_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, GOOD.replace("token: s3cr3t", "tokenFile: token")).unwrap();
        let Login::TokenFile(found) = load(&file, Some("main")).await.unwrap().login else { panic!("no token file") };
        assert_eq!(found, folder.path().join("token"));
        std::fs::write(&file, GOOD.replace("server:", "certificate-authority: gone.pem, server:")).unwrap();
        let why = load(&file, None).await.map(|_| ()).unwrap_err();
        assert!(why.as_str().ends_with(&format!("certificate-authority {}: no such file", folder.path().join("gone.pem").display())), "{why}");
    }

    #[tokio::test]
    async fn base64_in_lines_is_read_as_kubectl_reads_it() {
        let (pem, key) = readiness_lab::Authority::new("Root").unwrap().issue_pem(&readiness_lab::Leaf::good(&["a.test"])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        let [pem, key] = [pem, key].map(|text| {
            let lines: Vec<String> = STANDARD.encode(text).as_bytes().chunks(76).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
            format!("{:?}", lines.join("\n"))
        });
        let text = GOOD.replace("6443' }", &format!("6443', certificate-authority-data: {pem} }}"));
        let text = text.replace("token: s3cr3t", &format!("client-certificate-data: {pem}, client-key-data: {key}"));
        std::fs::write(&file, &text).unwrap();
        let context = load(&file, None).await.map_err(|why| why.to_string()).unwrap().config;
        let user = context.auth_info;
        // The client takes one line alone.
        for data in [user.client_certificate_data.unwrap(), user.client_key_data.unwrap().expose_secret().to_owned()] {
            assert!(STANDARD.decode(data).is_ok_and(|pem| pem.starts_with(b"-----BEGIN")));
        }
        assert_eq!(context.root_cert.map(|roots| roots.len()), Some(1));
        std::fs::write(&file, text.replace("\\n", " ")).unwrap();
        assert!(load(&file, None).await.is_err(), "kubectl takes no spaces");
        // Empty is as good as left out.
        std::fs::write(&file, GOOD.replace("{ token", "{ client-certificate-data: '', client-key-data: '', token")).unwrap();
        assert!(load(&file, None).await.is_ok());
    }

    #[tokio::test]
    async fn a_byte_order_mark_and_several_documents_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, format!("\u{feff}{}", GOOD.replace('\n', "\r\n"))).unwrap();
        assert!(load(&file, None).await.is_ok());
        std::fs::write(&file, format!("{GOOD}---\n{GOOD}")).unwrap();
        assert!(load(&file, None).await.is_ok());
    }
}
