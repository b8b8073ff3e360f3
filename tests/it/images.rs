//! Images: ECR by its own API with the credentials of the SDK, a digest that was chosen, and
//! credentials that a cluster keeps.

use readiness_exporter::checklist::{CheckState, Decision};
use readiness_lab::images::{self, Version};

use crate::common::{Estate, exporter, names, run, until};

const HOST: &str = "123456789012.dkr.ecr.us-east-2.amazonaws.com";

/// A configuration in which the mirror of us-east-2 is ECR.
fn with_ecr(estate: &Estate) -> String {
    let mirror = format!("{}:17062/us-east-2/coder/coder-preview:v2.18.0", estate.lab.host());
    let ecr = format!("      - {{ host: {HOST}, ecr: {{ region: us-east-2 }} }}\n    workspace_images: true\n");
    let configuration = estate.configuration.replacen(
        &format!("name: us-east-2, image: \"{mirror}\""),
        &format!("name: us-east-2, image: \"{HOST}/ghcr/coder/coder-preview:v2.18.0\""),
        1,
    );
    assert_ne!(configuration, estate.configuration);
    // Pods name another registry than the mirror: as if an admission policy had rewritten them.
    let (from, to) = (format!("{}:17061", estate.lab.host()), format!("{}:17062/us-east-2", estate.lab.host()));
    let prefixes = format!("        workloads: [control-plane, proxies]\n        prefixes: [{{ from: \"{from}\", to: \"{to}\" }}]\n");
    let configuration = configuration.replacen("        workloads: [control-plane, proxies]\n", &prefixes, 1);
    configuration.replacen("    workspace_images: true\n", &ecr, 1)
}

fn check(estate: &Estate, credentials: bool) -> (i32, String) {
    std::fs::write(estate.file(), with_ecr(estate)).unwrap();
    let mut command = exporter();
    command.args(["check", "--output", "text", "--all", "--config.file"]).arg(estate.folder.path().join("readiness.yaml"));
    command.env("AWS_ENDPOINT_URL", estate.lab.aws()).env("AWS_EC2_METADATA_DISABLED", "true");
    if credentials {
        command.env("AWS_ACCESS_KEY_ID", "AKIDLAB").env("AWS_SECRET_ACCESS_KEY", "lab-canary-aws");
    }
    let (code, out, log) = run(&mut command);
    assert!(!out.contains("lab-canary") && !log.contains("lab-canary"), "a secret left");
    (code, out)
}

/// Looks until the exit code and the words are there: on a busy machine a look can be too late.
fn until_check(estate: &Estate, code: i32, words: &str) -> String {
    let limit = tokio::time::Instant::now() + crate::common::PATIENCE;
    loop {
        let (found, said) = check(estate, true);
        if found == code && said.contains(words) {
            return said;
        }
        assert!(tokio::time::Instant::now() < limit, "{found}, never {code} with {words}:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_in_ecr_is_compared_by_the_digest_that_its_tag_names() {
    let estate = Estate::for_one_look().await;
    let good = until_check(&estate, 0, "pass    W2.4 Every mirror has");
    for line in
        ["pass    W2.5 All clusters run", "pass    R2.1 Every cluster runs", "pass    R5.5 Every registry has", "pass    R5.5 Scans found nothing critical"]
    {
        assert!(good.contains(line), "{line} is not in\n{good}");
    }
    for (fault, code, words) in [
        ("ecr-stale", 1, "Mirror us-east-2 of coder does not have the image that it should. Seen: us-east-2 has"),
        (
            "ecr-tag-gone",
            1,
            "ghcr/coder/coder-preview:v2.18.0 in 123456789012.dkr.ecr.us-east-2.amazonaws.com is absent. Seen: describe ghcr/coder/coder-preview:v2.18.0",
        ),
        ("ecr-denies", 1, "AccessDeniedException"),
        ("ecr-credentials-expired", 1, "ExpiredTokenException"),
        ("ecr-throttles", 1, "ThrottlingException"),
        ("ecr-scan-critical", 0, "has 2 critical findings"),
    ] {
        estate.lab.estate().set(fault, true);
        until_check(&estate, code, words);
        estate.lab.estate().set(fault, false);
    }
    let (_, unseen) = check(&estate, false);
    assert!(unseen.contains("????    W2.4 Every mirror has"), "{unseen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_tag_that_moves_changes_nothing_once_a_digest_is_chosen() {
    let mut estate = Estate::start().await;
    let (_, [old, Version { index, .. }]) = images::versions();
    let workloads = "        workloads: [control-plane, proxies]\n";
    estate.configuration = estate.configuration.replacen(workloads, &format!("{workloads}        pin: {index}\n"), 1);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("registry-tag-moved-back", true);
    let limit = tokio::time::Instant::now() + crate::common::PATIENCE;
    let moved = "readiness_image_match_state{group=\"coder\",hop=\"upstream\",subject=\"upstream\",state=\"none\"} 1";
    while !app.exposition().text().contains(moved) {
        assert!(tokio::time::Instant::now() < limit, "the move of upstream is told");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    until(&app, "still go", |judgement| judgement.decision == Decision::Go && names(judgement, &[CheckState::Fail, CheckState::Warn]).is_empty()).await;
    // A mirror that leaves the chosen digest is another matter.
    estate.lab.estate().set("mirror-stale", true);
    let judgement = until(&app, "MirrorOutOfSync", |judgement| names(judgement, &[CheckState::Fail]).contains(&"MirrorOutOfSync".to_owned())).await;
    let check = judgement.checks().find(|check| check.name == "MirrorOutOfSync").unwrap();
    let short = &old.index[7..19];
    assert!(
        check.lines[0].evidence.contains(&format!("us-east-2 has {short}, made 2026-01-10T08:00:00Z; the pin has {}", &index[7..19])),
        "{:?}",
        check.lines[0]
    );
    app.shutdown(std::time::Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_can_be_those_of_a_pull_secret() {
    let mut estate = Estate::start().await;
    let file = format!("username: puller, password: {{ file: {}/registry.password }}", estate.lab.dir().display());
    assert!(estate.configuration.contains(&file), "{}", estate.configuration);
    estate.configuration = estate.configuration.replacen(&file, "pull_secret: { cluster: us-east-2, namespace: coder, name: pull }", 1);
    let app = estate.exporter();
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    estate.lab.estate().set("pull-secret-wrong-password", true);
    // What may not be seen may be there.
    until(&app, "ImageMissing", |judgement| names(judgement, &[CheckState::Unknown]).contains(&"ImageMissing".to_owned())).await;
    assert!(!app.exposition().text().contains("lab-canary"));
    estate.lab.estate().set("pull-secret-wrong-password", false);
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    app.shutdown(std::time::Duration::from_secs(1)).await;
}
