//! What was there and is no longer, and what never arrived.

use super::*;

/// Content that can be deleted.
type Shelf = Arc<Mutex<Blobs>>;

fn on_shelf(shelf: &Shelf, tag: &str) -> impl Fn(&Asked<'_>) -> Answer + Clone + use<> {
    let (shelf, tag) = (Arc::clone(shelf), tag.to_owned());
    move |asked| store(shelf.lock().unwrap().clone(), tag.clone())(asked)
}

/// The state of an image, and why.
async fn look(host: &mut hosts::Host) -> (String, String) {
    let seen = host.look(&crate::snapshot::Snapshot::default()).await.unwrap();
    let state = seen.of("readiness_registry_image_state").next().unwrap();
    (state.state().unwrap().to_owned(), state.detail.as_ref().map(|detail| detail.as_str().to_owned()).unwrap_or_default())
}

/// The next round.
async fn later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
}

fn layers(shelf: &Shelf) -> Vec<String> {
    shelf.lock().unwrap().iter().filter(|(_, blob)| blob.media_type.contains("tar")).map(|(digest, _)| digest.clone()).collect()
}

#[tokio::test]
async fn an_image_that_is_deleted_later_is_there_no_longer() {
    let (blobs, [_, new]) = images::versions();
    for reference in [format!("@{}", new.index), ":v1".to_owned()] {
        let shelf: Shelf = Arc::new(Mutex::new(blobs.clone()));
        let stage = Stage::new(on_shelf(&shelf, &new.index)).await;
        let image = Reference::parse(&format!("{}/a/b{reference}", stage.address)).unwrap();
        let mut host = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
        assert_eq!(look(&mut host).await.0, "present");
        let gone = shelf.lock().unwrap().remove(&new.index).unwrap();
        later().await;
        assert_eq!(look(&mut host).await.0, "absent", "{reference}");
        shelf.lock().unwrap().insert(new.index.clone(), gone);
        later().await;
        assert_eq!(look(&mut host).await.0, "present", "{reference}");
    }
}

/// Another service at the address of a registry knows of no image.
#[tokio::test]
async fn where_no_registry_is_no_image_is_absent() {
    let stage = Stage::new(|_: &Asked<'_>| (404, Vec::new(), Vec::new())).await;
    let image = Reference::parse(&format!("{}/a/b:v1", stage.address)).unwrap();
    let (state, why) = look(&mut hosts::Host::new(stage.registry(), BTreeSet::from([image]))).await;
    assert!(state == "unknown" && why.ends_with("status 404; no registry answers at this address"), "{state}, {why}");
}

#[tokio::test]
async fn a_part_that_is_deleted_later_is_missed_within_a_few_rounds() {
    let (blobs, [_, new]) = images::versions();
    for part in [&new.platforms[0], &new.platforms[1], &new.config] {
        let shelf: Shelf = Arc::new(Mutex::new(blobs.clone()));
        let stage = Stage::new(on_shelf(&shelf, &new.index)).await;
        let image = Reference::parse(&format!("{}/a/b:v1", stage.address)).unwrap();
        let mut host = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
        assert_eq!(look(&mut host).await.0, "present");
        let gone = shelf.lock().unwrap().remove(part).unwrap();
        let mut found = String::new();
        // Two configs and two layers, one a round.
        for _ in 0..4 {
            later().await;
            found = look(&mut host).await.0;
            if found == "absent" {
                break;
            }
        }
        assert_eq!(found, "absent", "{part}");
        later().await;
        let (state, why) = look(&mut host).await;
        assert!(state == "absent" && why.contains(&part[..]) && why.ends_with("status 404"), "it stays so: {state}, {why}");
        shelf.lock().unwrap().insert(part.clone(), gone);
        later().await;
        assert_eq!(look(&mut host).await.0, "present");
    }
}

#[tokio::test]
async fn a_layer_that_never_arrived_is_missed_at_once() {
    let (blobs, [_, new]) = images::versions();
    let shelf: Shelf = Arc::new(Mutex::new(blobs));
    for layer in layers(&shelf) {
        shelf.lock().unwrap().remove(&layer);
    }
    let stage = Stage::new(on_shelf(&shelf, &new.index)).await;
    for reference in [format!("@{}", new.index), ":v1".to_owned(), format!("@{}", new.platforms[0])] {
        let image = Reference::parse(&format!("{}/a/b{reference}", stage.address)).unwrap();
        let (state, why) = look(&mut hosts::Host::new(stage.registry(), BTreeSet::from([image]))).await;
        assert!(state == "absent" && why.contains("whether a/b has blob sha256:"), "{reference}: {state}, {why}");
    }
}

#[tokio::test]
async fn what_was_there_costs_three_requests_a_round() {
    let (blobs, [_, new]) = images::versions();
    let stage = Stage::new(store(blobs, new.index.clone())).await;
    for reference in [format!("@{}", new.index), ":v1".to_owned()] {
        let image = Reference::parse(&format!("{}/a/b{reference}", stage.address)).unwrap();
        let mut host = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
        look(&mut host).await;
        stage.asked();
        let mut parts = BTreeSet::new();
        for _ in 0..4 {
            later().await;
            assert_eq!(look(&mut host).await.0, "present");
            let asked: Vec<String> = stage.asked().into_iter().filter(|line| !line.contains("/v2/ ") && !line.ends_with("/v2/")).collect();
            assert!(asked.len() == 3 && asked.iter().all(|line| line.starts_with("HEAD ")), "{asked:?}");
            parts.extend(asked);
        }
        // The top, two manifests, two configs, two layers: each has had its turn.
        assert_eq!(parts.len(), 7, "{parts:?}");
    }
}

/// Caches that fetch what is pulled, and stores whose links hold for one method.
#[tokio::test]
async fn a_layer_that_only_a_pull_finds_is_there() {
    for status in [404, 403, 405, 400] {
        let (blobs, [_, new]) = images::versions();
        let good = store(blobs, new.index.clone());
        let stage = Stage::new(move |asked: &Asked<'_>| {
            let is_head = asked.method == "HEAD" && asked.target.contains("/blobs/");
            if is_head { (status, Vec::new(), Vec::new()) } else { good(asked) }
        })
        .await;
        let image = Reference::parse(&format!("{}/a/b:v1", stage.address)).unwrap();
        assert_eq!(look(&mut hosts::Host::new(stage.registry(), BTreeSet::from([image]))).await, ("present".to_owned(), String::new()), "{status}");
    }
}

