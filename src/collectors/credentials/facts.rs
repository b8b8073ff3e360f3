//! What is told of a credential that was read: whether it works, when it expires, and what others wrote of it.

use std::sync::OnceLock;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::changed::Changed;
use super::dates::{self, CLOCKS};
use super::expiry::Told;
use super::fixes;
use super::pair::{self, Unpaired};
use super::read::{Annotation, Content};
use super::{
    Agreement, BY_HAND, CHANGED, CHANGED_EARLIEST, DECLARED, END, EXPIRY, Ends, FILE, FINGERPRINT, Kind, LAST_USED, Looker, MADE, Openness, PROOF, Presence,
    Proven, STATE, VALID, Validity, Works,
};
use crate::metric::{Sample, States as _};
use crate::net;
use crate::say;
use crate::say::{Message, named};

impl Looker {
    /// When somebody wrote that it ends: in the configuration, or in an annotation.
    fn declared(&self, content: &Content) -> Declared {
        let written = match (&self.credential.expires, &content.annotated) {
            (Some(expires), _) => expires.clone(),
            (None, Annotation::Says(annotation)) => annotation.clone(),
            (None, Annotation::Missing) => return Declared::Unreadable("its Secret lacks the annotation that tells when it expires"),
            (None, Annotation::Unasked) => return Declared::Nowhere,
        };
        match dates::read(&written) {
            Some(dates::Ends::At(at)) => Declared::At(at, written),
            _ => Declared::Unreadable("the annotation that tells when it expires is no date, such as 2027-11-27"),
        }
    }

    pub(super) fn facts(&self, content: &Content, works: Works, told: Told) -> Vec<Sample> {
        let (labels, now) = (self.labels(), Timestamp::now().as_second());
        let lost = works.why_not().cloned();
        let declared = self.declared(content);
        let made = self.made(content, &told);
        let ends = Ending { declared: declared.at(), due: self.due(&told, made.as_ref()), told };
        let validity = self.validity(works, &ends, now);
        let mut samples = vec![STATE.sample(labels, Presence::Present), self.proof(&validity), validity];
        samples.push(self.end(&declared, &ends, lost.as_ref()));
        samples.extend(ends.first().map(|at| self.expiry(at, &ends)));
        samples.extend(self.agreement(&declared, &ends, lost.as_ref()));
        samples.extend(made);
        let changed = told.created.map(Changed::exactly).or_else(|| content.changed.filter(|_| self.credential.age_is_of_its_place()));
        samples.extend(changed.map(|changed| CHANGED.sample(labels, changed.latest as f64)));
        // Nobody had it before it began.
        let earliest = changed.and_then(|changed| changed.earliest.max(told.begins.filter(|begins| *begins <= changed.latest)));
        samples.extend(earliest.map(|at| CHANGED_EARLIEST.sample(labels, at as f64)));
        let by_hand = content.by_hand.filter(|_| changed.is_some() && told.created.is_none());
        samples.extend(by_hand.map(|by_hand| BY_HAND.sample(labels, f64::from(u8::from(by_hand)))));
        samples.extend(told.used.map(|at| LAST_USED.sample(labels, at as f64)));
        samples.extend(self.openness(content, lost.is_none()));
        if self.compared {
            samples.push(FINGERPRINT.sample([labels[0], labels[1], &fingerprint(content)], 1.0));
        }
        samples
    }

    fn validity(&self, works: Works, ends: &Ending, now: i64) -> Sample {
        let told = &ends.told;
        let is_past = |end: Option<i64>| end.is_some_and(|at| at <= now);
        let (state, why): (Validity, Option<Message>) = match (works, told.unpaired) {
            // Its own dates refute whatever an issuer's cache still says.
            _ if is_past(told.ends) => (Validity::Invalid, Some(say!("it has expired").fixed_by(fixes::OVER))),
            _ if told.begins.is_some_and(|at| at > now.saturating_add(CLOCKS)) => {
                (Validity::Invalid, Some(say!("it is not valid yet").fixed_by(fixes::NOT_YET)))
            }
            (Works::Proved, _) => (Validity::Valid, None),
            (Works::No(why), _) => (Validity::Invalid, Some(why)),
            (Works::Unknown(error), _) => (Validity::Unknown, Some(error.message)),
            (Works::Unproven(_), Some(Unpaired::Wrong(why))) => (Validity::Invalid, Some(Message::from(why).fixed_by(fixes::WRONG_PAIR))),
            (Works::Unproven(_), Some(Unpaired::Unknown(why))) => (Validity::Unknown, Some(Message::from(why).fixed_by(fixes::UNKNOWN_PAIR))),
            // Nobody knows better than whoever wrote the end down, unless it tells another one itself.
            (Works::Unproven(_), None) if is_past(ends.declared) && told.silent.is_some() => {
                (Validity::Invalid, Some(say!("it has expired, by the end that is written down").fixed_by(fixes::DECLARED_END)))
            }
            (Works::Unproven(_), None) if is_past(ends.declared) => {
                (Validity::Unknown, Some(say!("the end that is written down has passed, and the credential tells another one").fixed_by(fixes::DECLARED_END)))
            }
            (Works::Unproven(why), None) if is_past(ends.due) => {
                (Validity::Unknown, Some(say!("it is older than max_age, and {}", why).fixed_by(fixes::TOO_OLD)))
            }
            // Where it is used the clock may say that it has not begun, or that it has.
            (Works::Unproven(_), None) if told.begins.is_some_and(|at| at > now) => {
                (Validity::Unknown, Some(say!("it begins within the next minutes, by as much as clocks may differ").fixed_by(fixes::BEGINS_SOON)))
            }
            (Works::Unproven(_), None) if self.credential.kind.opens_nothing() => (Validity::Consistent, None),
            (Works::Unproven(why), None) => (Validity::Unproven, Some(why)),
        };
        let sample = VALID.sample(self.labels(), state);
        match why {
            Some(why) => sample.with_detail(why),
            None => sample,
        }
    }

