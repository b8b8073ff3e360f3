//! What the lab serves beside its clusters: one record for each part, from which follow its start, the files that it
//! writes, its faults, and which of its servers a test may break. Knows of a part what its record says, and nothing else.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use rustls::sign::CertifiedKey;
use tokio::task::JoinHandle;

use crate::certificates::{Authority, Leaf};
use crate::estate::Estate;
use crate::faults::Group;
use crate::{Elsewhere, aws, control, dns, elsewhere, issuers, registry, web};

/// Every part, in the order in which they start.
pub(crate) static PARTS: &[&Part] = &[&registry::PART, &issuers::PART, &aws::PART, &dns::PART, &web::PART, &elsewhere::PART, &control::PART];

/// A server of the lab, or several that belong together.
pub(crate) struct Part {
    /// Name by which tests ask for its servers.
    pub(crate) name: &'static str,
    /// Where its servers listen.
    pub(crate) servers: fn(&Estate) -> Vec<SocketAddr>,
    /// What may go wrong between them and whoever asks.
    pub(crate) suffers: Suffers,
    /// Files that whoever asks them needs: tokens, passwords.
    pub(crate) files: fn() -> Vec<(&'static str, String)>,
    /// What can be broken in them.
    pub(crate) groups: &'static [&'static Group],
    /// Starts them, and says which tasks end with the lab.
    pub(crate) start: for<'a> fn(&'a Ground, &'a mut Tasks) -> BoxFuture<'a, anyhow::Result<()>>,
}

/// What may go wrong between servers and whoever asks them, whatever they speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suffers {
    /// Every trouble that HTTP has.
    Troubles,
    /// Only storms: names, and what is asked over TLS with a certificate for each name.
    Storms,
    /// Nothing: tests need them as they are.
    Nothing,
}

/// What runs until the lab ends.
pub(crate) type Tasks = Vec<JoinHandle<()>>;

/// What parts stand on.
pub(crate) struct Ground {
    pub(crate) estate: Arc<Estate>,
    /// Who signs every certificate that is good.
    pub(crate) authority: Authority,
    /// The certificate of the address that most parts share.
    pub(crate) key: Arc<CertifiedKey>,
    /// What came to where redirects lead.
    pub(crate) elsewhere: Elsewhere,
    /// The folder with certificates and tokens.
    pub(crate) folder: PathBuf,
}

impl Ground {
    pub(crate) fn new(net: [u8; 2], folder: PathBuf) -> anyhow::Result<Self> {
        let estate = Arc::new(Estate::new(net));
        let authority = Authority::new("Lab Root")?;
        let key = authority.issue(&Leaf::good(&[&estate.host()]))?;
        Ok(Self { estate, authority, key, elsewhere: Elsewhere::default(), folder })
    }

    /// A good certificate for another address.
    pub(crate) fn key_of(&self, address: IpAddr) -> anyhow::Result<Arc<CertifiedKey>> {
        self.authority.issue(&Leaf::good(&[&address.to_string()]))
    }
}
