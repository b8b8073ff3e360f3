//! Tokens: who gets the credential, how often, and what follows when it is refused.

use super::*;

#[tokio::test]
async fn one_token_serves_every_tag_of_a_repository_and_is_fetched_once() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let stage = Stage::new(guarded(store(blobs, index), granted)).await;
    let registry = stage.registry();
    let tags: Vec<String> = (0..50).map(|n| format!("v{n}")).collect();
    for found in futures::future::join_all(tags.iter().map(|tag| registry.tag("a/b", tag))).await {
        found.unwrap();
    }
    registry.tag("a/other", "v1").await.unwrap();
    let asked = stage.asked();
    let is_lot = |line: &&String| !line.contains("readiness-");
    let tokens: Vec<&String> = asked.iter().filter(|line| line.contains("/token")).filter(is_lot).collect();
    assert_eq!(tokens, ["GET /token?service=s&scope=repository%3Aa%2Fb%3Apull", "GET /token?service=s&scope=repository%3Aa%2Fother%3Apull"]);
    // Each tag and its body once, and for each repository one request that finds out what it wants.
    assert_eq!(asked.iter().filter(is_lot).count(), 2 * 51 + 2 + 2, "{asked:#?}");
    assert_eq!(asked.len(), 2 * 51 + 2 + 2 + 3 + 2, "one name that cannot exist is asked for, with its token, and a tag of each repository: {asked:#?}");
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let count = Arc::new(Mutex::new(0));
    let good = store(blobs, index);
    let stage = Stage::new(move |asked: &Asked<'_>| {
        if asked.target.contains("readiness-") {
            return (404, Vec::new(), Vec::new());
        }
        if asked.target.starts_with("/token?") {
            *count.lock().unwrap() += 1;
            return (200, Vec::new(), format!(r#"{{"token":"t{}"}}"#, count.lock().unwrap()).into_bytes());
        }
        // The first token is revoked before its time.
        match asked.shown {
            Some("Bearer t1") if asked.target.ends_with("/first") => good(asked),
            Some("Bearer t2") => good(asked),
            _ => (401, vec![("www-authenticate", format!("Bearer realm=\"http://{}/token\"", asked.address))], Vec::new()),
        }
    })
    .await;
    let registry = stage.registry();
    registry.tag("a/b", "first").await.unwrap();
    registry.tag("a/b", "second").await.unwrap();
    registry.tag("a/b", "third").await.unwrap();
    // And one for the name that cannot exist.
    let asked = stage.asked();
    assert_eq!(asked.iter().filter(|line| line.contains("/token") && !line.contains("readiness-")).count(), 2, "{asked:#?}");
}

/// A registry can name any host as the one that issues its tokens.
#[tokio::test]
async fn a_password_goes_to_no_other_host_that_is_not_named() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let password = crate::value::SecretRef { file: Some(file.path().to_owned()), env: None };
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let other = std::net::TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
    let log = Arc::clone(&seen);
    let issuer = plain_server(other, Duration::ZERO, move |_, _, headers| {
        log.lock().unwrap().push(headers.contains_key("authorization"));
        (200, Vec::new(), br#"{"token":"t","expires_in":300}"#.to_vec())
    });
    let _issuer = issuer.await.unwrap();
    let realm = Arc::new(Mutex::new(format!("http://{other}/token")));
    let (good, told) = (store(blobs, index), Arc::clone(&realm));
    let stage = Stage::new(move |asked: &Asked<'_>| match asked.shown {
        Some("Bearer t") => good(asked),
        _ => (401, vec![("www-authenticate", format!("Bearer realm=\"{}\",service=\"s\"", told.lock().unwrap()))], Vec::new()),
    })
    .await;
    let user = |settings: &mut RegistryConfig| (settings.username, settings.password) = (Some("u".to_owned()), Some(password.clone()));
    let ask = async |registries: Registries| registries.at(&stage.address.to_string()).unwrap().tag("a/b", "v1").await.map(drop);
    let why = ask(stage.registries(user)).await.unwrap_err();
    assert_eq!(why.class, ErrorClass::Denied);
    assert!(why.message.as_str().ends_with("its realm wants the password at another host; name that host in token_hosts if it is right"), "{why}");
    assert!(seen.lock().unwrap().is_empty(), "nobody was asked");
    ask(stage.registries(|_| {})).await.unwrap();
    // For the repository, and for one that cannot exist.
    assert_eq!(*seen.lock().unwrap(), [false; 2], "without a password any may be asked");
    ask(stage.registries(|settings| {
        user(settings);
        settings.token_hosts.push("127.0.0.2".to_owned());
    }))
    .await
    .unwrap();
    assert_eq!(*seen.lock().unwrap(), [false, false, true, true], "named");
    for wrong in ["http://169.254.169.254/token", "http://[::ffff:169.254.169.254]/token", "http://u:p@127.0.0.1/token", "ftp://127.0.0.1/token"] {
        *realm.lock().unwrap() = wrong.to_owned();
        let why = ask(stage.registries(|_| {})).await.unwrap_err();
        assert!(why.message.as_str().contains("the realm"), "{why}");
    }
}

