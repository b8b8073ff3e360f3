//! Where an exporter is reached: the address by which others know it, and the path under which its own server has its pages.
//!
//! Both mean what they mean to Prometheus: the path of the address is that of the server, unless a proxy takes it away.
//! Source: `computeExternalURL` in `cmd/prometheus/main.go` and `New` in `web/web.go` of Prometheus.

use crate::say;
use crate::say::Message;

/// The characters of a path beside letters and digits: those that stand as they are in a request, in HTML, in Markdown and
/// in a message to Slack.
const SIGNS: &[u8] = b"-._~:@+,=";

/// The address by which people and programs elsewhere know an exporter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl {
    /// `https://host:port`, as browsers call it.
    origin: String,
    /// Nothing, or `/a/b`.
    path: String,
}

impl ExternalUrl {
    /// Reads an address. What is wrong with it is told without a word of it: somebody may have put a password there.
    pub fn read(text: &str) -> Result<Self, Message> {
        const RULE: &str = "must be a URL with a scheme and a host, such as https://example.com/readiness";
        let (scheme, rest) = text.split_once("://").ok_or_else(|| say!("{}", RULE))?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(say!("must begin with http:// or https://"));
        }
        if rest.contains('?') {
            return Err(say!("must have no query"));
        }
        if rest.contains('#') {
            return Err(say!("must have no fragment"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(say!("must have no user and no password; --web.config.file asks for those"));
        }
        let parsed = super::Url::new(&format!("{scheme}://{authority}/")).parse()?;
        // As it is asked for: names of other scripts are in letters by then, and what no name can have may be left out.
        let host = parsed.host_str().unwrap_or_default();
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '\\');
        if authority.contains(odd) || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte)) {
            return Err(say!("must be a URL whose host has characters that a name can have"));
        }
        Ok(Self { origin: parsed.origin().ascii_serialization(), path: path_of(path)? })
    }

    /// Scheme, host and port, as a browser says where a page is from.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A page, by its path below the address.
    pub fn page(&self, name: &str) -> String {
        format!("{}{}/{name}", self.origin, self.path)
    }

    /// The path of a page there.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.path)
    }
}

/// The path under which a server has all that it has: nothing, or `/a/b`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutePrefix(String);

impl RoutePrefix {
    /// Reads a prefix, with its slashes or without them.
    pub fn read(text: &str) -> Result<Self, Message> {
        if text.contains("://") {
            return Err(say!("must be a path, such as /readiness; --web.external-url has the whole address"));
        }
        path_of(text).map(Self)
    }

    /// What a request asks for below the prefix, from its slash on; `None` if it is elsewhere.
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.0).filter(|rest| rest.starts_with('/'))
    }

    /// The path of a page, as requests to this server have it.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

/// Where an exporter is reached.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// From elsewhere, where that is known.
    pub external: Option<ExternalUrl>,
    /// At its own server.
    pub prefix: RoutePrefix,
}

impl Place {
    /// From what was said of both; what is empty was not said.
    pub fn read(external: Option<&str>, prefix: Option<&str>) -> Result<Self, Message> {
        let said = |text: Option<&'_ str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let external = said(external).map(|text| ExternalUrl::read(&text)).transpose();
        let external = external.map_err(|why| say!("--web.external-url {}", why))?;
        let prefix = said(prefix).map(|text| RoutePrefix::read(&text)).transpose();
        let prefix = prefix.map_err(|why| say!("--web.route-prefix {}", why))?;
        let prefix = prefix.unwrap_or_else(|| RoutePrefix(external.as_ref().map(|url| url.path.clone()).unwrap_or_default()));
        Ok(Self { external, prefix })
    }

    /// What commands ask: the address if it is known, and else this machine.
    pub fn address(&self) -> String {
        self.external.as_ref().map_or_else(|| format!("http://localhost:9840{}", self.prefix.path("")), |url| url.page(""))
    }

    /// Where a request is sent that asks for the place itself, without the slash from which on links of its page are
    /// relative; `None` for every other one.
    pub fn leads_to(&self, path: &str) -> Option<String> {
        match path {
            _ if self.prefix.0.is_empty() => None,
            // As whoever asks here directly has it; no proxy hands on what is outside the prefix.
            "/" => Some(self.prefix.path("")),
            _ if path == self.prefix.0 => Some(self.external.as_ref().map_or_else(|| self.prefix.path(""), |url| url.path(""))),
            _ => None,
        }
    }
}

