//! What this program says to people, as a type that the text of others cannot get into.
//!
//! Errors of other libraries, what a plugin prints and what a server answers may quote a token, a line
//! of a kubeconfig or a URL with a password. So every error, detail and log line is a [`Message`],
//! and [`say!`](crate::say!) makes one out of literals and of values whose type says that they are
//! ours ([`Say`]). A `String`, a `&str` or an error of a library is none of these: it does not
//! compile. Errors of libraries become words by [`Cause`](crate::cause::Cause) alone, and names that
//! people chose by [`named`].

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use jiff::Timestamp;

use crate::say;

/// A text of ours, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Message(Arc<Said>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Said {
    text: Cow<'static, str>,
    /// What to do about this very cause.
    fix: Option<&'static str>,
}

/// A clause as the end of a sentence, which a question is already.
pub fn stopped(clause: &str) -> String {
    if clause.ends_with(['.', '?', '!']) { clause.to_owned() } else { format!("{clause}.") }
}

/// A moment to the minute, in UTC, as every moment is told that people plan by.
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A moment to the second, in UTC, as it is told what happened.
pub fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A number of things: `1 check`, `2 checks`.
pub fn counted(count: usize, one: &'static str, several: &'static str) -> Message {
    say!("{} {}", count, if count == 1 { one } else { several })
}

/// Until when something that happened at a second counts within a window of so many seconds.
pub fn forgotten(last: i64, window: i64) -> Message {
    let moment = |second: i64| Timestamp::from_second(second).unwrap_or(Timestamp::MAX);
    say!("the last was at {}, and none counts after {} unless more follow", moment(last), moment(last.saturating_add(window)))
}

/// A value that may stand in a [`Message`]: what it writes holds nothing that another program said.
#[diagnostic::on_unimplemented(note = "a name stands in `named()`, an error in its `.words()`; the text of another program enters no message")]
pub trait Say: fmt::Display {
    /// Writes it into a message.
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

macro_rules! ours {
    ($($kind:ty),* $(,)?) => { $(impl Say for $kind {})* };
}

ours!(&'static str, Message, Name<'_>);
ours!(u8, u16, u32, u64, u128, usize, i32, i64, f64, char, bool, IpAddr, SocketAddr, jiff::Zoned, jiff::SignedDuration);
ours!(std::num::NonZeroU16, std::num::NonZeroU32, std::num::NonZeroUsize);

impl Say for Timestamp {
    /// As people read it everywhere else.
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&minute(*self))
    }
}

impl<T: Say + ?Sized> Say for &T {
    fn say(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).say(f)
    }
}

/// Makes a [`Message`]: `say!("get secret {} of {}", named(secret), named(cluster))`.
///
/// Every value passes through [`Say`]; an error of a library does not:
/// ```compile_fail,E0277
/// let error = std::io::Error::other("text of somebody else");
/// readiness_exporter::say!("read the token: {}", error);
/// ```
/// Nor does a text, unless it is marked as a [`named`]:
/// ```compile_fail
/// let text = String::from("text of somebody else");
/// readiness_exporter::say!("read the token: {}", text.as_str());
/// ```
/// The format captures no variables, which nothing would look at:
/// ```compile_fail
/// let error = std::io::Error::other("text of somebody else");
/// readiness_exporter::say!("read the token: {error}");
/// ```
#[macro_export]
macro_rules! say {
    ($text:literal $(, $part:expr)* $(,)?) => {
        // A format that comes out of a macro cannot capture variables, which would not be checked.
        $crate::say::Message::composed(format_args!(concat!($text) $(, $crate::say::ours(&$part))*))
    };
}

/// Lets through what [`Say`] allows; for [`say!`](crate::say!).
#[doc(hidden)]
pub const fn ours<T: Say>(part: &T) -> Ours<'_, T> {
    Ours(part)
}

/// A part of a message.
#[doc(hidden)]
pub struct Ours<'a, T>(&'a T);

impl<T: Say> fmt::Display for Ours<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.say(f)
    }
}

