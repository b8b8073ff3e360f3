//! Registries that say more than they have, and docker configs as those read them who pull.

use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Whoever has every name has this one as well, which says nothing.
#[tokio::test]
async fn a_registry_that_has_every_name_has_none() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let everything = move |asked: &Asked<'_>| {
        let blob = &blobs[&index];
        let reference = asked.target.rsplit('/').next().unwrap_or_default();
        let blob = blobs.get(reference).unwrap_or(blob);
        (200, vec![("content-type", blob.media_type.to_owned()), ("docker-content-digest", images::digest(&blob.bytes))], blob.bytes.clone())
    };
    let stage = Stage::new(everything).await;
    let registry = stage.registry();
    for tag in ["v1", "v2"] {
        let (class, message) = error(registry.tag("a/b", tag).await);
        assert_eq!(class, ErrorClass::Malformed);
        assert!(message.ends_with("it has a repository of any name, so that having this one says nothing"), "{message}");
    }
    let odd: Vec<String> = stage.asked().into_iter().filter(|line| line.contains(NOWHERE)).collect();
    assert_eq!(odd.len(), 1, "asked once an hour: {odd:?}");
}

/// Whoever may not look at a name that cannot exist has learned nothing, and nothing is held against it.
#[tokio::test]
async fn a_registry_that_hides_what_is_absent_is_none_that_has_every_name() {
    for status in [401, 403, 404, 405, 503] {
        let (blobs, [_, Version { index, .. }]) = images::versions();
        let good = store(blobs, index);
        let stage = Stage::new(move |asked: &Asked<'_>| if asked.target.contains(NOWHERE) { (status, Vec::new(), Vec::new()) } else { good(asked) }).await;
        let registry = stage.registry();
        for tag in ["v1", "v2", "v3"] {
            registry.tag("a/b", tag).await.unwrap();
        }
        // A name and a tag, each once more where the answer could ask for a password.
        assert!(stage.asked().iter().filter(|line| line.contains(NOWHERE)).count() <= 4, "{status}");
    }
}

#[tokio::test]
async fn a_digest_that_is_told_is_held_against_the_body_when_it_is_new() {
    let (blobs, [old, new]) = images::versions();
    let lies = Arc::new(Mutex::new(old.index.clone()));
    let (good, told) = (store(blobs, new.index.clone()), Arc::clone(&lies));
    let stage = Stage::new(move |asked: &Asked<'_>| {
        let (status, mut headers, body) = good(asked);
        if asked.method == "HEAD" && asked.target.ends_with("/v1") && status == 200 {
            headers.retain(|(name, _)| *name != "docker-content-digest");
            headers.push(("docker-content-digest", told.lock().unwrap().clone()));
        }
        (status, headers, body)
    })
    .await;
    // The body tells what is there, whatever the header says.
    assert_eq!(stage.registry().tag("a/b", "v1").await.unwrap().digest.as_str(), new.index);
    lies.lock().unwrap().clone_from(&new.index);
    assert_eq!(stage.registry().tag("a/b", "v1").await.unwrap().digest.as_str(), new.index);
    // One that says of its own body what it is not has no image at all.
    let (blobs, [old, new]) = images::versions();
    let stage = Stage::new(move |asked: &Asked<'_>| {
        if asked.target.contains(NOWHERE) {
            return (404, Vec::new(), Vec::new());
        }
        (200, vec![("content-type", MANIFEST.to_owned()), ("docker-content-digest", old.index.clone())], blobs[&new.index].bytes.clone())
    })
    .await;
    assert!(error(stage.registry().tag("a/b", "v1").await).1.contains("the body does not match its Docker-Content-Digest"));
}

#[tokio::test]
async fn of_several_challenges_one_that_can_be_met_is() {
    let basic = || ("www-authenticate", "Basic realm=\"r\"".to_owned());
    for variant in 0..4 {
        let (blobs, [_, Version { index, .. }]) = images::versions();
        let good = store(blobs, index);
        let stage = Stage::new(move |asked: &Asked<'_>| {
            if asked.target.starts_with("/token?") {
                return granted(asked);
            }
            if asked.shown == Some("Bearer t") {
                return good(asked);
            }
            let bearer = format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.address);
            let headers = match variant {
                0 => vec![("www-authenticate", bearer), basic()],
                1 => vec![basic(), ("www-authenticate", bearer)],
                2 => vec![("www-authenticate", format!("Basic realm=\"r\", {bearer}"))],
                _ => vec![("www-authenticate", format!("Negotiate, {bearer}, Basic realm=\"r\""))],
            };
            (401, headers, Vec::new())
        })
        .await;
        stage.registry().tag("a/b", "v1").await.unwrap_or_else(|error| panic!("{variant}: {error}"));
    }
}

