//! What is most often meant by a text that is no YAML: the parser says where it gave up, and people want to know what to
//! change. Nothing of the text is told but keys that are known.

use std::collections::BTreeSet;

use crate::cause::Cause as _;
use crate::say;
use crate::say::{Message, named};

/// What to change, and where; at least the words of the parser's error.
pub(super) fn explained(text: &str, error: &serde_saphyr::Error, known: &BTreeSet<&str>) -> Message {
    use serde_saphyr::Error;
    let words = || error.words();
    let Some(line) = error.location().and_then(|at| usize::try_from(at.line()).ok()).filter(|line| *line > 0) else { return words() };
    let hint = match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => key_of(text, line, known).map(|key| say!("the key is {}", named(key))),
        Error::UnknownAnchor { .. } => Some("a text that begins with * needs quotes".into()),
        Error::MultipleDocuments { .. } => Some("everything stands in one, without --- between".into()),
        _ => {
            return tabbed(text, line).unwrap_or_else(|| {
                unclosed(text).or_else(|| unquoted(text, line)).or_else(|| misaligned(text, line)).map_or_else(words, |hint| say!("{}; {}", words(), hint))
            });
        }
    };
    hint.map_or_else(words, |hint| say!("{}; {}", words(), hint))
}

/// The key that a line begins with, unless it may be anything.
fn key_of<'a>(text: &'a str, line: usize, known: &BTreeSet<&str>) -> Option<&'a str> {
    let (key, _) = text.lines().nth(line - 1)?.split_once(':')?;
    Some(key.trim().trim_start_matches("- ").trim()).filter(|key| known.contains(key))
}

/// A tab looks like spaces, and nobody finds it by looking.
fn tabbed(text: &str, last: usize) -> Option<Message> {
    let is_tabbed = |line: &str| line.chars().take_while(|c| c.is_whitespace()).any(|c| c == '\t');
    let (index, _) = text.lines().enumerate().take(last).skip(last.saturating_sub(2)).find(|(_, line)| is_tabbed(line))?;
    Some(say!("line {} is indented with a tab; YAML takes spaces alone", index + 1))
}

/// A bracket, a brace or a quote that is not closed, of which the parser notices the end of the file or something later.
fn unclosed(text: &str) -> Option<Message> {
    let mut open: Vec<(char, usize)> = Vec::new();
    let mut quote: Option<(char, usize)> = None;
    for (number, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
        let mut before = ' ';
        for c in line.chars() {
            let begins = before.is_whitespace() || matches!(before, '[' | '{' | ',');
            if let Some((own, _)) = quote {
                quote = quote.filter(|_| c != own || before == '\\');
                before = c;
                continue;
            }
            match c {
                '#' if before.is_whitespace() => break,
                '"' | '\'' if begins => quote = Some((c, number)),
                '[' | '{' if begins || !open.is_empty() => open.push((c, number)),
                ']' | '}' if !open.is_empty() => {
                    let wanted = if c == ']' { '[' } else { '{' };
                    if let Some((other, at)) = open.pop().filter(|(own, _)| *own != wanted) {
                        return Some(say!("the {} of line {} is closed by a {} in line {}", mark(other), at, mark(c), number));
                    }
                }
                _ => {}
            }
            before = c;
        }
    }
    let (what, at) = quote.or_else(|| open.pop())?;
    Some(say!("the {} of line {} is never closed", mark(what), at))
}

const fn mark(c: char) -> &'static str {
    match c {
        '[' => "[",
        ']' => "]",
        '{' => "{",
        '}' => "}",
        '"' => "\"",
        _ => "'",
    }
}

/// A text that is none without quotes.
fn unquoted(text: &str, line: usize) -> Option<Message> {
    let written = text.lines().nth(line - 1)?;
    let begins = |mark: char| [": ", "- ", "{ ", ", "].iter().any(|before| written.contains(&format!("{before}{mark}")));
    if ['@', '`', '%'].into_iter().any(begins) {
        return Some("a text that begins with @, ` or % needs quotes".into());
    }
    let value = written.split_once(": ").map(|(_, value)| value).filter(|value| !value.starts_with(['"', '\'', '{', '[', '#']))?;
    value.contains(": ").then(|| "a text with a colon and a space in it needs quotes".into())
}

