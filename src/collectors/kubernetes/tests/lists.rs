//! Lists that are not whole, and watches that tell nothing: neither may keep what was seen alive.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::collectors::kubernetes::kinds::nodes::{Interests, Nodes};
use crate::collectors::kubernetes::watching::watched::{Query, Scope, Watched};

/// How a watch goes on that tells nothing.
#[derive(Clone, Copy)]
enum Quiet {
    /// It ends when its time is over.
    InTime,
    /// Soon it says that its version is too old.
    Gone,
    Never,
}

fn node(name: &str) -> Value {
    json!({ "metadata": { "name": name, "uid": name, "resourceVersion": "1" } })
}

fn list(metadata: &Value, items: &[Value]) -> Value {
    json!({ "kind": "NodeList", "apiVersion": "v1", "metadata": metadata, "items": items })
}

type Streamed = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

fn body(bytes: impl Future<Output = Vec<u8>> + Send + 'static) -> Streamed {
    StreamBody::new(futures::stream::once(bytes.map(|bytes| Ok(Frame::data(bytes.into())))).boxed())
}

/// A client of an API server that answers the lists of this number, and whose watches are quiet.
fn client(quiet: Quiet, answer: impl Fn(usize) -> (u16, Value) + Send + Sync + 'static) -> kube::Client {
    slow(Duration::from_millis(100), "5", quiet, answer)
}

/// The same, whose lists take so long, and which says this of the newest version.
fn slow(takes: Duration, newest: &'static str, quiet: Quiet, answer: impl Fn(usize) -> (u16, Value) + Send + Sync + 'static) -> kube::Client {
    let (answer, lists) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
    let service = tower::service_fn(move |request: Request<Body>| {
        let (answer, lists) = (Arc::clone(&answer), Arc::clone(&lists));
        async move {
            if request.uri().query().is_some_and(|query| query.contains("watch=true")) {
                let silence = async move {
                    match quiet {
                        Quiet::InTime => tokio::time::sleep(Duration::from_secs(18)).await,
                        Quiet::Gone => {
                            tokio::time::sleep(Duration::from_secs(4)).await;
                            let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "status": "Failure", "reason": "Expired", "code": 410, "message": "" } });
                            return format!("{gone}\n").into_bytes();
                        }
                        Quiet::Never => std::future::pending().await,
                    }
                    Vec::new()
                };
                return Ok::<_, Infallible>(Response::new(body(silence)));
            }
            if request.uri().query().is_some_and(|query| query.split('&').any(|part| part == "limit=1")) {
                let one = list(&json!({ "resourceVersion": newest, "continue": "more", "remainingItemCount": 149_999 }), &[node("n1")]);
                return Ok(Response::new(body(std::future::ready(one.to_string().into_bytes()))));
            }
            tokio::time::sleep(takes).await;
            let (status, list) = answer(lists.fetch_add(1, Ordering::SeqCst));
            let mut response = Response::new(body(std::future::ready(list.to_string().into_bytes())));
            *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap();
            Ok(response)
        }
    });
    kube::Client::new(service, "default")
}

/// What is seen once it is so, and how long that took.
async fn until(client: kube::Client, is: impl Fn(&Watched<Nodes>) -> bool) -> (Arc<Watched<Nodes>>, Duration) {
    let changed = Arc::new(Notify::new());
    let second = Duration::from_secs(1);
    let watched = Arc::new(Watched::new("nodes", Query::default(), Nodes::new(Interests::default()), second * 10, second * 5, &changed));
    let (following, started) = (tokio::spawn(Scope::follow(Arc::clone(&watched), client)), Instant::now());
    while !is(&watched) {
        assert!(started.elapsed() < Duration::from_hours(1), "{:?}", watched.visibility());
        tokio::time::sleep(second / 10).await;
    }
    following.abort();
    (watched, started.elapsed())
}

