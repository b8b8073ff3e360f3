//! The state of the simulated estate: which faults are on, and what follows from them.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::faults::FAULTS;

/// Which faults are on.
pub struct Estate {
    net: [u8; 2],
    on: Mutex<BTreeSet<&'static str>>,
    nodes: AtomicU32,
    version: watch::Sender<u64>,
}

impl Estate {
    pub(crate) fn new(net: [u8; 2]) -> Self {
        Self { net, on: Mutex::default(), nodes: AtomicU32::new(3), version: watch::Sender::new(0) }
    }

    /// Switches a fault; false if there is no such fault.
    pub fn set(&self, name: &str, on: bool) -> bool {
        let Some(fault) = FAULTS.iter().find(|fault| fault.name == name) else { return false };
        {
            let mut faults = self.on.lock().unwrap_or_else(PoisonError::into_inner);
            if on {
                faults.insert(fault.name)
            } else {
                faults.remove(fault.name)
            };
        }
        self.version.send_modify(|version| *version += 1);
        true
    }

    /// Gives every cluster this many nodes.
    pub fn grow(&self, nodes: u32) {
        self.nodes.store(nodes, Ordering::SeqCst);
        self.version.send_modify(|version| *version += 1);
    }

    pub(crate) fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::SeqCst)
    }

    /// Whether a fault is on.
    pub fn has(&self, name: &str) -> bool {
        self.on.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The address of a region's endpoint.
    pub(crate) fn endpoint(&self, region: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net[0], self.net[1], 11 + u8::try_from(region).unwrap_or(0))
    }
}
