//! The exporter's own HTTP surface: status page, metrics, report, runbooks and control.
//!
//! Read-only except for `POST /-/reload`. Bodies of requests are never read, paths never become
//! labels, and a client that is slow, huge or many waits on its own.

mod accept;
mod access;
mod clients;
mod listen;
pub mod page;
mod rate;
mod rules;
mod scrape;
mod server;

use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use jiff::Timestamp;

pub use access::Access;
pub use listen::Listener;
use rate::RateLimit;
pub use server::{Door, Serving, serve};

use crate::app::{App, StartError};
use crate::exposition::Exposition;
use crate::metric::Format;
use crate::report;
use crate::runbooks::runbook;
use crate::value::Place;
use access::Entry;
use clients::Visitor;

/// Prometheus 3 refuses a scrape without exactly this.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Where commands of the runbooks ask an exporter whose address they do not know.
const EXAMPLE: &str = "http://localhost:9840/";

/// What a browser may do with an answer: show it with its own style and icon, and run the one script that is ours.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'self'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What an answer says.
enum Content {
    Text(String),
    Scrape(Box<Exposition>),
}

struct Answer {
    route: &'static str,
    status: StatusCode,
    kind: &'static str,
    content: Content,
}

/// The body of a response: sent as a whole, or made while it is sent.
type Body = Either<Full<Bytes>, scrape::Body>;

impl Answer {
    fn ok(route: &'static str, kind: &'static str, body: String) -> Self {
        Self { route, status: StatusCode::OK, kind, content: Content::Text(body) }
    }

    fn plain(route: &'static str, status: StatusCode, body: &str) -> Self {
        Self { route, status, kind: TEXT, content: Content::Text(format!("{body}\n")) }
    }
}