impl<T: Say> fmt::Debug for Ours<'_, T> {
    /// In quotes: no part has another form that would be worth printing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Message {
    /// For [`say!`](crate::say!), which checks the parts.
    #[doc(hidden)]
    pub fn composed(text: fmt::Arguments<'_>) -> Self {
        text.as_str().map_or_else(|| Self::of_text(text.to_string()), Self::from)
    }

    fn of_text(text: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Said { text: text.into(), fix: None }))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// The same, with what to do about this very cause, as a sentence. Where it is told, it takes the place of the
    /// remedy of the check, which must fit every cause.
    #[must_use]
    pub fn fixed_by(mut self, fix: &'static str) -> Self {
        Arc::make_mut(&mut self.0).fix = Some(fix);
        self
    }

    /// The same, with what to do about the cause that it tells.
    #[must_use]
    pub fn fixed_as(self, cause: &Self) -> Self {
        cause.fix().into_iter().fold(self, Self::fixed_by)
    }

    /// The same, with what to do unless that is told already.
    #[must_use]
    pub fn or_fixed_by(self, fix: &'static str) -> Self {
        if self.fix().is_some() { self } else { self.fixed_by(fix) }
    }

    /// What to do about this very cause.
    pub fn fix(&self) -> Option<&'static str> {
        self.0.fix
    }

    /// A number of bytes, as a bound is told.
    pub fn of_size(bytes: u64) -> Self {
        if bytes >= 1 << 20 { say!("{} MiB", bytes >> 20) } else { say!("{} KiB", bytes >> 10) }
    }

    /// Several messages as one sentence.
    pub fn joined(parts: impl IntoIterator<Item = Self>, between: &'static str) -> Self {
        Self::of_text(parts.into_iter().map(Self::into).collect::<Vec<String>>().join(between))
    }

    /// Names, separated by commas.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of_text(names.into_iter().map(|text| named(text).to_string()).collect::<Vec<_>>().join(", "))
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        message.as_str().to_owned()
    }
}

impl From<&Self> for Message {
    fn from(message: &Self) -> Self {
        message.clone()
    }
}

impl From<&'static str> for Message {
    fn from(text: &'static str) -> Self {
        Self::of_text(text)
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl std::error::Error for Message {}

/// A name that the configuration or an object has: of a cluster, a Secret, an image, a host.
#[derive(Clone, Copy)]
pub struct Name<'a>(&'a str);

/// As long as the longest name of an object of Kubernetes with its namespace.
const LONGEST: usize = 512;

/// Marks a text as a name that people chose for something. Never for what an error, a plugin or the
/// body of an answer says.
pub fn named<T: AsRef<str> + ?Sized>(text: &T) -> Name<'_> {
    Name(text.as_ref())
}

/// A text without what begins a line, moves a cursor or turns the direction of writing around.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if text.chars().any(is_odd) { text.replace(is_odd, " ").into() } else { text.into() }
}

impl fmt::Display for Name<'_> {
    /// Names come from clusters and registries too: no line break may fake a line of the log, and none
    /// may fill it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown: String = plain(self.0).chars().take(LONGEST).collect();
        if self.0.chars().nth(LONGEST).is_some() {
            shown.push('\u{2026}');
        }
        f.pad(&shown)
    }
}

impl fmt::Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_begins_a_line_or_turns_one_around() {
        for odd in ["a\nb", "a\r\nGO", "a\0b", "a\u{7}b", "a\u{1b}[31mb", "a\u{202e}b", "a\u{2028}b", "a\u{2066}b", "a\u{85}b"] {
            let (name, label) = (say!("{}", named(odd)), plain(odd));
            assert!([name.as_str(), &label].iter().all(|text| !text.chars().any(|c| c.is_control() || c > '\u{2000}')), "{odd:?}: {name}, {label}");
        }
        assert!(matches!(plain("ws-12/Pod ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_message_holds_its_parts() {
        assert_eq!(say!("ask {} for {}: status {}", named("ghcr.io"), named("coder"), 404_u16).as_str(), "ask ghcr.io for coder: status 404");
        assert_eq!(say!("no answer").as_str(), "no answer");
        assert_eq!(Message::joined([say!("a"), say!("b")], ", ").as_str(), "a, b");
    }

    #[test]
    fn a_name_stays_on_its_line_and_ends() {
        assert_eq!(named("a\nlevel=error b\u{1b}[2J").to_string(), "a level=error b [2J");
        assert_eq!(named(&"x".repeat(10_000)).to_string().chars().count(), LONGEST + 1);
    }
}
