//! From a cluster's configuration to a client with timeouts and a token that stays fresh.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{AUTHORIZATION, HeaderValue};
use jiff::Timestamp;
use kube::client::{Body, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tower::BoxError;
use tower::filter::FilterLayer;

use super::bounded::Bounded;
use super::config::{ClusterConfig, Reach};
use super::eks;
use crate::config::SecretRef;
use crate::snapshot::{CollectError, ErrorClass};

/// How long a token that was read from a file is used. Service account tokens rotate within the
/// hour, and the API server takes the old one for a while longer.
const TOKEN_AGE: Duration = Duration::from_mins(1);

/// The way to one cluster, shared by all who look at it.
#[derive(Clone)]
pub(in crate::collectors) struct Link {
    cluster: Arc<ClusterConfig>,
    timeout: Duration,
    client: Arc<Mutex<Option<Client>>>,
    tokens: Option<Arc<Tokens>>,
}

impl Link {
    pub(in crate::collectors) fn new(cluster: ClusterConfig, timeout: Duration) -> Self {
        let source = match (&cluster.token, &cluster.eks) {
            (Some(token), _) => Some(TokenSource::Secret(token.clone())),
            (None, Some(eks)) => Some(TokenSource::Eks(Box::new(eks::Signer::new(eks.clone())))),
            (None, None) if cluster.in_cluster => Some(TokenSource::Secret(SecretRef { file: Some(SERVICE_ACCOUNT_TOKEN.into()), env: None })),
            _ => None,
        };
        let tokens = source.map(|source| Arc::new(Tokens { source, until: Mutex::default(), current: std::sync::Mutex::default() }));
        Self { cluster: Arc::new(cluster), timeout, client: Arc::default(), tokens }
    }

    /// How kubelets are asked unless the configuration says so: an identity that only a kubeconfig
    /// knows cannot be shown to a kubelet.
    pub(super) fn default_reach(&self) -> Reach {
        if self.tokens.is_some() { Reach::Kubelet } else { Reach::NodeProxy }
    }

    /// The client, built when there is none.
    pub(in crate::collectors) async fn client(&self) -> Result<Client, CollectError> {
        let mut slot = self.client.lock().await;
        if let Some(client) = &*slot
            && client.valid_until().is_none_or(|until| until > Timestamp::now())
        {
            self.keep_token().await?;
            return Ok(client.clone());
        }
        self.keep_token().await?;
        let client = self.build().await?;
        *slot = Some(client.clone());
        Ok(client)
    }

    /// A client that knows what the files say now.
    pub(super) async fn fresh(&self) -> Result<Client, CollectError> {
        self.client.lock().await.take();
        if let Some(tokens) = &self.tokens {
            tokens.until.lock().await.take();
        }
        self.client().await
    }

    /// Renews the token of the client when it is old.
    pub(super) async fn keep_token(&self) -> Result<(), CollectError> {
        match &self.tokens {
            Some(tokens) => tokens.get().await.map(drop).map_err(|why| self.failed(&why)),
            None => Ok(()),
        }
    }

    /// The token for a kubelet.
    pub(super) async fn bearer(&self) -> Result<HeaderValue, CollectError> {
        match &self.tokens {
            Some(tokens) => tokens.get().await.map_err(|why| self.failed(&why)),
            None => Err(self.failed("a kubelet cannot be shown the identity of a kubeconfig; set collectors.kubernetes.storage.via to node_proxy")),
        }
    }

    /// PEM certificates of the cluster's authority.
    pub(super) async fn authority(&self) -> Result<Vec<Vec<u8>>, CollectError> {
        Ok(self.settings().await?.root_cert.unwrap_or_default())
    }

    fn failed(&self, why: &str) -> CollectError {
        CollectError::new(ErrorClass::Local, format!("connect to cluster {}: {why}", self.cluster.name))
    }

    /// An exec plugin of a kubeconfig runs in here, within the deadline.
    async fn build(&self) -> Result<Client, CollectError> {
        let mut config = self.settings().await?;
        config.connect_timeout = Some(self.timeout);
        // Above the life of a watch; without it a silent server holds a list for ever.
        config.read_timeout = Some(Duration::from_mins(5));
        config.reset_reader_on_write = true;
        // The driver paces retries; the client's own would go on for an hour inside one call.
        config.default_retry = false;
        let runtime = tokio::runtime::Handle::current();
        let tokens = self.tokens.clone();
        // Building a client runs the exec plugin synchronously.
        let built = tokio::task::spawn_blocking(move || {
            let _guard = runtime.enter();
            let builder = ClientBuilder::try_from(config)?.with_layer(&tower::layer::layer_fn(Bounded));
            Ok::<_, kube::Error>(match tokens {
                Some(tokens) => builder.with_layer(&FilterLayer::new(move |request| tokens.sign(request))).build(),
                None => builder.build(),
            })
        });
        match tokio::time::timeout(self.timeout, built).await {
            Err(_) => Err(CollectError::new(ErrorClass::Timeout, self.failed("the client was not ready in time").message)),
            Ok(Err(error)) => Err(self.failed(&error.to_string())),
            Ok(Ok(built)) => built.map_err(|error| self.failed(&error.to_string())),
        }
    }

    async fn settings(&self) -> Result<Config, CollectError> {
        let cluster = &self.cluster;
        let failed = |why: String| self.failed(&why);
        // `Config::infer` is avoided: it knows no context and hides a broken kubeconfig.
        let mut config = if cluster.in_cluster {
            let mut config = Config::incluster().map_err(|error| failed(error.to_string()))?;
            config.auth_info = kube::config::AuthInfo::default();
            config
        } else if let Some(file) = &cluster.kubeconfig {
            let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
            let kubeconfig = Kubeconfig::read_from(file).map_err(|error| failed(error.to_string()))?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| failed(error.to_string()))?
        } else if let Some(Tokens { source: TokenSource::Eks(signer), .. }) = self.tokens.as_deref() {
            let place = tokio::time::timeout(self.timeout, signer.describe()).await;
            let place = place.map_err(|_| failed("ask EKS for the cluster: no answer in time".to_owned()))?.map_err(failed)?;
            let mut config = Config::new(place.endpoint.parse().map_err(|error| failed(format!("server {}: {error}", place.endpoint)))?);
            config.root_cert = Some(certificates(&place.authority).map_err(failed)?);
            config
        } else {
            let server = cluster.server.as_deref().unwrap_or_default();
            let mut config = Config::new(server.parse().map_err(|error| failed(format!("server {server}: {error}")))?);
            if let Some(file) = &cluster.ca_file {
                let pem = tokio::fs::read(file).await.map_err(|error| failed(format!("read ca_file {}: {error}", file.display())))?;
                config.root_cert = Some(certificates(&pem).map_err(|why| failed(format!("read ca_file {}: {why}", file.display())))?);
            }
            config
        };
        if let Some(proxy) = &cluster.proxy {
            config.proxy_url = Some(proxy.parse().map_err(|error| failed(format!("proxy {proxy}: {error}")))?);
        }
        Ok(config)
    }
}