/// A proxy that sends its newest image for every tag that it does not have.
#[tokio::test]
async fn a_repository_that_has_every_tag_has_none() {
    let (blobs, [_, new]) = images::versions();
    let broken = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (good, is) = (store(blobs.clone(), new.index.clone()), Arc::clone(&broken));
    let stage = Stage::new(move |asked: &Asked<'_>| {
        if asked.target.contains("/manifests/readiness-") && is.load(std::sync::atomic::Ordering::SeqCst) {
            let blob = &blobs[&new.index];
            return (200, vec![("content-type", blob.media_type.to_owned()), ("docker-content-digest", new.index.clone())], blob.bytes.clone());
        }
        good(asked)
    })
    .await;
    let image = Reference::parse(&format!("{}/a/b:v1", stage.address)).unwrap();
    let mut host = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
    let (state, why) = look(&mut host).await;
    assert!(state == "unknown" && why.ends_with("the repository has a tag of any name, so that having this one says nothing"), "{state}, {why}");
    broken.store(false, std::sync::atomic::Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_601)).await;
    tokio::time::resume();
    assert_eq!(look(&mut host).await.0, "present");
    broken.store(true, std::sync::atomic::Ordering::SeqCst);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(3_601)).await;
    tokio::time::resume();
    assert_eq!(look(&mut host).await.0, "unknown", "a tag that has not moved is no exception");
}

#[tokio::test]
async fn a_head_that_says_nothing_of_the_digest_proves_nothing() {
    let (blobs, [old, new]) = images::versions();
    for (told, state) in [(None, "present"), (Some(old.index.clone()), "unknown")] {
        let good = store(blobs.clone(), new.index.clone());
        let answered = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let late = Arc::clone(&answered);
        let is_told = told.is_some();
        let stage = Stage::new(move |asked: &Asked<'_>| {
            let (status, mut headers, body) = good(asked);
            if asked.method == "HEAD" && asked.target.contains("/manifests/sha256:") && late.load(std::sync::atomic::Ordering::SeqCst) {
                headers.retain(|(name, _)| *name != "docker-content-digest");
                headers.extend(told.clone().map(|told| ("docker-content-digest", told)));
            }
            (status, headers, body)
        })
        .await;
        let image = Reference::parse(&format!("{}/a/b@{}", stage.address, new.index)).unwrap();
        let mut host = hosts::Host::new(stage.registry(), BTreeSet::from([image]));
        assert_eq!(look(&mut host).await.0, "present");
        answered.store(true, std::sync::atomic::Ordering::SeqCst);
        later().await;
        stage.asked();
        assert_eq!(look(&mut host).await.0, state);
        let read = stage.asked().iter().any(|line| line.starts_with("GET /v2/a/b/manifests/sha256:"));
        assert_eq!(read, !is_told, "without a word the body is read again");
    }
}
