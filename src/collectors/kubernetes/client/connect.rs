//! From a cluster's configuration to a client with timeouts and a token that stays fresh.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower::BoxError;
use tower::filter::FilterLayer;

use crate::cause::Cause as _;
use crate::collectors::kubernetes::client::bounded::Bounded;
use crate::collectors::kubernetes::client::eks;
use crate::collectors::kubernetes::client::kubeconfig::{self, Context, Login};
use crate::collectors::kubernetes::client::plugin::Plugin;
use crate::collectors::kubernetes::config::{ClusterConfig, Reach};
use crate::files;
use crate::net;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::{CollectError, ErrorClass};
use crate::value::{Secret, SecretRef, Url};

/// How long a token that was read from a file is used. Service account tokens rotate within the
/// hour, and the API server takes the old one for a while longer.
const TOKEN_AGE: Duration = Duration::from_mins(1);
/// How long before its end a login is renewed.
const MARGIN: Duration = Duration::from_mins(1);

/// The way to one cluster, shared by all who look at it.
#[derive(Clone)]
pub(in crate::collectors) struct Link {
    cluster: Arc<ClusterConfig>,
    timeout: Duration,
    ready: Arc<Mutex<Option<Ready>>>,
    /// Those of the configuration; a kubeconfig may bring others.
    tokens: Option<Arc<Tokens>>,
}

/// A client, and what keeps its login fresh.
struct Ready {
    client: Client,
    tokens: Option<Arc<Tokens>>,
    /// When a client certificate ends that is the login.
    until: Option<Timestamp>,
}

/// How to connect.
struct Settings {
    config: Config,
    tokens: Option<Arc<Tokens>>,
    until: Option<Timestamp>,
}

impl Link {
    pub(in crate::collectors) fn new(cluster: ClusterConfig, timeout: Duration) -> Self {
        let source = match (&cluster.token, &cluster.eks) {
            (Some(token), _) => Some(TokenSource::Secret(token.clone())),
            (None, Some(eks)) => Some(TokenSource::Eks(Box::new(eks::Signer::new(eks.clone())))),
            (None, None) if cluster.in_cluster => Some(TokenSource::File(Path::new(SERVICE_ACCOUNT).join("token"))),
            _ => None,
        };
        Self { cluster: Arc::new(cluster), timeout, ready: Arc::default(), tokens: source.map(Tokens::new) }
    }

    /// How kubelets are asked unless the configuration says so: an identity that only a kubeconfig
    /// knows cannot be shown to a kubelet.
    pub(in crate::collectors::kubernetes) fn default_reach(&self) -> Reach {
        if self.tokens.is_some() { Reach::Kubelet } else { Reach::NodeProxy }
    }

    /// The client, built when there is none.
    pub(in crate::collectors) async fn client(&self) -> Result<Client, CollectError> {
        let mut slot = self.ready.lock().await;
        if let Some(ready) = slot.as_ref()
            && ready.until.is_none_or(|until| until > Timestamp::now())
        {
            ready.keep_token().await.map_err(|why| self.failed(why))?;
            return Ok(ready.client.clone());
        }
        let ready = self.build().await?;
        ready.keep_token().await.map_err(|why| self.failed(why))?;
        Ok(slot.insert(ready).client.clone())
    }

    /// A client that knows what the files say now.
    pub(in crate::collectors::kubernetes) async fn fresh(&self) -> Result<Client, CollectError> {
        self.ready.lock().await.take();
        if let Some(tokens) = &self.tokens {
            tokens.until.lock().await.take();
        }
        self.client().await
    }

    /// Renews the token of the client when it is old.
    pub(in crate::collectors::kubernetes) async fn keep_token(&self) -> Result<(), CollectError> {
        match self.ready.lock().await.as_ref() {
            Some(ready) => ready.keep_token().await.map_err(|why| self.failed(why)),
            None => Ok(()),
        }
    }

    /// The token for a kubelet.
    pub(in crate::collectors::kubernetes) async fn bearer(&self) -> Result<HeaderValue, CollectError> {
        match &self.tokens {
            Some(tokens) => tokens.get().await.map_err(|why| self.failed(why)),
            None => Err(self.failed(say!("a kubelet cannot be shown the identity of a kubeconfig; set collectors.kubernetes.storage.via to node_proxy"))),
        }
    }

