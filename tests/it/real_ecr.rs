//! ECR as moto speaks it, filled through the SDK, beside an upstream that moves.

use std::time::Duration;

use aws_sdk_ecr::config::{BehaviorVersion, Credentials, Region};
use readiness_lab::images::{self, Blobs, Version};

use crate::common::{exporter, run};
use crate::moto::{Moto, with_aws};
use crate::slack::own_host;

const UPSTREAM: u16 = 5006;
const HOST: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";

/// Puts a version into a repository as a copy by digest does: children first, then the index.
async fn put(client: &aws_sdk_ecr::Client, blobs: &Blobs, version: &Version, tag: &str) {
    for (digest, tag) in [(&version.platforms[0], None), (&version.platforms[1], None), (&version.index, Some(tag))] {
        let blob = &blobs[digest];
        let text = String::from_utf8(blob.bytes.clone()).unwrap();
        let image = client.put_image().repository_name("ghcr/app").image_manifest(text).image_manifest_media_type(blob.media_type).image_digest(digest);
        match image.set_image_tag(tag.map(str::to_owned)).send().await {
            Ok(_) => {}
            // A child that is there already needs no second copy.
            Err(error) => assert!(format!("{error:?}").contains("ImageAlreadyExists"), "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_in_ecr_is_what_its_tag_names_and_not_what_was_pushed_last() {
    let (folder, host) = (tempfile::tempdir().unwrap(), own_host());
    let moto = Moto::start();
    let (blobs, [old, new]) = images::versions();
    let (stored, named) = (blobs.clone(), new.index.clone());
    let _upstream = readiness_lab::plain_server(format!("{host}:{UPSTREAM}").parse().unwrap(), Duration::ZERO, move |_, target, _| {
        if !target.starts_with("/v2/app/") && target != "/v2/" {
            return (404, Vec::new(), Vec::new());
        }
        let reference = target.rsplit('/').next().unwrap_or_default();
        let digest = if reference == "v1" { &named } else { reference };
        match stored.get(digest) {
            Some(blob) => (200, vec![("content-type", blob.media_type.to_owned()), ("docker-content-digest", digest.to_owned())], blob.bytes.clone()),
            None => (404, Vec::new(), Vec::new()),
        }
    })
    .await
    .unwrap();
    let config = aws_sdk_ecr::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("us-east-2"))
        .credentials_provider(Credentials::new("AKIDTEST", "not-a-real-one", None, None, "test"))
        .endpoint_url(&moto.endpoint)
        .build();
    let client = aws_sdk_ecr::Client::from_conf(config);
    client.create_repository().repository_name("ghcr/app").send().await.unwrap();
    let file = folder.path().join("readiness.yaml");
    let configuration = format!(
        "events: [{{ name: e, time_zone: UTC, start: 2030-01-01T09:00, duration: 1h }}]\ncollectors:\n  registry:\n    registries: [{{ host: \"{host}:{UPSTREAM}\", plain_http: true }}, {{ host: {HOST}, ecr: {{ region: us-east-2 }} }}]\n    groups: [{{ name: app, upstream: \"{host}:{UPSTREAM}/app:v1\", mirrors: [{{ name: us, image: \"{HOST}/ghcr/app:v1\" }}] }}]\n"
    );
    std::fs::write(&file, configuration).unwrap();
    let look = async || {
        let (file, endpoint) = (file.clone(), moto.endpoint.clone());
        tokio::task::spawn_blocking(move || {
            let mut command = exporter();
            command.args(["check", "--output", "text", "--all", "--config.file"]).arg(file);
            run(with_aws(&mut command, &endpoint)).1
        })
        .await
        .unwrap()
    };
    let said = look().await;
    assert!(said.contains("ghcr/app:v1 in 123456789012.dkr.ecr.us-east-2.amazonaws.com is absent."), "{said}");
    put(&client, &blobs, &old, "v1").await;
    let said = look().await;
    assert!(said.contains("Mirror us of app does not have the image that it should. Seen: us has"), "{said}");
    put(&client, &blobs, &new, "v1").await;
    let said = look().await;
    assert!(said.contains("pass    W2.4 Every mirror has"), "{said}");
    // What is pushed last under another tag is nobody's business.
    put(&client, &blobs, &old, "experiment").await;
    let said = look().await;
    assert!(said.contains("pass    W2.4 Every mirror has"), "{said}");
}