/// A kubelet tries the passwords of all entries that match, and so does whoever judges a pull secret.
#[tokio::test]
async fn an_old_password_for_a_path_hides_no_good_one_for_the_host() {
    let (blobs, [first, _]) = images::versions();
    let good = store(blobs, first.index.clone());
    let stage = Stage::new(move |asked: &Asked<'_>| match asked.shown {
        Some("Basic dTpodW50ZXIy") => good(asked),
        _ => (401, vec![("www-authenticate", "Basic realm=\"r\"".to_owned())], Vec::new()),
    })
    .await;
    let (address, registries) = (stage.address, Arc::new(stage.registries(|_| {})));
    let image = format!("{address}/a/b:v1");
    let secret = PullSecret { cluster: "eu".to_owned(), namespace: "n".to_owned(), name: "pull".to_owned(), images: vec![image.clone()] };
    let link = Link::new(serde_saphyr::from_str("name: eu\nserver: http://127.0.0.1:9").unwrap(), Duration::from_secs(2));
    let needs = Needs { schedules: Vec::new(), state: Arc::new(crate::state::State::open(None)) };
    let puller = pull_secrets::Puller::new(secret, link, registries, vec!["linux/amd64".to_owned()], Duration::from_secs(2), needs);
    let pull = async |path: &str, host: &str| {
        let entry = |password: &str| format!(r#"{{"username":"u","password":"{password}"}}"#);
        let config = format!(r#"{{"auths":{{"{address}/a":{},"{address}":{}}}}}"#, entry(path), entry(host));
        puller.pull(&image, &keyring::Keyring::read(&config).unwrap(), &mut 0).await.map_err(|error| error.class)
    };
    assert!(pull("hunter2", "old").await.is_ok() && pull("old", "hunter2").await.is_ok());
    assert_eq!(pull("old", "older").await, Err(ErrorClass::Denied));
    // What kubelets pass over is named, and the remedy is about the Secret.
    for (entry, why) in [
        (format!(r#""{address}":{{"identitytoken":"t"}}"#), "it has a token and no password"),
        (format!(r#""https://{address}/v2":{{"auth":"dTpodW50ZXIy"}}"#), "its path is not the beginning of the repository"),
        (format!(r#""{address}":{{"auth":"dTr//g=="}}"#), "its user or password is no text (UTF-8)"),
    ] {
        let keyring = keyring::Keyring::read(&format!(r#"{{"auths":{{{entry}}}}}"#)).unwrap();
        let error = puller.pull(&image, &keyring, &mut 0).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::Denied, "{error}");
        assert!(error.message.as_str().contains("; the pull secret has an entry for ") && error.message.as_str().ends_with(why), "{error}");
        assert!(error.message.fix().is_some_and(|fix| fix.contains("Secret")), "{error}");
    }
}

/// Two teams with a password each below one host.
#[tokio::test]
async fn each_repository_is_asked_for_with_the_password_of_its_path() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let good = store(blobs, index);
    let stage = Stage::new(move |asked: &Asked<'_>| {
        // "a:1" and "b:2"
        let wanted = if asked.target.contains("/team-a/") { "Basic YTox" } else { "Basic Yjoy" };
        if asked.shown == Some(wanted) { good(asked) } else { (401, vec![("www-authenticate", "Basic realm=\"r\"".to_owned())], Vec::new()) }
    })
    .await;
    let host = stage.address.to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!(r#"{{"auths":{{"{host}/team-a":{{"auth":"YTox"}},"https://{host}/team-b":{{"auth":"Yjoy"}}}}}}"#)).unwrap();
    let registries = stage.registries(|settings| settings.docker_config = Some(file.path().to_owned()));
    let registry = registries.at(&host).unwrap();
    registry.tag("team-a/app", "v1").await.unwrap();
    registry.tag("team-b/app", "v1").await.unwrap();
    let (class, message) = error(registry.tag("team-c/app", "v1").await);
    assert_eq!(class, ErrorClass::Denied, "{message}");
    std::fs::write(file.path(), format!(r#"{{"credHelpers":{{"{host}":"ecr-login"}}}}"#)).unwrap();
    let registries = stage.registries(|settings| settings.docker_config = Some(file.path().to_owned()));
    let (class, message) = error(registries.at(&host).unwrap().tag("team-a/app", "v1").await);
    assert_eq!(class, ErrorClass::Local);
    assert!(message.contains("kept by a helper program"), "{message}");
}

/// An identity token is no token for the registry, but what one is given for.
#[tokio::test]
async fn an_identity_token_is_exchanged_at_the_realm() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let good = store(blobs, index);
    let stage = Stage::new(move |asked: &Asked<'_>| match (asked.method, asked.target) {
        ("POST", "/token") => (200, Vec::new(), br#"{"access_token":"t","expires_in":"300"}"#.to_vec()),
        (_, "/token") => (405, Vec::new(), Vec::new()),
        _ if asked.shown == Some("Bearer t") => good(asked),
        _ => (401, vec![("www-authenticate", format!("Bearer realm=\"http://{}/token\",service=\"s\"", asked.address))], Vec::new()),
    })
    .await;
    let host = stage.address.to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!(r#"{{"auths":{{"{host}":{{"auth":"dTpw","identitytoken":"refresh"}}}}}}"#)).unwrap();
    let registries = stage.registries(|settings| settings.docker_config = Some(file.path().to_owned()));
    registries.at(&host).unwrap().tag("a/b", "v1").await.unwrap();
    let asked = stage.asked();
    assert!(asked.contains(&"POST /token".to_owned()), "{asked:?}");
    assert!(!asked.iter().any(|line| line.contains("refresh")), "no token stands in a URL");
}
