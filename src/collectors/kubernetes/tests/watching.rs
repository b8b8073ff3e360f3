//! What a watch says of itself: refused, hindered, tried again.

use super::*;

fn watched(changed: &Arc<Notify>) -> Watched<Nodes> {
    Watched::new("nodes", Query::default(), Nodes::new(Interests::default()), Duration::from_secs(10), Duration::from_secs(1), changed)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_unseen_at_once_and_a_hiccup_only_after_keep() {
    let changed = Arc::new(Notify::new());
    let seen = |class| {
        let watched = watched(&changed);
        watched.begin();
        watched.complete();
        watched.fail(CollectError::new(class, "list nodes: no"));
        watched
    };
    let (denied, missing, server) = (seen(ErrorClass::Denied), seen(ErrorClass::NotFound), seen(ErrorClass::Server));
    assert_eq!((denied.visibility().state.as_str(), missing.visibility().state.as_str(), server.visibility().state.as_str()), ("unseen", "unseen", "empty"));
    assert!(denied.visibility().denied && denied.visibility().words.as_str() == "list nodes: no");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(server.visibility().state.as_str(), "unseen");
}

/// Of three names one is gone: the two others must not speak for it.
#[tokio::test]
async fn a_name_that_is_missing_is_not_covered_by_those_that_are_there() {
    let kept = Rows::<Deployment>::only(&["a".to_owned(), "b".to_owned()]);
    let watched = Watched::new("w", Query::default(), kept, Duration::from_secs(10), Duration::from_secs(1), &Arc::new(Notify::new()));
    watched.begin();
    watched.put(read(&json!({ "metadata": { "name": "a", "namespace": "n" } })), true);
    watched.complete();
    assert_eq!((watched.visibility().state.as_str(), watched.visibility().words.as_str()), ("incomplete", "1 found, but not b"));
    watched.put(read(&json!({ "metadata": { "name": "b", "namespace": "n" } })), false);
    assert_eq!(watched.visibility().state.as_str(), "matched");
}

/// A list that begins and fails again and again must not keep old rows alive for ever.
#[tokio::test(start_paused = true)]
async fn trying_again_is_no_proof_of_life() {
    let changed = Arc::new(Notify::new());
    let watched = watched(&changed);
    watched.begin();
    watched.complete();
    for _ in 0..31 {
        watched.begin();
        watched.put(read(&json!({ "metadata": { "name": "n" } })), true);
        watched.fail(CollectError::new(ErrorClass::Server, "list nodes: status 500"));
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(watched.visibility().state.as_str(), "unseen");
    watched.begin();
    assert_eq!(watched.visibility().state.as_str(), "unseen", "a list that begins proves nothing");
    watched.complete();
    assert_eq!(watched.visibility().state.as_str(), "empty");
}