    /// Whether its issuer has proved it: what does not work, or is not known to, is proved by nobody.
    fn proof(&self, validity: &Sample) -> Sample {
        let state = match Validity::of(validity) {
            Some(Validity::Valid) => Proven::Proved,
            Some(Validity::Consistent) => Proven::Needless,
            Some(Validity::Unproven) => Proven::Unproven,
            Some(Validity::Invalid | Validity::Unknown) | None => Proven::Unknown,
        };
        Sample { detail: validity.detail.clone(), ..PROOF.sample(self.labels(), state) }
    }

    /// When it was made, at the latest. Its own date is better than that of its place, which any copy renews.
    fn made(&self, content: &Content, told: &Told) -> Option<Sample> {
        let sample = |at: i64| MADE.sample(self.labels(), at as f64);
        if let Some(created) = told.created {
            return Some(sample(created));
        }
        let written = content.changed.filter(|_| self.credential.age_is_of_its_place()).map(|changed| changed.latest);
        match (told.made, written) {
            (Some(made), written) if written.is_none_or(|written| made <= written) => Some(sample(made)),
            (_, Some(written)) => Some(sample(written).with_detail("that is when it was written to its place, and a copy hides the age of what was copied")),
            _ => None,
        }
    }

    /// By policy it is due as if it ended, where nothing else ends it.
    fn due(&self, told: &Told, made: Option<&Sample>) -> Option<i64> {
        let age = self.credential.max_age.filter(|_| told.ends.is_none())?;
        Some(made?.second().saturating_add(i64::try_from(age.0.as_secs()).unwrap_or(i64::MAX)))
    }

    /// When it ends; what is only as old then as was agreed does not end by itself.
    fn expiry(&self, at: i64, ends: &Ending) -> Sample {
        let sample = EXPIRY.sample(self.labels(), at as f64);
        match self.credential.max_age.filter(|_| ends.due == Some(at) && ends.declared != Some(at)) {
            Some(age) => sample.with_detail(say!("that is when it reaches its agreed age, max_age {}; it tells no end of its own", age)),
            None => sample,
        }
    }

    /// Whether it ends; `lost` is why neither it nor its issuer could be asked.
    fn end(&self, declared: &Declared, ends: &Ending, lost: Option<&Message>) -> Sample {
        let labels = self.labels();
        let untold = match declared {
            Declared::Unreadable(why) => Some(*why),
            // How old it is decides, and that cannot be known.
            _ if self.credential.max_age.is_some() && ends.told.ends.is_none() && ends.due.is_none() => Some("how old it is cannot be known"),
            _ => ends.told.silent.filter(|_| ends.declared.is_none() && ends.due.is_none()),
        };
        match (lost.filter(|_| untold.is_some() || ends.first().is_none()), untold, ends.first()) {
            (Some(why), ..) => END.sample(labels, Ends::Unknown).with_detail(why),
            (None, Some(why), _) => END.sample(labels, Ends::Untold).with_detail(why),
            (None, None, Some(_)) => END.sample(labels, Ends::At),
            (None, None, None) => END.sample(labels, Ends::Never),
        }
    }

    /// Whether what is written down is what the credential, its issuer or its age says, to the day. Where none of
    /// them ever tells, there is nothing to compare.
    fn agreement(&self, declared: &Declared, ends: &Ending, lost: Option<&Message>) -> Option<Sample> {
        let labels = self.labels();
        let (at, written) = match declared {
            Declared::At(at, written) => (*at, written),
            Declared::Unreadable(why) => return Some(DECLARED.sample(labels, Agreement::Unknown).with_detail(*why)),
            Declared::Nowhere => return None,
        };
        let known = ends.told.ends.or(ends.due);
        match (lost, ends.told.silent) {
            (Some(why), _) if known.is_none() => return Some(DECLARED.sample(labels, Agreement::Unknown).with_detail(why)),
            (None, Some(_)) if known.is_none() => return None,
            _ => {}
        }
        let same = known.is_some_and(|known| known.abs_diff(at) < 86_400);
        let said = known.and_then(|at| Timestamp::from_second(at).ok()).map_or_else(|| say!("that it never expires"), |at| say!("{}", at));
        Some(DECLARED.sample(labels, if same { Agreement::Match } else { Agreement::Differs }).with_detail(say!("declared {}, told {}", named(written), said)))
    }