#[tokio::test]
async fn credentials_go_to_whoever_asks_for_them_and_to_nobody_else() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let password = crate::value::SecretRef { file: Some(file.path().to_owned()), env: None };
    let user = |settings: &mut RegistryConfig| (settings.username, settings.password) = (Some("u".to_owned()), Some(password.clone()));
    let good = store(blobs, index);
    let plain = Stage::new({
        let good = good.clone();
        move |asked: &Asked<'_>| {
            // "u:hunter2"
            if asked.shown == Some("Basic dTpodW50ZXIy") { good(asked) } else { (401, vec![("www-authenticate", "Basic realm=\"r\"".to_owned())], Vec::new()) }
        }
    })
    .await;
    plain.registries(user).at(&plain.address.to_string()).unwrap().tag("a/b", "v1").await.unwrap();
    let (class, message) = error(plain.registry().tag("a/b", "v1").await);
    assert_eq!(class, ErrorClass::Denied);
    assert!(message.contains("it wants a user, and none is configured"), "{message}");

    let token = Stage::new(guarded(good, |asked| {
        assert_eq!(asked.shown, Some("Basic dTpodW50ZXIy"));
        granted(asked)
    }))
    .await;
    token.registries(user).at(&token.address.to_string()).unwrap().tag("a/b", "v1").await.unwrap();
}

#[tokio::test]
async fn a_token_endpoint_that_fails_says_so() {
    let (blobs, [_, Version { index, .. }]) = images::versions();
    let cases: [(Answer, ErrorClass, &str); 5] = [
        ((503, Vec::new(), Vec::new()), ErrorClass::Server, "get a token for a/b: status 503"),
        ((200, Vec::new(), b"<html>".to_vec()), ErrorClass::Malformed, "the answer is no token"),
        ((200, Vec::new(), b"{}".to_vec()), ErrorClass::Malformed, "the answer holds no token"),
        ((403, Vec::new(), Vec::new()), ErrorClass::Denied, "status 403"),
        ((200, Vec::new(), br#"{"token":"weak"}"#.to_vec()), ErrorClass::Denied, "status 401"),
    ];
    for (answer, class, words) in cases {
        let stage = Stage::new(guarded(store(blobs.clone(), index.clone()), move |_| answer.clone())).await;
        let found = error(stage.registry().tag("a/b", "v1").await);
        assert_eq!(found.0, class, "{}", found.1);
        assert!(found.1.contains(words), "{}", found.1);
    }
    let nowhere = Stage::new(|_: &Asked<'_>| (401, vec![("www-authenticate", "Negotiate".to_owned())], Vec::new())).await;
    assert!(error(nowhere.registry().tag("a/b", "v1").await).1.contains("without a challenge that can be met"));
}