/// A path with one slash before each part and none at its end.
fn path_of(text: &str) -> Result<String, Message> {
    let trimmed = text.trim_matches('/');
    if trimmed.is_empty() {
        return Ok(String::new());
    }
    for part in trimmed.split('/') {
        if part.is_empty() {
            return Err(say!("must have no empty part in its path"));
        }
        if matches!(part, "." | "..") {
            return Err(say!("must have no . and no .. as a part of its path"));
        }
        if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || SIGNS.contains(&byte)) {
            return Err(say!("must have only letters, digits and - . _ ~ : @ + , = in its path"));
        }
    }
    Ok(format!("/{trimmed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(external: &str) -> Result<String, String> {
        ExternalUrl::read(external).map(|url| url.page("wall")).map_err(|why| why.to_string())
    }

    #[test]
    fn an_address_is_taken_in_every_form_that_people_write() {
        for (text, expected) in [
            ("https://example.com", "https://example.com/wall"),
            ("https://example.com/", "https://example.com/wall"),
            ("HTTPS://Example.COM:443/Readiness/", "https://example.com/Readiness/wall"),
            ("http://example.com:9840/a/b-c_d.e~f", "http://example.com:9840/a/b-c_d.e~f/wall"),
            ("http://[2001:db8::1]:9840/a", "http://[2001:db8::1]:9840/a/wall"),
            (
                "http://10.0.0.1/api/v1/namespaces/readiness/services/http:readiness:9840/proxy/",
                "http://10.0.0.1/api/v1/namespaces/readiness/services/http:readiness:9840/proxy/wall",
            ),
            ("https://bücher.example/", "https://xn--bcher-kva.example/wall"),
        ] {
            assert_eq!(page(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_a_word_of_it() {
        let rule = "must be a URL with a scheme and a host, such as https://example.com/readiness";
        let of_names = "must be a URL whose host has characters that a name can have";
        for (text, why) in [
            ("example.com/hunter2", rule),
            ("/hunter2", rule),
            ("//hunter2.example", rule),
            ("ftp://hunter2", "must begin with http:// or https://"),
            ("https://", "must be a URL with a host"),
            ("https:///hunter2", "must be a URL with a host"),
            ("https://u:hunter2@example.com/", "must have no user and no password; --web.config.file asks for those"),
            ("https://example.com/?hunter2", "must have no query"),
            ("https://example.com?hunter2", "must have no query"),
            ("https://example.com/#hunter2", "must have no fragment"),
            ("https://example.com:hunter2/", "must be a URL whose port is a number up to 65535"),
            ("https://hunter2 example.com/", of_names),
            ("https://hunter2\\example.com/", of_names),
            ("https://*.example.com/", of_names),
            ("https://\thunter2.example.com/", of_names),
            ("https://hunter2'.example.com/", of_names),
            (" https://example.com", "must begin with http:// or https://"),
            ("\"https://example.com\"", "must begin with http:// or https://"),
            ("https://example.com\"", of_names),
            ("https://example.com/a/../hunter2", "must have no . and no .. as a part of its path"),
            ("https://example.com/./hunter2", "must have no . and no .. as a part of its path"),
            ("https://example.com/a//hunter2", "must have no empty part in its path"),
            ("https://example.com/a hunter2", "must have only letters, digits and - . _ ~ : @ + , = in its path"),
            ("https://example.com/%2e%2e/hunter2", "must have only letters, digits and - . _ ~ : @ + , = in its path"),
            ("https://example.com/<hunter2>", "must have only letters, digits and - . _ ~ : @ + , = in its path"),
        ] {
            assert_eq!(page(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn the_prefix_is_the_path_of_the_address_unless_it_is_set() {
        let prefix =
            |external: Option<&str>, prefix: Option<&str>| Place::read(external, prefix).map(|place| place.prefix.path("")).map_err(|why| why.to_string());
        let url = Some("https://example.com/a/b/");
        for (external, own, expected) in [
            (None, None, "/"),
            (url, None, "/a/b/"),
            (url, Some(""), "/a/b/"),
            (Some(""), Some(""), "/"),
            (url, Some("/"), "/"),
            (url, Some("//"), "/"),
            (url, Some("//c//"), "/c/"),
            (url, Some("c"), "/c/"),
            (None, Some("/c/d/"), "/c/d/"),
        ] {
            assert_eq!(prefix(external, own).as_deref(), Ok(expected), "{external:?} {own:?}");
        }
        for (own, why) in [
            ("https://example.com/a", "--web.route-prefix must be a path, such as /readiness; --web.external-url has the whole address"),
            ("/a/../b", "--web.route-prefix must have no . and no .. as a part of its path"),
            ("/a?b", "--web.route-prefix must have only letters, digits and - . _ ~ : @ + , = in its path"),
            ("/a//b", "--web.route-prefix must have no empty part in its path"),
        ] {
            assert_eq!(prefix(url, Some(own)), Err(why.to_owned()), "{own}");
        }
        assert_eq!(prefix(Some("a"), None).unwrap_err().split(' ').next(), Some("--web.external-url"));
    }

    #[test]
    fn requests_are_below_the_prefix_or_nowhere() {
        let place = Place::read(Some("https://example.com/out"), Some("/in")).unwrap();
        for (path, below) in
            [("/in/", Some("/")), ("/in/metrics", Some("/metrics")), ("/in", None), ("/inside", None), ("/metrics", None), ("/", None), ("*", None)]
        {
            assert_eq!(place.prefix.strip(path), below, "{path}");
        }
        for (path, to) in [("/", Some("/in/")), ("/in", Some("/out/")), ("/in/", None), ("/out", None), ("", None)] {
            assert_eq!(place.leads_to(path).as_deref(), to, "{path}");
        }
        assert_eq!(place.address(), "https://example.com/out/");
        let alone = Place::read(None, Some("/in")).unwrap();
        assert_eq!((alone.leads_to("/in").as_deref(), alone.address().as_str()), (Some("/in/"), "http://localhost:9840/in/"));
        let root = Place::default();
        assert_eq!((root.leads_to("/"), root.prefix.strip("/metrics")), (None, Some("/metrics")));
    }
}
