//! Images in ECR, asked by its own API with the SDK's credentials.

use crate::common::{Estate, exporter, run};

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
    command.args(["check", "--output", "text", "--config.file"]).arg(estate.folder.path().join("readiness.yaml"));
    command.env("AWS_ENDPOINT_URL", estate.lab.aws()).env("AWS_EC2_METADATA_DISABLED", "true");
    if credentials {
        command.env("AWS_ACCESS_KEY_ID", "AKIDLAB").env("AWS_SECRET_ACCESS_KEY", "lab-canary-aws");
    }
    let (code, out, log) = run(&mut command);
    assert!(!out.contains("lab-canary") && !log.contains("lab-canary"), "a secret left");
    (code, out)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_in_ecr_is_compared_by_the_digest_that_its_tag_names() {
    let estate = Estate::start().await;
    let (code, good) = check(&estate, true);
    assert_eq!(code, 0, "{good}");
    for line in [
        "pass    W2.4 Every mirror has",
        "pass    W2.5 All clusters run",
        "pass    R2.1 Every cluster runs",
        "pass    R5.5 Every registry has",
        "pass    R5.5 Scans found nothing critical",
    ] {
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
        let (found, said) = check(&estate, true);
        assert!(said.contains(words), "{fault}: {words} is not in\n{said}");
        assert_eq!(found, code, "{fault}");
        estate.lab.estate().set(fault, false);
    }
    let (_, unseen) = check(&estate, false);
    assert!(unseen.contains("????    W2.4 Every mirror has"), "{unseen}");
}
