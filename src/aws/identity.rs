//! Who asks AWS: found where the SDKs look for it, kept as long as it lasts, and away from the event loop,
//! since the SDKs read files in their own way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use futures::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OnceCell, Semaphore};

use super::bounded;
use super::errors::identity_failure;
use crate::made::Made;
use crate::say::Message;
use crate::{files, say};

/// How long before its end an identity is replaced, so that it outlives what is signed with it.
const MARGIN: Duration = Duration::from_mins(5);
/// How long an identity is kept that does not tell when it expires, as the SDKs do.
const KEPT: Duration = Duration::from_mins(15);

/// Who asks AWS, in one region. Found out once and kept as long as it lasts: a role that was assumed
/// anew for each look would be a request to STS for each look.
pub struct Caller {
    region: String,
    role_arn: Option<String>,
    profile: Option<String>,
    settings: OnceCell<SdkConfig>,
    identity: Mutex<Option<(Credentials, SystemTime)>>,
}

impl Caller {
    /// Whoever the environment says, or a role that it may assume.
    pub fn new(region: &str, role_arn: Option<&str>) -> Self {
        Self { region: region.to_owned(), role_arn: role_arn.map(str::to_owned), profile: None, settings: OnceCell::new(), identity: Mutex::default() }
    }

    /// The same by a profile of the files of AWS, which then counts alone: what the environment says
    /// may be another account.
    pub(crate) fn with_profile(self, profile: Option<&str>) -> Self {
        Self { profile: profile.map(str::to_owned), ..self }
    }

    /// Whoever these settings say, in a region; nothing is looked for.
    pub fn of_settings(region: &str, settings: SdkConfig) -> Self {
        Self { settings: OnceCell::new_with(Some(settings)), ..Self::new(region, None) }
    }

    /// Whoever a provider says.
    #[cfg(test)]
    pub(crate) fn of_provider(region: &str, provider: impl ProvideCredentials + 'static) -> Self {
        let provider = SharedCredentialsProvider::new(provider);
        Self::of_settings(region, SdkConfig::builder().credentials_provider(provider).region(Region::new(region.to_owned())).build())
    }

    /// The region.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// What a client of an SDK is made of.
    pub(crate) async fn settings(&self) -> Result<&SdkConfig, Message> {
        self.settings.get_or_try_init(|| settings(self.region.clone(), self.role_arn.clone(), self.profile.clone())).await
    }

    /// What a request without a client of its own is signed with.
    pub(crate) async fn identity(&self) -> Result<Credentials, Message> {
        let mut kept = self.identity.lock().await;
        if let Some((identity, _)) = kept.as_ref().filter(|(_, until)| SystemTime::now() < *until) {
            return Ok(identity.clone());
        }
        let provider = self.settings().await?.credentials_provider().ok_or("find AWS credentials: there is no provider")?;
        let found = provider.provide_credentials().await.map_err(|error| say!("find AWS credentials: {}", identity_failure(&error)))?;
        let until = found.expiry().map_or_else(|| SystemTime::now() + KEPT, |end| end.checked_sub(MARGIN).unwrap_or(SystemTime::UNIX_EPOCH));
        Ok(kept.insert((found, until)).0.clone())
    }
}

/// Callers by region and role, so that those who ask as the same one share it.
#[derive(Default)]
pub(crate) struct Callers(BTreeMap<(String, Option<String>), Made<Arc<Caller>>>);

impl Callers {
    /// The one for a region and a role.
    pub(crate) fn of(&mut self, region: &str, role_arn: Option<&str>) -> Made<Arc<Caller>> {
        let key = (region.to_owned(), role_arn.map(str::to_owned));
        let make = |(region, role_arn): &(String, Option<String>)| Arc::new(Caller::new(region, role_arn.as_deref()));
        self.0.entry(key.clone()).or_insert_with(|| Made::of(key, make)).clone()
    }
}

/// The chain of the AWS SDKs without `sso` and processes: environment, profile, web identity, pod
/// identity, instance, or the one profile that is named; then the role, if one is to be assumed.
async fn settings(region: String, role_arn: Option<String>, profile: Option<String>) -> Result<SdkConfig, Message> {
    let load = async move {
        let region = Region::new(region);
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(region.clone()).http_client(bounded::client());
        if let Some(profile) = profile {
            let network = ProviderConfig::default().with_region(Some(region.clone())).with_http_client(bounded::client());
            let provider = ProfileFileCredentialsProvider::builder().configure(&network).profile_name(&profile).build();
            loader = loader.profile_name(profile).credentials_provider(provider);
        }
        let base = loader.load().await;
        let provider = match role_arn {
            None => base.credentials_provider(),
            Some(role) => {
                let assumed = AssumeRoleProvider::builder(role).region(region).session_name("readiness-exporter").configure(&base).build().await;
                Some(SharedCredentialsProvider::new(assumed))
            }
        };
        let mut settings = base.into_builder();
        settings.set_credentials_provider(provider.map(|provider| SharedCredentialsProvider::new(Aside(provider))));
        settings.build()
    };
    aside(load.boxed()).await
}