    /// Who may read or write its file. Certificates and dates without a private key are no secret, as far as they could
    /// be read; what anybody may write is no better for that.
    fn openness(&self, content: &Content, is_read: bool) -> Option<Sample> {
        let (mode, path) = content.mode.zip(self.credential.from.file.as_ref())?;
        let is_plain = match self.credential.kind {
            Kind::Certificate => !pair::holds_key(&content.bytes),
            Kind::Date => self.credential.pointer.is_none(),
            _ => false,
        };
        let (readable, writable) = (mode & 0o004 != 0, mode & 0o002 != 0);
        let state = match (readable, writable) {
            (true, false) if is_plain && is_read => Openness::Public,
            (false, false) => Openness::Private,
            _ => Openness::Exposed,
        };
        let may = match (readable, writable) {
            (true, true) => "everybody may read and write",
            (true, false) => "everybody may read",
            (false, true) => "everybody may write",
            (false, false) => "not everybody may read or write",
        };
        let digit = |shift: u32| mode >> shift & 0o7;
        Some(FILE.sample(self.labels(), state).with_detail(say!("{} {}, whose mode is 0{}{}{}", may, path.display(), digit(6), digit(3), digit(0))))
    }
}

/// All that is known of when a credential ends.
struct Ending {
    told: Told,
    /// What somebody wrote down, in Unix seconds.
    declared: Option<i64>,
    /// When it is older than it may become, in Unix seconds.
    due: Option<i64>,
}

impl Ending {
    /// The earliest where they differ.
    fn first(&self) -> Option<i64> {
        [self.told.ends, self.declared, self.due].into_iter().flatten().min()
    }
}

/// When somebody wrote that a credential ends.
enum Declared {
    /// In Unix seconds, and in their words.
    At(i64, String),
    Unreadable(&'static str),
    Nowhere,
}

impl Declared {
    fn at(&self) -> Option<i64> {
        match self {
            Self::At(at, _) => Some(*at),
            Self::Unreadable(_) | Self::Nowhere => None,
        }
    }
}

/// Eight digits of a hash of a content.
fn fingerprint(content: &Content) -> String {
    hash(content).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The same whatever ends its lines and stands around it: whoever copies text changes that, and who reads it does not care.
fn bare(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(bytes) else { return Zeroizing::new(bytes.trim_ascii().to_vec()) };
    Zeroizing::new(text.trim_ascii().replace("\r\n", "\n").into_bytes())
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
    let whole = Sha256::new().chain_update(salt).chain_update(bare(&content.bytes));
    // A byte that no text holds keeps the halves of a pair apart.
    let half = content.half.as_ref();
    half.map_or_else(|| whole.clone(), |half| whole.clone().chain_update([0xff]).chain_update(bare(half))).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a token is valid that begins in so many seconds.
    async fn begins_in(seconds: i64) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let now = Timestamp::now().as_second();
        let claims = format!(r#"{{"nbf":{},"exp":{}}}"#, now + seconds, now + 86_400);
        std::fs::write(&file, crate::jwt::token(r#"{"alg":"RS256"}"#, &claims)).unwrap();
        let text = format!("credentials: [{{ name: a, kind: jwt, from: {{ file: {} }} }}]", file.display());
        let config = serde_saphyr::from_str(&text).unwrap();
        let task = super::super::tasks(&config, &[], &std::collections::BTreeSet::new(), &[]).unwrap().remove(0);
        let (crate::driver::Form::Poll(mut poll), _) = task.form.split() else { unreachable!() };
        let seen = poll.look(&crate::snapshot::Snapshot::default()).await.unwrap();
        let sample = seen.of(VALID.0.name).next().unwrap();
        (sample.state().unwrap_or_default().to_owned(), sample.detail.as_ref().map(ToString::to_string).unwrap_or_default())
    }

    #[tokio::test]
    async fn what_begins_within_the_difference_of_clocks_is_neither_good_nor_bad() {
        assert_eq!(begins_in(-1).await.0, "unproven");
        let soon = "it begins within the next minutes, by as much as clocks may differ".to_owned();
        assert_eq!(begins_in(120).await, ("unknown".to_owned(), soon.clone()));
        assert_eq!(begins_in(290).await, ("unknown".to_owned(), soon));
        assert_eq!(begins_in(600).await, ("invalid".to_owned(), "it is not valid yet".to_owned()));
    }

    #[test]
    fn copies_are_the_same_whatever_ends_their_lines() {
        let content = |text: &str| Content {
            bytes: Zeroizing::new(text.as_bytes().to_vec()),
            half: None,
            keys: Vec::new(),
            changed: None,
            by_hand: None,
            annotated: Annotation::Unasked,
            mode: None,
        };
        let same = |one: &str, other: &str| fingerprint(&content(one)) == fingerprint(&content(other));
        assert!(same("-----BEGIN\nab\n-----END\n", "-----BEGIN\r\nab\r\n-----END\r\n") && same("token", "token\r\n"));
        assert!(!same("a\nb", "ab") && !same("a\rb", "a\nb") && !same("a", "b"));
    }
}