/// Source: <https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

enum TokenSource {
    Secret(SecretRef),
    Eks(Box<eks::Signer>),
}

/// The token of the moment. Ours and not the client's: that takes a final line break of a file for
/// a part of the token, and knows nothing of EKS.
struct Tokens {
    source: TokenSource,
    until: Mutex<Option<Instant>>,
    current: std::sync::Mutex<Option<HeaderValue>>,
}

impl Tokens {
    async fn get(&self) -> Result<HeaderValue, String> {
        let mut until = self.until.lock().await;
        if let (Some(until), Some(token)) = (*until, self.current())
            && Instant::now() < until
        {
            return Ok(token);
        }
        let (text, age) = match &self.source {
            TokenSource::Secret(secret) => (secret.read()?.expose().trim_end().to_owned(), TOKEN_AGE),
            TokenSource::Eks(signer) => (signer.token().await?, eks::TOKEN_AGE),
        };
        // The header's own error would not name the token, but must not be given the chance.
        let mut token = HeaderValue::from_str(&format!("Bearer {text}")).map_err(|_| "the token holds characters that no header can".to_owned())?;
        token.set_sensitive(true);
        *until = Some(Instant::now() + age);
        *self.current.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(token.clone());
        Ok(token)
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

/// Certificates of a PEM file.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect();
    found.map_err(|error| error.to_string()).and_then(|found| if found.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(found) })
}