/// Answers one request at a door.
async fn handle<B>(app: Arc<App>, door: &Door, visitor: &Visitor, request: Request<B>) -> Response<Body> {
    let (head, _) = request.into_parts();
    let entry = match door {
        Door::Guarded(access) => access.admit(&head.headers, visitor).await,
        Door::Open | Door::Probes if visitor.turn(RateLimit::CLIENT).await && visitor.may_among_all(RateLimit::CLIENT) => Entry::Open(Vec::new()),
        Door::Open | Door::Probes => Entry::Busy,
    };
    let extra = match entry {
        Entry::Open(headers) => headers,
        Entry::Locked => return refuse(&app, &head, StatusCode::UNAUTHORIZED, "Unauthorized"),
        Entry::Busy => return refuse(&app, &head, StatusCode::TOO_MANY_REQUESTS, "Too Many Requests"),
    };
    if matches!(door, Door::Probes) {
        return probe(&app, &head);
    }
    let mut response = admitted(app, &head).await;
    for (name, value) in extra {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Nothing but what a kubelet asks: without TLS and without a password, and nothing to read.
fn probe(app: &App, head: &Parts) -> Response<Body> {
    let get = head.method == Method::GET || head.method == Method::HEAD;
    let path = head.uri.path();
    // A kubelet comes through no proxy, so that the prefix may stand here and need not.
    let answer = match app.place().prefix.strip(path).unwrap_or(path) {
        path @ ("/-/healthy" | "/-/ready") if get => read(app, path, &head.headers),
        _ => Answer::plain("other", StatusCode::NOT_FOUND, "only /-/healthy and /-/ready are here"),
    };
    respond(answer, &head.headers)
}

fn refuse(app: &App, head: &Parts, status: StatusCode, why: &str) -> Response<Body> {
    app.telemetry.requests.with_label_values(&["refused", status.as_str()]).inc();
    let mut response = respond(Answer::plain("refused", status, why), &head.headers);
    let (name, value) = match status {
        StatusCode::UNAUTHORIZED => (header::WWW_AUTHENTICATE, "Basic"),
        _ => (header::CONNECTION, "close"),
    };
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

async fn admitted(app: Arc<App>, head: &Parts) -> Response<Body> {
    let get = head.method == Method::GET || head.method == Method::HEAD;
    let place = app.place();
    if let Some(to) = place.leads_to(head.uri.path()).filter(|_| get) {
        return lead(&app, head, &to);
    }
    let Some(path) = place.prefix.strip(head.uri.path()) else {
        let answer = Answer::plain("other", StatusCode::NOT_FOUND, &format!("not found; everything is below {}", place.prefix.path("")));
        return counted(&app, answer, head);
    };
    let answer = match path {
        "/-/reload" if head.method == Method::POST => reload(&app, &head.headers).await,
        "/-/reload" => Answer::plain("/-/reload", StatusCode::METHOD_NOT_ALLOWED, "use POST"),
        path if get => read(&app, path, &head.headers),
        _ => Answer::plain("other", StatusCode::METHOD_NOT_ALLOWED, "use GET"),
    };
    counted(&app, answer, head)
}

fn counted(app: &App, answer: Answer, head: &Parts) -> Response<Body> {
    app.telemetry.requests.with_label_values(&[answer.route, answer.status.as_str()]).inc();
    respond(answer, &head.headers)
}

/// Sends a client to where the page is.
fn lead(app: &App, head: &Parts, to: &str) -> Response<Body> {
    let mut response = counted(
        app,
        Answer::plain(
            "/",
            StatusCode::FOUND,
            &format!("the page is at {to}; where that leads here again, a proxy takes the path away: set --web.route-prefix /"),
        ),
        head,
    );
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

async fn reload(app: &Arc<App>, headers: &HeaderMap) -> Answer {
    if is_of_another_site(headers, app.place().external.as_ref()) {
        return Answer::plain("/-/reload", StatusCode::FORBIDDEN, "a page of another site must not reload this exporter; use curl, or send no Origin");
    }
    match app.reload().await {
        Ok(None) => Answer::plain("/-/reload", StatusCode::OK, "reloaded"),
        Ok(Some(gone)) => Answer::plain("/-/reload", StatusCode::OK, &format!("reloaded; {gone}")),
        Err(error @ StartError::Late(_)) => Answer::plain("/-/reload", StatusCode::GATEWAY_TIMEOUT, &format!("{error}; the running one goes on")),
        Err(error) => Answer::plain("/-/reload", StatusCode::BAD_REQUEST, &format!("{error}\nThe running one goes on.")),
    }
}

/// Whether a browser sends this for a page that is not ours. Browsers say where a page is from with
/// every POST; what sends neither header is no browser.
fn is_of_another_site(headers: &HeaderMap, home: report::Home<'_>) -> bool {
    let site = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_ours = |origin: &HeaderValue| {
        // A proxy may ask for another host than the browser did.
        if home.is_some_and(|home| origin == home.origin()) {
            return true;
        }
        let authority = [&b"http://"[..], b"https://"].iter().find_map(|scheme| origin.as_bytes().strip_prefix(*scheme));
        authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
    };
    site || !headers.get_all(header::ORIGIN).iter().all(is_ours)
}

fn read(app: &App, path: &str, headers: &HeaderMap) -> Answer {
    match path {
        "/" => Answer::ok("/", HTML, shown(app, page::status)),
        "/wall" => Answer::ok("/wall", HTML, shown(app, page::wall)),
        "/page.js" => Answer::ok("/page.js", "text/javascript; charset=utf-8", page::SCRIPT.to_owned()),
        "/metrics" => scrape(app, accept::format(headers)),
        "/-/healthy" => Answer::plain("/-/healthy", StatusCode::OK, "healthy"),
        "/-/ready" if app.ready() => Answer::plain("/-/ready", StatusCode::OK, "ready"),
        "/-/ready" => Answer::plain("/-/ready", StatusCode::SERVICE_UNAVAILABLE, "not every source has been looked at yet"),
        "/report" => report_as(app, wanted(headers)),
        _ => match (path.strip_prefix("/report."), path.strip_prefix("/runbooks/")) {
            (Some(extension), _) => report_as(app, extension),
            (_, Some(name)) => runbook_called(name, app.place()),
            _ => {
                let [page, metrics, report] = ["", "metrics", "report"].map(|name| app.place().prefix.path(name));
                Answer::plain("other", StatusCode::NOT_FOUND, &format!("not found; try {page}, {metrics} or {report}"))
            }
        },
    }
}

/// A runbook by its name, which is written with the ending of the file, too: in alerts, and where one leads to another.
fn runbook_called(name: &str, place: &Place) -> Answer {
    let name = name.strip_suffix(".md").unwrap_or(name);
    match runbook(name) {
        Some(markdown) => Answer::ok("/runbooks", HTML, page::runbook(name, &markdown.replace(EXAMPLE, &place.address()))),
        None => Answer::plain("/runbooks", StatusCode::NOT_FOUND, "no such runbook"),
    }
}

fn scrape(app: &App, format: Format) -> Answer {
    let kind = match format {
        Format::Text => EXPOSITION,
        Format::OpenMetrics => OPEN_METRICS,
    };
    Answer { route: "/metrics", status: StatusCode::OK, kind, content: Content::Scrape(Box::new(app.exposition().written_as(format))) }
}

/// A page of what is known now.
fn shown(app: &App, page: impl Fn(&page::Seen<'_>) -> String) -> String {
    let (judgements, snapshot, refused) = (app.judgements(), app.snapshot(), app.telemetry.refused());
    let changes = app.changes(page::since(&judgements, Timestamp::now()));
    page(&page::Seen { judgements: &judgements, ago: app.judged_ago(), snapshot: &snapshot, changes: &changes, refused: &refused })
}

/// The format that a client asks for in its Accept header.
fn wanted(headers: &HeaderMap) -> &'static str {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kinds = accept.split(',').filter_map(|entry| entry.split(';').next()).map(str::trim);
    let known = [("text/html", "html"), ("text/markdown", "md"), ("application/json", "json"), ("text/plain", "txt"), ("application/xml", "xml")];
    kinds.filter_map(|kind| known.iter().find(|(name, _)| *name == kind)).map(|(_, extension)| *extension).next().unwrap_or("html")
}

fn report_as(app: &App, extension: &str) -> Answer {
    let (judgements, refused, home) = (app.judgements(), app.telemetry.refused(), app.place().external.as_ref());
    let (kind, body) = match extension {
        "html" => (HTML, page::kept(shown(app, page::status), home)),
        "md" => ("text/markdown; charset=utf-8", report::refusals(&refused) + &report::markdown(&judgements, home)),
        "json" => ("application/json", report::json(&judgements, &refused, home)),
        "txt" => (TEXT, report::refusals(&refused) + &report::text(&judgements, false, home)),
        "xml" => ("application/xml", report::junit(&judgements, home)),
        _ => return Answer::plain("/report", StatusCode::NOT_FOUND, "a report is .html, .md, .json, .txt or .xml"),
    };
    Answer::ok("/report", kind, body)
}

fn respond(answer: Answer, headers: &HeaderMap) -> Response<Body> {
    let mut accepts = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let (gzip, length, body) = match answer.content {
        Content::Scrape(scrape) => {
            let gzip = accepts.any(accepts_gzip);
            (gzip, None, Either::Right(scrape::body(*scrape, gzip)))
        }
        Content::Text(text) => {
            let gzip = text.len() > 1024 && accepts.any(accepts_gzip);
            let body = if gzip { compress(text.as_bytes()) } else { Bytes::from(text) };
            (gzip, Some(body.len()), Either::Left(Full::new(body)))
        }
    };
    // hyper leaves out the body of what answers HEAD.
    let mut response = Response::new(body);
    *response.status_mut() = answer.status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.kind));
    if let Some(length) = length {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    fields.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    if gzip {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn accepts_gzip(coding: &str) -> bool {
    let mut parts = coding.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
    named && !parts.any(|parameter| matches!(parameter, "q=0" | "q=0.0"))
}

/// The fastest level: an answer is read once, over a short way.
fn compress(body: &[u8]) -> Bytes {
    use std::io::Write as _;
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
    // Writing to a Vec cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().map(Bytes::from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::ExternalUrl;

    #[test]
    fn a_browser_says_where_its_page_is_from() {
        for (headers, refused) in [
            (&[("host", "exporter:9840")][..], false),
            (&[("host", "exporter:9840"), ("origin", "http://exporter:9840")], false),
            (&[("host", "Exporter:9840"), ("origin", "https://exporter:9840"), ("sec-fetch-site", "same-origin")], false),
            (&[("host", "exporter:9840"), ("sec-fetch-site", "none")], false),
            (&[("host", "exporter:9840"), ("sec-fetch-site", "cross-site")], true),
            (&[("host", "exporter:9840"), ("sec-fetch-site", "same-site")], true),
            (&[("host", "exporter:9840"), ("origin", "http://evil.example")], true),
            (&[("host", "exporter:9840"), ("origin", "http://exporter:9841")], true),
            (&[("host", "exporter:9840"), ("origin", "null")], true),
            (&[("host", "exporter:9840"), ("origin", "http://exporter:9840"), ("origin", "http://evil.example")], true),
            (&[("origin", "http://")], true),
            (&[("host", ""), ("origin", "http://")], true),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_of_another_site(&map, None), refused, "{headers:?}");
        }
    }

    #[test]
    fn a_page_behind_a_proxy_is_of_the_address_that_browsers_know() {
        let home = ExternalUrl::read("https://example.com/readiness").unwrap();
        for (origin, refused) in [
            ("https://example.com", false),
            ("http://exporter:9840", false),
            ("http://example.com", true),
            ("https://example.com:8443", true),
            ("https://example.com.evil.example", true),
        ] {
            let fields = [("host", "exporter:9840"), ("origin", origin), ("sec-fetch-site", "same-origin")];
            let map = fields.into_iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect();
            assert_eq!(is_of_another_site(&map, Some(&home)), refused, "{origin}");
        }
    }
}
