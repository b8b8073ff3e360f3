//! What is told of a credential that was read: whether it works, when it ends, and what others wrote of it.

use std::sync::OnceLock;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::changed::Changed;
use super::dates::{self, Ends};
use super::expiry::Told;
use super::pair::Unpaired;
use super::read::{Annotation, Content};
use super::{CHANGED, CHANGED_EARLIEST, DECLARED, END, EXPIRY, FILE, FINGERPRINT, LAST_USED, Looker, STATE, VALID, Works};
use crate::metric::Sample;
use crate::net;
use crate::say;
use crate::say::named;

impl Looker {
    /// When somebody wrote that it ends: in the configuration, or in an annotation.
    fn declared(&self, content: &Content) -> Declared {
        let written = match (&self.credential.expires, &content.annotated) {
            (Some(expires), _) => expires.clone(),
            (None, Annotation::Says(annotation)) => annotation.clone(),
            (None, Annotation::Missing) => return Declared::Unreadable("its Secret lacks the annotation that tells when it ends"),
            (None, Annotation::Unasked) => return Declared::Nowhere,
        };
        match dates::read(&written) {
            Some(Ends::At(at)) => Declared::At(at, written),
            _ => Declared::Unreadable("the annotation that tells when it ends is no date"),
        }
    }

    pub(super) fn facts(&self, content: &Content, works: Works, told: Told) -> Vec<Sample> {
        let (labels, now) = (self.labels(), Timestamp::now().as_second());
        let mut samples = vec![STATE.sample(labels, "present")];
        samples.push(match (works, told.unpaired) {
            // Its own dates refute whatever an issuer's cache still says.
            _ if told.ends.is_some_and(|at| at <= now) => VALID.sample(labels, "invalid").with_detail("it has ended"),
            _ if told.begins.is_some_and(|at| at > now) => VALID.sample(labels, "invalid").with_detail("it is not valid yet"),
            (Works::Proved, _) => VALID.sample(labels, "valid"),
            (Works::Unproven, Some(Unpaired::Wrong(why))) => VALID.sample(labels, "invalid").with_detail(why),
            (Works::Unproven, Some(Unpaired::Unknown(why))) => VALID.sample(labels, "unknown").with_detail(why),
            (Works::Unproven, None) if self.credential.kind.opens_nothing() => VALID.sample(labels, "consistent"),
            (Works::Unproven, None) => VALID.sample(labels, "unproven").with_detail("nobody was asked whether it works"),
            (Works::No(why), _) => VALID.sample(labels, "invalid").with_detail(why),
            (Works::Unknown(error), _) => VALID.sample(labels, "unknown").with_detail(error.message),
        });
        let declared = self.declared(content);
        let bounds = told.created.map(Changed::exactly).or_else(|| content.changed.filter(|_| self.credential.age_is_of_its_place()));
        let changed = bounds.map(|bounds| bounds.latest);
        // By policy it is due as if it ended; when its age is not known, neither is that.
        let (due, undatable) = match (self.credential.max_age, told.ends, changed) {
            (Some(age), None, Some(changed)) => (Some(changed.saturating_add(i64::try_from(age.0.as_secs()).unwrap_or(i64::MAX))), None),
            (Some(_), None, None) => (None, Some("how old it is cannot be known")),
            _ => (None, None),
        };
        let (declared_at, unreadable) = match &declared {
            Declared::At(at, _) => (Some(*at), None),
            Declared::Unreadable(why) => (None, Some(*why)),
            Declared::Nowhere => (None, None),
        };
        let earliest = [told.ends, declared_at, due].into_iter().flatten().min();
        let silent = unreadable.or(undatable).or_else(|| told.silent.filter(|_| declared_at.is_none() && due.is_none()));
        samples.push(match (silent, earliest) {
            (Some(why), _) => END.sample(labels, "unknown").with_detail(why),
            (None, Some(_)) => END.sample(labels, "at"),
            (None, None) => END.sample(labels, "never"),
        });
        samples.extend(earliest.map(|at| EXPIRY.sample(labels, at as f64)));
        samples.extend(changed.map(|at| CHANGED.sample(labels, at as f64)));
        // Nobody had it before it began.
        let earliest = bounds.and_then(|bounds| bounds.earliest.max(told.begins.filter(|begins| *begins <= bounds.latest)));
        samples.extend(earliest.map(|at| CHANGED_EARLIEST.sample(labels, at as f64)));
        samples.extend(told.used.map(|at| LAST_USED.sample(labels, at as f64)));
        if let Declared::At(at, written) = &declared {
            samples.push(self.agreement(*at, written, due, &told));
        }
        samples.extend(content.exposed.map(|exposed| FILE.sample(labels, if exposed { "exposed" } else { "private" })));
        if self.compared {
            samples.push(FINGERPRINT.sample([labels[0], labels[1], &fingerprint(content)], 1.0));
        }
        samples
    }

    /// Whether what is written down is what the credential, its issuer or its age says, to the day.
    fn agreement(&self, declared: i64, written: &str, due: Option<i64>, told: &Told) -> Sample {
        let labels = self.labels();
        let known = told.ends.or(due);
        if known.is_none() && told.silent.is_some() {
            return DECLARED.sample(labels, "match").with_detail("nothing else tells");
        }
        let same = known.is_some_and(|at| at.abs_diff(declared) < 86_400);
        let said = known.and_then(|at| Timestamp::from_second(at).ok()).map_or_else(|| say!("that it never ends"), |at| say!("{}", at));
        DECLARED.sample(labels, if same { "match" } else { "differs" }).with_detail(say!("declared {}, told {}", named(written), said))
    }
}

/// When somebody wrote that a credential ends.
enum Declared {
    /// In Unix seconds, and in their words.
    At(i64, String),
    Unreadable(&'static str),
    Nowhere,
}

/// Eight digits of a hash of a content.
fn fingerprint(content: &Content) -> String {
    hash(content).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// Equal for equal content, and for nobody else of any use: the salt never leaves this process.
pub(super) fn hash(content: &Content) -> [u8; 32] {
    static SALT: OnceLock<[u8; 32]> = OnceLock::new();
    let salt = SALT.get_or_init(|| {
        let mut salt = [0; 32];
        // Without randomness there is no TLS either, so this cannot fail in a process that got here.
        let _ = net::crypto().secure_random.fill(&mut salt);
        salt
    });
    let whole = Sha256::new().chain_update(salt).chain_update(content.bytes.trim_ascii());
    // A byte that no text holds keeps the halves of a pair apart.
    let half = content.half.as_ref();
    half.map_or_else(|| whole.clone(), |half| whole.clone().chain_update([0xff]).chain_update(half.trim_ascii())).finalize().into()
}
