//! Whether a certificate that lives for days is seen to be renewed in time: pure.
//!
//! Of one that lives for six days a week is never left, and a day before its end is no better: whoever renews it does so
//! when two thirds of its life are over, and the server presents the next one a little later. So what is young is not
//! late, and it counts against an event unless
//! its renewal was seen: by cert-manager, which says when it comes, or by this program, which saw the one before.

use jiff::Timestamp;
use x509_parser::prelude::X509Certificate;

use crate::collectors::kubernetes;
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;
use crate::value::Span;

/// What lives for less than this is renewed by a program: nobody does that by hand each week.
const SHORT: i64 = 14 * 24 * 3600;

/// The life of a certificate, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) begins: i64,
    pub(super) ends: i64,
}

impl Life {
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let [begins, ends] = [certificate.validity().not_before, certificate.validity().not_after].map(|at| at.timestamp());
        Self { begins, ends }
    }

    fn length(self) -> i64 {
        self.ends.saturating_sub(self.begins)
    }

    /// Whether it lives for days.
    pub(super) fn is_short(self) -> bool {
        self.length() < SHORT
    }

    /// The same, before it is late: who renews makes the next one when two thirds of a life are over, and until the server
    /// presents that one another tenth may pass.
    /// Source: <https://cert-manager.io/docs/usage/certificate/>
    pub(super) fn is_young(self, now: i64) -> bool {
        self.is_short() && now < self.late()
    }

    /// From when on nobody can be expected to renew it any more.
    fn late(self) -> i64 {
        self.begins.saturating_add(self.length() / 3 * 2 + self.length() / 10)
    }

    /// Why an end that is near is none to worry about while it is young.
    pub(super) fn why_not_due(self) -> Message {
        let at = |second: i64| Timestamp::from_second(second).map_or_else(|_| say!("a moment that is no date"), |at| say!("{}", at));
        let lives = Span::whole_minutes(self.length());
        say!("it expires at {} and lives for {} by design, so its renewal is due at {} at the latest", at(self.ends), lives, at(self.late()))
    }

    /// By whom it is renewed before it expires, as far as that was seen; `before` is when the one before it began.
    pub(super) fn renewed(self, before: Option<i64>, seen: &Snapshot, now: i64) -> Option<Message> {
        if !self.is_young(now) {
            return None;
        }
        if let Some(name) = kubernetes::renewed_certificate(seen, [self.begins, self.ends], now) {
            return Some(say!("cert-manager renews it as {}", named(&name)));
        }
        // The next one is not late, and when it is there this one still holds.
        let pause = self.begins.saturating_sub(before?);
        let late = pause.saturating_add(self.length() / 10);
        let in_time = pause > 0 && late <= self.length() && now.saturating_sub(self.begins) <= late;
        in_time.then(|| say!("it was renewed {} after the one before it", Span::whole_minutes(pause)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600;

    #[test]
    fn a_certificate_of_days_is_renewed_if_that_was_seen() {
        let life = |days: i64| Life { begins: 0, ends: days * DAY };
        assert!(life(6).is_young(3 * DAY) && !life(6).is_young(5 * DAY) && !life(90).is_young(DAY));
        // The new one is made when two thirds are over, and the server takes it a little later.
        assert!(life(6).is_young(4 * DAY + 60) && life(6).is_young(4 * DAY + DAY / 2) && !life(6).is_young(4 * DAY + DAY));
        let renewed = |before: Option<i64>, now: i64| life(6).renewed(before, &Snapshot::default(), now).is_some();
        assert!(renewed(Some(-4 * DAY), DAY) && !renewed(None, DAY));
        assert!(!renewed(Some(-6 * DAY), DAY), "the one before it had ended");
        assert!(!renewed(Some(-2 * DAY), 3 * DAY), "the next one is late");
        assert!(!renewed(Some(-4 * DAY), 5 * DAY), "most of its life is over");
    }
}
