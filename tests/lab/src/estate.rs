//! The state of the simulated estate: which faults are on, and what follows from them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::{Timestamp, ToSpan as _};
use tokio::sync::watch;

use crate::faults::faults;
use crate::kubernetes::KUBELET;

/// Which faults are on.
pub struct Estate {
    net: [u8; 2],
    started: Timestamp,
    /// Faults that are on, since when.
    on: Mutex<BTreeMap<&'static str, Timestamp>>,
    nodes: AtomicU32,
    /// How often the London token was rotated.
    rotations: AtomicU32,
    version: watch::Sender<u64>,
}

impl Estate {
    pub(crate) fn new(net: [u8; 2]) -> Self {
        Self {
            net,
            started: Timestamp::now().round(jiff::Unit::Second).unwrap_or_default(),
            on: Mutex::default(),
            nodes: AtomicU32::new(3),
            rotations: AtomicU32::new(0),
            version: watch::Sender::new(0),
        }
    }

    /// Switches a fault; false if there is no such fault.
    pub fn set(&self, name: &str, on: bool) -> bool {
        let Some(fault) = faults().find(|fault| fault.name == name) else { return false };
        {
            let mut faults = self.on.lock().unwrap_or_else(PoisonError::into_inner);
            if on {
                faults.entry(fault.name).or_insert_with(|| Timestamp::now().round(jiff::Unit::Second).unwrap_or_default());
            } else {
                faults.remove(fault.name);
            }
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
        self.on.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }

    /// When the estate came to be.
    pub(crate) fn started(&self) -> Timestamp {
        self.started
    }

    /// When what runs was last deployed: long enough ago that nothing of it is still starting.
    pub(crate) fn rolled_out(&self) -> Timestamp {
        self.started.checked_sub(1.hour()).unwrap_or_default()
    }

    /// The hour in Vancouver at which keys rotate, and when that was last: at night or in the evening, which is no hour
    /// of a workshop, and five hours away from now, so that no event of a test that starts a whole number of days from
    /// now, give or take some hours, is hit by it.
    pub(crate) fn last_rotation(&self) -> (i8, Timestamp) {
        let local = |days: i64| self.started().in_tz("America/Vancouver").ok()?.checked_sub(days.days()).ok();
        let now = local(0).map_or(12, |now| now.hour());
        let hour = [4, 1, 22, 19].into_iter().find(|hour| (5..=19).contains(&(now - hour).rem_euclid(24))).unwrap_or(4);
        let at = |days: i64| Some(local(days)?.with().hour(hour).minute(0).second(0).subsec_nanosecond(0).build().ok()?.timestamp());
        (hour, at(0).filter(|at| *at <= self.started()).or_else(|| at(1)).unwrap_or_default())
    }

    /// When the LLM key was last renewed: by its rotation.
    pub(crate) fn renewed(&self) -> Timestamp {
        self.last_rotation().1.checked_add(9.seconds()).unwrap_or_default()
    }

    /// When a fault was switched on; when the estate started, if it is off.
    pub(crate) fn since(&self, name: &str) -> Timestamp {
        self.on.lock().unwrap_or_else(PoisonError::into_inner).get(name).copied().unwrap_or(self.started)
    }

    /// A moment within the next event of the example: ten o'clock on the first of a month in Vancouver.
    pub(crate) fn during_next_event() -> Timestamp {
        let first = |months: i32| {
            let local = Timestamp::now().in_tz("America/Vancouver").ok()?.checked_add(months.months()).ok()?;
            Some(local.first_of_month().ok()?.with().hour(10).minute(0).second(0).subsec_nanosecond(0).build().ok()?.timestamp())
        };
        let over = |at: &Timestamp| *at + 2.hours() <= Timestamp::now();
        first(0).filter(|at| !over(at)).or_else(|| first(1)).unwrap_or_default()
    }

    /// The token that a region's cluster takes now.
    pub(crate) fn token(&self, region: &str) -> String {
        match self.rotations.load(Ordering::SeqCst) {
            rotations if rotations > 0 && region == "eu-west-2" => format!("token-of-{region}-{rotations}"),
            _ => format!("token-of-{region}"),
        }
    }

    /// Makes the London cluster take another token from now on.
    pub(crate) fn rotate(&self) {
        self.rotations.fetch_add(1, Ordering::SeqCst);
    }

    /// A place on this estate's net.
    pub(crate) fn at(&self, last: u8, port: u16) -> SocketAddr {
        (Ipv4Addr::new(127, self.net[0], self.net[1], last), port).into()
    }

    /// The address that API servers and registries share.
    pub(crate) fn host(&self) -> String {
        self.at(1, 0).ip().to_string()
    }

    /// Where the kubelet of a node listens. Only the first nine of a region really do.
    pub(crate) fn kubelet(&self, region: &str, node: u32) -> SocketAddr {
        let region = crate::REGIONS.iter().position(|own| *own == region).unwrap_or(0);
        let last = 30 + 10 * region + usize::try_from(node % 10).unwrap_or(0);
        self.at(u8::try_from(last).unwrap_or(30), KUBELET)
    }

    /// Changes with every fault that is switched.
    pub(crate) fn version(&self) -> u64 {
        *self.version.borrow()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// The address of a region's endpoint.
    pub(crate) fn endpoint(&self, region: usize) -> Ipv4Addr {
        Ipv4Addr::new(127, self.net[0], self.net[1], 11 + u8::try_from(region).unwrap_or(0))
    }
}