/// Reads of files by the SDKs at a time, those that hang included.
static READS: Semaphore = Semaphore::const_new(4);

/// Does what reads files in the way of the SDKs: whole, and on the thread on which it is polled. So it
/// has a thread of its own, and begins when the files are known to be there and to end.
async fn aside<T: Send + 'static>(reads: impl Future<Output = T> + Send + 'static) -> Result<T, Message> {
    for (name, path) in files_of_sdks() {
        match files::read(&path, files::LARGEST).await {
            Ok(_) | Err(files::ReadError::Absent) => {}
            Err(why) => return Err(say!("read what {} names: {}", name, why)),
        }
    }
    let place = READS.acquire().await.map_err(|_| "find AWS credentials: the program ends")?;
    let runtime = Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        runtime.block_on(reads)
    });
    read.await.map_err(|_| Message::from("find AWS credentials: the program ends"))
}

/// The files that the environment names for the SDKs, or that they look for in the home directory.
/// Sources: <https://docs.aws.amazon.com/sdkref/latest/guide/file-location.html>,
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>
fn files_of_sdks() -> impl Iterator<Item = (&'static str, PathBuf)> {
    let files = [
        ("AWS_CONFIG_FILE", Some(".aws/config")),
        ("AWS_SHARED_CREDENTIALS_FILE", Some(".aws/credentials")),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", None),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", None),
    ];
    files.into_iter().filter_map(|(name, at_home)| {
        let named = std::env::var_os(name).map(PathBuf::from);
        Some((name, named.or_else(|| Some(std::env::home_dir()?.join(at_home?)))?))
    })
}

/// An identity whose provider may read files.
#[derive(Debug)]
struct Aside(SharedCredentialsProvider);

impl ProvideCredentials for Aside {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let provider = self.0.clone();
        future::ProvideCredentials::new(async move {
            let found = aside(async move { provider.provide_credentials().await }).await;
            found.unwrap_or_else(|why| Err(CredentialsError::invalid_configuration(Unreadable(why))))
        })
    }
}

/// Why a file of the SDKs is not read.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(pub(super) Message);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Counts how often it is asked.
    #[derive(Debug)]
    struct Sts {
        asked: Arc<AtomicU64>,
        lasts: Option<Duration>,
    }

    impl ProvideCredentials for Sts {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let end = self.lasts.map(|lasts| SystemTime::now() + lasts);
            future::ProvideCredentials::ready(Ok(Credentials::new("AKIDTEST", "not-a-real-one", None, end, "test")))
        }
    }

    #[tokio::test]
    async fn an_identity_that_ended_before_time_began_is_asked_for_again() {
        #[derive(Debug)]
        struct Early;
        impl ProvideCredentials for Early {
            fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
            where
                Self: 'a,
            {
                let first = (0..64).map(|bits| Duration::from_secs(1 << bits)).rev();
                let end = first.fold(SystemTime::UNIX_EPOCH, |at, step| at.checked_sub(step).unwrap_or(at));
                future::ProvideCredentials::ready(Ok(Credentials::new("AKIDTEST", "not-a-real-one", None, Some(end), "test")))
            }
        }
        assert!(Caller::of_provider("eu-west-2", Early).identity().await.is_ok());
    }

    #[tokio::test]
    async fn an_identity_is_asked_for_again_before_it_ends_and_not_sooner() {
        for (lasts, expected) in [(Some(Duration::from_hours(1)), 1), (None, 1), (Some(Duration::from_mins(4)), 3)] {
            let asked = Arc::new(AtomicU64::new(0));
            let caller = Caller::of_provider("eu-west-2", Sts { asked: Arc::clone(&asked), lasts });
            for _ in 0..3 {
                assert_eq!(caller.identity().await.unwrap().access_key_id(), "AKIDTEST");
            }
            assert_eq!(asked.load(Ordering::Relaxed), expected, "{lasts:?}");
        }
    }
}
