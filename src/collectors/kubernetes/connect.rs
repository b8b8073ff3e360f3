//! From a cluster's configuration to a client with timeouts.

use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::config::ClusterConfig;
use crate::snapshot::{CollectError, ErrorClass};

/// Builds a client; an exec plugin of the kubeconfig runs in here, within `timeout`.
pub(super) async fn client(cluster: &ClusterConfig, timeout: Duration) -> Result<Client, CollectError> {
    let failed = |why: String| CollectError::new(ErrorClass::Local, format!("connect to cluster {}: {why}", cluster.name));
    let mut config = settings(cluster).await.map_err(&failed)?;
    config.connect_timeout = Some(timeout);
    // Above the 290 s of a watch; without it a silent server holds a list for ever.
    config.read_timeout = Some(Duration::from_mins(5));
    config.reset_reader_on_write = true;
    // The driver paces retries; the client's own would go on for an hour inside one call.
    config.default_retry = false;
    let runtime = tokio::runtime::Handle::current();
    // Building a client runs the exec plugin synchronously.
    let built = tokio::task::spawn_blocking(move || {
        let _guard = runtime.enter();
        Client::try_from(config)
    });
    match tokio::time::timeout(timeout, built).await {
        Err(_) => Err(CollectError::new(ErrorClass::Timeout, failed("the client was not ready in time".to_owned()).message)),
        Ok(Err(error)) => Err(failed(error.to_string())),
        Ok(Ok(built)) => built.map_err(|error| failed(error.to_string())),
    }
}

async fn settings(cluster: &ClusterConfig) -> Result<Config, String> {
    // `Config::infer` is avoided: it knows no context and hides a broken kubeconfig.
    if cluster.in_cluster {
        return Config::incluster().map_err(|error| error.to_string());
    }
    if let Some(file) = &cluster.kubeconfig {
        let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
        let kubeconfig = Kubeconfig::read_from(file).map_err(|error| error.to_string())?;
        return Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| error.to_string());
    }
    let server = cluster.server.as_deref().unwrap_or_default();
    let mut config = Config::new(server.parse().map_err(|error| format!("server {server}: {error}"))?);
    if let Some(file) = &cluster.ca_file {
        let pem = tokio::fs::read(file).await.map_err(|error| format!("read ca_file {}: {error}", file.display()))?;
        config.root_cert = Some(certificates(&pem).map_err(|why| format!("read ca_file {}: {why}", file.display()))?);
    }
    if let Some(token) = &cluster.token {
        // Read here and not by the client, which takes a final line break for a part of the token.
        // A rotated file is picked up when the old token is refused: the watch then connects anew.
        config.auth_info = AuthInfo { token: Some(token.read()?.expose().to_owned().into()), ..AuthInfo::default() };
    }
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect();
    found.map_err(|error| error.to_string()).and_then(|found| if found.is_empty() { Err("holds no certificate".to_owned()) } else { Ok(found) })
}
