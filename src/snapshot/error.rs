//! Why a look failed, as a class that a caller decides by and in words for people.

use std::time::Duration;

use crate::say::{Message, Say};

/// Why a look failed; the value of the `class` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// No complete answer within the deadline.
    Timeout,
    /// No connection, or it was cut.
    Unreachable,
    /// The credentials were refused (401, 403).
    Denied,
    /// What was asked for does not exist (404).
    NotFound,
    /// Told to slow down (429).
    Throttled,
    /// The other side failed (5xx).
    Server,
    /// An answer that cannot be understood.
    Malformed,
    /// Something on this side: a file that cannot be read, a context that is missing.
    Local,
    /// A defect in a collector.
    Panicked,
}

impl ErrorClass {
    /// Every class, in label order.
    pub const ALL: [Self; 9] =
        [Self::Timeout, Self::Unreachable, Self::Denied, Self::NotFound, Self::Throttled, Self::Server, Self::Malformed, Self::Local, Self::Panicked];

    /// What an HTTP status that is no success means.
    pub const fn of_status(status: u16) -> Self {
        match status {
            401 | 403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::Throttled,
            408 | 504 => Self::Timeout,
            500..=599 => Self::Server,
            _ => Self::Malformed,
        }
    }

    /// What to do about it where nothing more is known of the cause.
    const fn fix(self) -> &'static str {
        match self {
            Self::Timeout => "Find out why no whole answer comes in time: ask by hand from where the exporter runs, or give `timeout` more room.",
            Self::Unreachable => "Make it reachable from where the exporter runs: look there at its name, route, firewall and proxy.",
            Self::Denied => {
                "Look at the login that the exporter uses there, and at what that login may read. For a cluster `readiness-exporter config rbac --cluster CLUSTER` prints what it needs."
            }
            Self::NotFound => "Correct its name or address in the configuration, or create what does not exist.",
            Self::Throttled => "Wait. If it stays so, let the exporter ask less often: give its collector a longer `interval`.",
            Self::Server => "Wait a minute. If it stays so, read the log of the other side: it failed by itself.",
            Self::Malformed => "Find out what answers there: it may be a proxy, a sign-in page or another program.",
            Self::Local => "Fix what is named: the cause is on the exporter's own side, in its configuration or on its machine.",
            Self::Panicked => "Restart the exporter, and report this with its log: it is a defect of this program.",
        }
    }

    /// The label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::NotFound => "not_found",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Malformed => "malformed",
            Self::Local => "local",
            Self::Panicked => "panicked",
        }
    }
}

/// A look that could not be completed. One failing target inside a look is a sample, not this.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct CollectError {
    /// For the label and for the back-off.
    pub class: ErrorClass,
    /// The act that failed, then the cause. Goes to the log and the status page.
    pub message: Message,
    /// How long the other side asked us to stay away; clamped by the driver.
    pub retry_after: Option<Duration>,
}

impl Say for CollectError {}

impl CollectError {
    /// An error of `class` with the act that failed and its cause.
    pub fn new(class: ErrorClass, message: impl Into<Message>) -> Self {
        Self { class, message: message.into().or_fixed_by(class.fix()), retry_after: None }
    }

    /// The same, with what to do about this very cause.
    #[must_use]
    pub fn fixed_by(self, fix: &'static str) -> Self {
        Self { message: self.message.fixed_by(fix), ..self }
    }

    /// Whether the same look can succeed a moment later without anybody's doing, and may be repeated
    /// at once: not where the other side asked for distance, nor a refused password, which locks accounts.
    pub const fn may_pass(&self) -> bool {
        matches!(self.class, ErrorClass::Timeout | ErrorClass::Unreachable | ErrorClass::Server) && self.retry_after.is_none()
    }
}