/// A line that begins where none above it does that it could belong to.
fn misaligned(text: &str, line: usize) -> Option<Message> {
    let mut open: Vec<usize> = Vec::new();
    let mut ends_with_key = true;
    for (index, written) in text.lines().enumerate().take(line) {
        let content = written.trim_start_matches(' ');
        if content.trim().is_empty() || content.starts_with('#') {
            continue;
        }
        let indent = written.len() - content.len();
        if index + 1 == line && !open.is_empty() {
            let deepest = open.last().copied().unwrap_or_default();
            return match () {
                () if indent > deepest && !ends_with_key => Some(say!("line {} is indented deeper than the line above it, which has a value already", line)),
                () if indent < deepest && !open.contains(&indent) => {
                    Some(say!("line {} is indented by {} spaces, like none of the lines above it", line, indent))
                }
                () => None,
            };
        }
        open.retain(|column| *column < indent);
        open.push(indent);
        let (mut column, mut rest) = (indent, content);
        while let Some(after) = rest.strip_prefix("- ") {
            let inner = after.trim_start_matches(' ');
            column += rest.len() - inner.len();
            open.push(column);
            rest = inner;
        }
        ends_with_key = rest.split(" #").next().is_some_and(|rest| rest.trim_end().ends_with([':', '-', '|', '>']));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::config::load_str;

    fn told(text: &str) -> String {
        let error = load_str(text, "c", std::path::Path::new(""), Some(std::collections::BTreeMap::new())).unwrap_err().to_string();
        error.strip_prefix("parse config c: ").unwrap_or(&error).to_owned()
    }

    #[test]
    fn what_is_no_yaml_is_told_with_what_to_change() {
        for (text, words) in [
            ("collectors:\n\thttp: {}\n", "line 2 is indented with a tab; YAML takes spaces alone"),
            (
                "collectors:\n  http:\n    targets:\n      - name: app\n       url: https://a.test\n",
                "it is not YAML (line 5, column 8); line 5 is indented by 7 spaces, like none of the lines above it",
            ),
            (
                "collectors:\n  http:\n    interval: 15s\n      timeout: 5s\n",
                "it is not YAML (line 4, column 14); line 4 is indented deeper than the line above it, which has a value already",
            ),
            ("collectors: { http: { targets: [ }\n", "; the [ of line 1 is closed by a } in line 1"),
            ("collectors: { http: { targets: []\nevents: []\n", "; the { of line 1 is never closed"),
            ("collectors:\n  http:\n    targets:\n      - { name: \"app, url: x }\n", "; the \" of line 4 is never closed"),
            ("collectors:\n  http: {}\n  http: {}\n", "a key is given twice (line 3, column 3); the key is http"),
            ("collectors:\n  dns:\n    names:\n      - { name: *.example.com }\n", "; a text that begins with * needs quotes"),
            ("waivers: [{ who: @ada }]\n", "; a text that begins with @, ` or % needs quotes"),
            ("waivers:\n  - who: Ada\n    why: spare: node\n", "; a text with a colon and a space in it needs quotes"),
            ("collectors: {}\n---\ncollectors: {}\n", "; everything stands in one, without --- between"),
        ] {
            assert!(told(text).contains(words), "{words}\n{}", told(text));
        }
    }

    /// Neither what is a text nor what stands in a comment opens anything; and what may be a secret is not told.
    #[test]
    fn what_only_looks_odd_is_not_blamed() {
        for (text, not) in
            [("a: it's\n  b: c\n", "closed"), ("# {\na: b\n  c: d\n", "closed"), ("hunter2: 1\nhunter2: 2\n", "hunter2"), ("a: x{y\n  b: c\n", "closed")]
        {
            assert!(!told(text).contains(not), "{}", told(text));
        }
    }
}
