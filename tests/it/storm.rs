//! A short storm, so that the long one of `make storm` always works.

use std::time::Duration;

use crate::storm_on_a_lab::{MENDED, Plan, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_short_storm_does_no_harm() {
    let seed = fastrand::u64(..1_000_000);
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_readiness-exporter").into(),
        seed,
        lasts: Duration::from_secs(6),
        squall: Duration::from_secs(3),
        level: "info",
        pace: 2,
        // An unoptimised binary is larger by itself.
        most: 128,
        mended: MENDED * 4,
    };
    let outcome = run(&plan, |_| ()).await;
    assert!(outcome.wrong.is_empty(), "seed {seed}:\n{}", outcome.wrong.join("\n"));
    assert!(outcome.changed > 50, "seed {seed}: only {} answers were changed", outcome.changed);
}