    /// PEM certificates of the cluster's authority.
    pub(in crate::collectors::kubernetes) async fn authority(&self) -> Result<Vec<Vec<u8>>, CollectError> {
        Ok(self.settings().await?.config.root_cert.unwrap_or_default())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
    fn failed(&self, why: Message) -> CollectError {
        CollectError::new(ErrorClass::Local, say!("connect to cluster {}: {}", named(&self.cluster.name), why))
    }

    async fn build(&self) -> Result<Ready, CollectError> {
        let Settings { mut config, tokens, until } = self.settings().await?;
        config.connect_timeout = Some(self.timeout);
        // Above the life of a watch; without it a silent server holds a list for ever.
        config.read_timeout = Some(Duration::from_mins(5));
        config.reset_reader_on_write = true;
        // The driver paces retries; the client's own would go on for an hour inside one call.
        config.default_retry = false;
        let runtime = tokio::runtime::Handle::current();
        let signing = tokens.clone();
        // Building a client reads the trust roots of the system.
        let built = tokio::task::spawn_blocking(move || {
            let _guard = runtime.enter();
            let builder = ClientBuilder::try_from(config)?.with_layer(&tower::layer::layer_fn(Bounded));
            Ok::<_, kube::Error>(match signing {
                Some(tokens) => builder.with_layer(&FilterLayer::new(move |request| tokens.sign(request))).build(),
                None => builder.build(),
            })
        });
        let client = match tokio::time::timeout(self.timeout, built).await {
            Err(_) | Ok(Err(_)) => return Err(CollectError::new(ErrorClass::Timeout, self.failed(say!("the client was not ready in time")).message)),
            Ok(Ok(built)) => built.map_err(|error| self.failed(error.words()))?,
        };
        Ok(Ready { client, tokens, until })
    }

    async fn settings(&self) -> Result<Settings, CollectError> {
        let cluster = &self.cluster;
        let own = |config| Settings { config, tokens: self.tokens.clone(), until: None };
        // `Config::infer` is avoided: it knows no context and hides a broken kubeconfig.
        let mut settings = if cluster.in_cluster {
            own(in_cluster().await.map_err(|why| self.failed(why))?)
        } else if let Some(file) = &cluster.kubeconfig {
            self.of_kubeconfig(file).await.map_err(|why| self.failed(why))?
        } else if let Some(Tokens { source: TokenSource::Eks(signer), .. }) = self.tokens.as_deref() {
            own(self.of_eks(signer).await.map_err(|why| self.failed(why))?)
        } else {
            own(of_server(cluster).await.map_err(|why| self.failed(why))?)
        };
        if let Some(proxy) = &cluster.proxy {
            kubeconfig::can_be_asked(proxy.expose(), &["https", "http"]).map_err(|why| self.failed(say!("the proxy {}", why)))?;
            settings.config.proxy_url = Some(proxy.expose().parse().map_err(|_| self.failed(say!("the proxy is not a URL")))?);
        }
        Ok(settings)
    }

    async fn of_kubeconfig(&self, file: &Path) -> Result<Settings, Message> {
        let Context { mut config, login } = kubeconfig::load(file, self.cluster.context.as_deref()).await?;
        let plugin = match login {
            Login::Inline => return Ok(Settings { config, tokens: None, until: None }),
            Login::TokenFile(path) => return Ok(Settings { config, tokens: Some(Tokens::new(TokenSource::File(path))), until: None }),
            Login::Plugin(plugin) => plugin,
        };
        let printed = plugin.run(self.timeout).await?;
        if let Some((certificate, key)) = &printed.certificate {
            config.auth_info.client_certificate_data = Some(STANDARD.encode(certificate.expose()));
            config.auth_info.client_key_data = Some(STANDARD.encode(key.expose()).into());
            return Ok(Settings { config, tokens: None, until: printed.until });
        }
        let tokens = Tokens::new(TokenSource::Plugin(plugin, self.timeout));
        if let Some(token) = &printed.token {
            tokens.keep(token, age_until(printed.until)).await?;
        }
        Ok(Settings { config, tokens: Some(tokens), until: None })
    }

    async fn of_eks(&self, signer: &eks::Signer) -> Result<Config, Message> {
        let place = signer.describe(self.timeout).await.map_err(|error| error.message)?;
        let refused = |why: Message| say!("ask EKS for the cluster: its endpoint {}", why);
        let url = kubeconfig::can_be_asked(&place.endpoint, &["https"]).map_err(refused)?;
        // A token goes there, and only the name of a host belongs into an answer.
        if !url.username().is_empty() || url.password().is_some() || net::has_local_address(&url) {
            return Err(refused("must be a host without a user, and no address of this machine alone".into()));
        }
        let mut config = Config::new(place.endpoint.parse().map_err(|_| say!("ask EKS for the cluster: its endpoint is not a URL"))?);
        config.root_cert = Some(certificates(&place.authority)?);
        Ok(config)
    }
}

/// The folder that a pod finds its identity in.
/// Source: <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

async fn in_cluster() -> Result<Config, Message> {
    #[expect(clippy::disallowed_methods, reason = "where Kubernetes tells a pod its API server")]
    let variable = |name: &'static str| std::env::var(name).map_err(|_| say!("{} is not set, so this is no pod", name));
    let (host, port) = (variable("KUBERNETES_SERVICE_HOST")?, variable("KUBERNETES_SERVICE_PORT")?);
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server = format!("https://{host}:{port}").parse().map_err(|_| say!("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no URL"))?;
    let mut config = Config::new(server);
    config.root_cert = Some(authority(&Path::new(SERVICE_ACCOUNT).join("ca.crt")).await?);
    Ok(config)
}

async fn of_server(cluster: &ClusterConfig) -> Result<Config, Message> {
    let server = cluster.server.as_ref().map_or("", Url::expose);
    let mut config = Config::new(server.parse().map_err(|_| say!("the server is not a URL"))?);
    if let Some(file) = &cluster.ca_file {
        config.root_cert = Some(authority(file).await?);
    }
    Ok(config)
}

async fn authority(file: &Path) -> Result<Vec<Vec<u8>>, Message> {
    let content = files::read(file, files::LARGEST).await.map_err(|error| say!("read ca_file {}: {}", file.display(), error))?;
    certificates(&content.bytes).map_err(|why| say!("read ca_file {}: {}", file.display(), why))
}

/// Certificates of a PEM text.
pub(in crate::collectors::kubernetes) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Message> {
    Ok(net::certificates_in(pem)?.into_iter().map(|der| der.to_vec()).collect())
}

impl Ready {
    async fn keep_token(&self) -> Result<(), Message> {
        match &self.tokens {
            Some(tokens) => tokens.get().await.map(drop),
            None => Ok(()),
        }
    }
}

enum TokenSource {
    Secret(SecretRef),
    File(PathBuf),
    Eks(Box<eks::Signer>),
    Plugin(Box<Plugin>, Duration),
}

/// The token of the moment. Ours and not the client's: that takes a final line break of a file for
/// a part of the token, runs plugins on the event loop, and knows nothing of EKS.
struct Tokens {
    source: TokenSource,
    until: Mutex<Option<Instant>>,
    current: std::sync::Mutex<Option<HeaderValue>>,
}

/// How long a token is used that ends at this moment; for ever where it has no end.
fn age_until(until: Option<Timestamp>) -> Duration {
    let left = until.map(|until| until.duration_since(Timestamp::now()).try_into().unwrap_or_default());
    left.map_or(Duration::MAX, |left: Duration| left.saturating_sub(MARGIN))
}

impl Tokens {
    fn new(source: TokenSource) -> Arc<Self> {
        Arc::new(Self { source, until: Mutex::default(), current: std::sync::Mutex::default() })
    }

