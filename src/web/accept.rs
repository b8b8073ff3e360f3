//! In which format a scrape is wanted: the header `Accept`, read as RFC 9110 says it.
//!
//! Prometheus names what it reads with a weight each. What cannot be read, or names nothing that is here, gets the text
//! format, which every scraper has known for ten years.

use hyper::HeaderMap;
use hyper::header::ACCEPT;

use crate::metric::Format;

/// What is asked for in one entry.
#[derive(Debug, Clone, Copy)]
struct Range<'a> {
    kind: &'a str,
    /// The version, where one is named.
    version: Option<&'a str>,
    /// From 0, never, to 1000.
    weight: u16,
}

impl Range<'_> {
    /// How closely it means this type in this version; `None` if it does not.
    fn means(&self, kind: &str, version: &str) -> Option<u8> {
        let family = kind.split('/').next().unwrap_or_default();
        match self.version {
            _ if self.kind == "*/*" => Some(0),
            _ if self.kind.strip_suffix("/*").is_some_and(|own| own.eq_ignore_ascii_case(family)) => Some(1),
            _ if !self.kind.eq_ignore_ascii_case(kind) => None,
            None => Some(2),
            Some(own) => (own == version).then_some(3),
        }
    }
}

/// The format that is wanted most. OpenMetrics must be called by its name: whoever takes anything has always got text.
pub(super) fn format(headers: &HeaderMap) -> Format {
    let texts: Option<Vec<&str>> = headers.get_all(ACCEPT).iter().map(|value| value.to_str().ok()).collect();
    let text = texts.map(|texts| texts.join(","));
    let Some(ranges) = text.as_deref().and_then(ranges) else { return Format::Text };
    // The entry that means it most closely, and where that stands.
    let best = |kind: &str, version: &str| {
        let meant = ranges.iter().enumerate().filter_map(|(place, range)| Some((range.means(kind, version)?, place, range.weight)));
        meant.max_by_key(|(closely, place, _)| (*closely, std::cmp::Reverse(*place)))
    };
    let Some((2.., place, weight @ 1..)) = best("application/openmetrics-text", "1.0.0") else { return Format::Text };
    match best("text/plain", "0.0.4") {
        Some((_, _, text)) if text > weight => Format::Text,
        // Equally good: what is called by its name first.
        Some((2.., before, text)) if text == weight && before < place => Format::Text,
        _ => Format::OpenMetrics,
    }
}

/// All entries; `None` if one of them is none.
fn ranges(text: &str) -> Option<Vec<Range<'_>>> {
    let entries = split(text, ',')?.into_iter().map(str::trim).filter(|entry| !entry.is_empty());
    entries.map(range).collect()
}

fn range(entry: &str) -> Option<Range<'_>> {
    let mut parts = split(entry, ';')?.into_iter().map(str::trim);
    let kind = parts.next()?;
    let (family, own) = kind.split_once('/')?;
    if !(is_token(family) && is_token(own)) {
        return None;
    }
    let mut range = Range { kind, version: None, weight: 1_000 };
    for part in parts.filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=')?;
        let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
        if !is_token(name) {
            return None;
        }
        if name.eq_ignore_ascii_case("q") {
            range.weight = weight(value)?;
        } else if name.eq_ignore_ascii_case("version") {
            range.version = Some(value);
        }
    }
    Some(range)
}

/// `0.5` as 500: up to three digits, and not above 1.
fn weight(text: &str) -> Option<u16> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if !matches!(whole, "0" | "1") || part.len() > 3 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{whole}{part:0<3}").parse().ok()?;
    (thousandths <= 1_000).then_some(thousandths)
}

/// Parts of a text; what is in quotes is not parted. `None` if a quote has no end.
fn split(text: &str, by: char) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if c == by && !quoted => {
                parts.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    (!quoted).then_some(parts)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn of(accept: &[&'static str]) -> Format {
        let mut headers = HeaderMap::new();
        for text in accept {
            headers.append(ACCEPT, HeaderValue::from_static(text));
        }
        format(&headers)
    }

    #[test]
    fn those_who_scrape_get_what_they_ask_for() {
        for accept in [
            // Prometheus 2.42, 2.53 and 3.5, and 3.5 with native histograms, which prefers what is not here.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.6,text/plain;version=0.0.4;q=0.4,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8",
            "text/*;q=0.9, application/openmetrics-text",
            "application/openmetrics-text, text/plain",
            "*/*, application/openmetrics-text",
        ] {
            assert_eq!(of(&[accept]), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/plain",
            // A browser, and what takes any application.
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
            "application/*",
            // vmagent, and a Prometheus that was told to prefer text.
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,*/*;q=0.2",
            "text/plain, application/openmetrics-text",
            "application/openmetrics-text;q=0, */*",
            "application/openmetrics-text;q=0.000",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;version=2.0.0",
            "text/plain;q=0.5, text/plain;version=0.0.4, application/openmetrics-text;q=0.9",
            "application/openmetrics-text;q=0.9, text/*",
        ] {
            assert_eq!(of(&[accept]), Format::Text, "{accept}");
        }
        assert_eq!(of(&[]), Format::Text);
        assert_eq!(of(&["text/html", "application/openmetrics-text;q=0.5"]), Format::OpenMetrics, "a header may come in several lines");
    }

    #[test]
    fn what_cannot_be_read_gets_text() {
        for accept in [
            "application/openmetrics-text;q=high",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=1.001",
            "application/openmetrics-text;q=0.1234",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;q=",
            "application/openmetrics-text;q",
            "application/openmetrics-text;version=\"1.0.0",
            "application/openmetrics-text;version=1.0.0\"",
            "application/openmetrics-text, text",
            "application/openmetrics-text, /",
            "application/openmetrics-text, a b/c",
            "application /openmetrics-text",
            "application/openmetrics-text;=1",
        ] {
            assert_eq!(of(&[accept]), Format::Text, "{accept}");
        }
        let mut headers = HeaderMap::new();
        headers.append(ACCEPT, HeaderValue::from_bytes(b"application/openmetrics-text;x=\xff").unwrap());
        assert_eq!(format(&headers), Format::Text);
        assert_eq!(of(&["application/openmetrics-text;x=\"a, text/plain;q=1\\\"\", , text/plain;q=0.5 ;"]), Format::OpenMetrics, "what is quoted is one");
    }
}