fn has(watched: &Watched<Nodes>, name: &str) -> bool {
    watched.seen(|nodes| nodes.iter().any(|(own, _)| &**own == name)) == Some(true)
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_not_whole_is_an_error() {
    let version = json!({ "resourceVersion": "5" });
    let whole = list(&version, &[node("n1")]);
    let (watched, _) = until(client(Quiet::InTime, move |_| (200, whole.clone())), |watched| watched.visibility().state.as_str() != "unseen").await;
    assert_eq!(watched.visibility().state.as_str(), "matched");
    let other = |kind: &str| {
        let mut list = list(&version, &[node("n1")]);
        list["kind"] = kind.into();
        list
    };
    let mut nameless = node("n1");
    nameless["metadata"]["name"] = Value::Null;
    let more = json!({ "resourceVersion": "5", "continue": "same" });
    for (status, answer, expected) in [
        (200, list(&json!({ "resourceVersion": "5", "remainingItemCount": 4499 }), &[node("n1")]), "it ends before its last object"),
        (200, other("PodList"), "the answer is a list of another kind"),
        (200, other("Status"), "the answer is a list of another kind"),
        (200, other(""), "the answer is a list of another kind"),
        (200, list(&version, &[node("n1"), nameless]), "an object has no name"),
        (200, list(&version, &[node("n1"), node("n1")]), "the same page or object came twice"),
        (200, list(&more, &[node("n1")]), "the same page or object came twice"),
        (200, list(&more, &[]), "the same page or object came twice"),
        (206, list(&version, &[node("n1")]), "status 206 (no reason given)"),
        (200, list(&json!({}), &[node("n1")]), "an answer without resourceVersion"),
    ] {
        let (watched, _) = until(client(Quiet::InTime, move |_| (status, answer.clone())), <Watched<Nodes> as Scope>::settled).await;
        assert_eq!((watched.visibility().state.as_str(), watched.visibility().words.as_str()), ("unseen", &*format!("list nodes: {expected}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_never_ends_keeps_old_rows_no_longer_than_a_failure_does() {
    // The first list is whole; then the version is too old, and pages come for ever.
    let answer = |number: usize| match number {
        0 => (200, list(&json!({ "resourceVersion": "5" }), &[node("n1")])),
        _ => (200, list(&json!({ "resourceVersion": "6", "continue": format!("p{number}") }), &[])),
    };
    let (watched, took) = until(client(Quiet::Gone, answer), |watched| watched.settled() && watched.visibility().state.as_str() == "unseen").await;
    assert_eq!(watched.visibility().words.as_str(), "list nodes: not complete within 30s");
    assert!(took < Duration::from_secs(37), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_noticed_within_half_a_minute() {
    let answer = |number: usize| (200, list(&json!({ "resourceVersion": "5" }), &[node(if number == 0 { "n1" } else { "n2" })]));
    let (_, took) = until(client(Quiet::Never, answer), |watched| has(watched, "n2")).await;
    // A second is left for publishing.
    assert!((Duration::from_secs(20)..Duration::from_secs(29)).contains(&took), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn watches_that_live_and_tell_nothing_are_believed_for_five_minutes() {
    let answer = |number: usize| (200, list(&json!({ "resourceVersion": "5" }), &[node(if number == 0 { "n1" } else { "n2" })]));
    let (_, took) = until(client(Quiet::InTime, answer), |watched| has(watched, "n2")).await;
    assert!((Duration::from_mins(5)..Duration::from_secs(330)).contains(&took), "{took:?}");
}

/// A list that costs the server much is repeated seldom, while the watch gets to whatever is the newest version.
#[tokio::test(start_paused = true)]
async fn a_long_list_is_repeated_seldom_unless_the_watch_falls_behind() {
    let answer = |number: usize| (200, list(&json!({ "resourceVersion": "5" }), &[node(if number == 0 { "n1" } else { "n2" })]));
    let ten = Duration::from_secs(10);
    let (_, took) = until(slow(ten, "5", Quiet::InTime, answer), |watched| has(watched, "n2")).await;
    assert!((ten * 100..ten * 104).contains(&took), "{took:?}");
    // Whoever tells nothing while the cluster goes on is found out as soon as with a short list.
    for newest in ["6", "", "six"] {
        let (_, took) = until(slow(ten, newest, Quiet::InTime, answer), |watched| has(watched, "n2")).await;
        assert!(took < Duration::from_mins(6), "{newest}: {took:?}");
    }
}

/// A client of an API server of a version that has two nodes, one in a page, and the lists that it was asked for.
fn of_version(version: &'static str) -> (kube::Client, Arc<Mutex<Vec<&'static str>>>) {
    let asked: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let service = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let (kind, answer) = if request.uri().path() == "/version" {
            ("version", json!({ "gitVersion": version }))
        } else if query.contains("continue=") {
            ("next page", list(&json!({ "resourceVersion": "5" }), &[node("n2")]))
        } else if query.contains("limit=") {
            ("first page", list(&json!({ "resourceVersion": "5", "continue": "more", "remainingItemCount": 1 }), &[node("n1")]))
        } else {
            ("all", list(&json!({ "resourceVersion": "5" }), &[node("n1"), node("n2")]))
        };
        let is_watch = query.contains("watch=true");
        if !is_watch {
            seen.lock().unwrap().push(kind);
        }
        let answer = async move { if is_watch { std::future::pending().await } else { answer.to_string().into_bytes() } };
        std::future::ready(Ok::<_, Infallible>(Response::new(body(answer))))
    });
    (kube::Client::new(service, "default"), asked)
}

/// Where there are many objects, a server that answers from its cache is asked for all of them at once: pages cost it
/// about twice as much. Older ones would make the whole answer in memory.
#[tokio::test(start_paused = true)]
async fn many_objects_are_asked_for_at_once_where_the_server_streams_them() {
    for (version, expected) in [
        ("v1.33.0", vec!["first page", "version", "all"]),
        ("v1.36.3-eks-7f9249a", vec!["first page", "version", "all"]),
        ("v1.32.9", vec!["first page", "version", "next page"]),
        ("odd", vec!["first page", "version", "next page"]),
    ] {
        let (client, asked) = of_version(version);
        let (watched, _) = until(client, |watched| has(watched, "n2")).await;
        assert!(has(&watched, "n1"), "{version}");
        assert_eq!(*asked.lock().unwrap(), expected, "{version}");
    }
}