    async fn get(&self) -> Result<HeaderValue, Message> {
        let mut until = self.until.lock().await;
        if let (Some(until), Some(token)) = (*until, self.current())
            && Instant::now() < until
        {
            return Ok(token);
        }
        let (token, age) = match &self.source {
            TokenSource::Secret(secret) => (secret.read().await?, TOKEN_AGE),
            TokenSource::File(path) => (SecretRef { file: Some(path.clone()), env: None }.read().await?, TOKEN_AGE),
            TokenSource::Eks(signer) => (signer.token().await?, eks::TOKEN_AGE),
            TokenSource::Plugin(plugin, deadline) => {
                let printed = plugin.run(*deadline).await?;
                // A plugin that now prints a certificate needs another client.
                (printed.token.ok_or_else(|| say!("the plugin prints no token any longer"))?, age_until(printed.until))
            }
        };
        self.set(&token, age, &mut until)
    }

    /// Takes a token that is already there.
    async fn keep(&self, token: &Secret, age: Duration) -> Result<(), Message> {
        let mut until = self.until.lock().await;
        self.set(token, age, &mut until).map(drop)
    }

    fn set(&self, token: &Secret, age: Duration, until: &mut Option<Instant>) -> Result<HeaderValue, Message> {
        // The header's own error would not name the token, but must not be given the chance.
        let mut header =
            HeaderValue::from_str(&format!("Bearer {}", token.expose().trim())).map_err(|_| say!("the token holds characters that no header can"))?;
        header.set_sensitive(true);
        let now = Instant::now();
        // A year is for ever: a process does not live as long.
        *until = Some(now.checked_add(age).unwrap_or(now + Duration::from_hours(24 * 365)));
        *self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(header.clone());
        Ok(header)
    }

    fn current(&self) -> Option<HeaderValue> {
        self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the signature of a filter")]
    fn sign(&self, mut request: hyper::Request<Body>) -> Result<hyper::Request<Body>, BoxError> {
        if let Some(token) = self.current() {
            request.headers_mut().insert(AUTHORIZATION, token);
        }
        Ok(request)
    }
}
