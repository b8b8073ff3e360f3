//! One truth: the judge and Prometheus with the generated rules say the same of the same facts.
//!
//! Random checks of every shape meet random facts: what is no number, infinities, both zeros, each
//! bound with its two neighbours, subjects that come and go, label values that want to be quoted. One
//! or two exporters see them, which may see a little different things, or not be there for a while;
//! events come, run and end meanwhile. A real rule engine (`promtool test rules`) evaluates the rules
//! minute by minute. A hundred cases share one Prometheus, because each has names of its own.
//!
//! To agree means, in every minute and for every subject:
//!
//! - The expression of a rule returns the subject, with the severity of its band, exactly if a line of
//!   the judge is red. For what is green, unknown or not applicable it returns nothing.
//! - Of two replicas one that sees red is enough, and the louder one counts. Each is judged by what it
//!   saw itself. They share a configuration, so they prepare for the same event.
//! - The alert fires exactly if the line has been red at every evaluation for as long as `for`, and
//!   until then it is pending. A band is an alert of its own: what becomes louder waits again.
//! - What fires goes on for `keep_firing_for` after the last red. Then, or while it is pending at once, it ends.
//!
//! Left out, because only one side has it: that a line turns green after two good looks, waivers, and
//! that the clock of Prometheus has milliseconds. A label that is empty is none to Prometheus.
//!
//! `CASES` sets how many there are, `SEED` where they begin; the same seed is the same case for ever.

mod case;
mod sides;

use std::sync::atomic::{AtomicUsize, Ordering};

use case::Case;
use serde_json::Value;
use sides::{Named, agree};

/// Cases that share one Prometheus.
const BATCH: usize = 100;

#[expect(clippy::disallowed_methods, reason = "how many cases there are is up to whoever runs the test")]
#[test]
fn the_judge_and_prometheus_agree() {
    let setting = |name: &str, default: u64| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let first = setting("SEED", 0);
    let seeds: Vec<u64> = (first..first + setting("CASES", 500)).collect();
    let batches: Vec<&[u64]> = seeds.chunks(BATCH).collect();
    let next = AtomicUsize::new(0);
    let failed = std::thread::scope(|scope| {
        let search = || {
            let found = std::iter::from_fn(|| batches.get(next.fetch_add(1, Ordering::Relaxed))).find_map(|batch| first_that_fails(cases(batch), |_| {}));
            // One is enough.
            next.fetch_add(batches.len(), Ordering::Relaxed);
            found
        };
        let threads: Vec<_> = (0..std::thread::available_parallelism().unwrap().get()).map(|_| scope.spawn(search)).collect();
        threads.into_iter().find_map(|thread| thread.join().unwrap())
    });
    if let Some(case) = failed {
        panic!("{}", explained(case, |_| {}));
    }
}

/// A comparison that could not fail would be worth nothing: each way to be wrong must be found.
#[test]
fn every_wrong_rule_is_found() {
    let replaced = |from: &'static str, to: &'static str| move |rule: &mut Value| rule["expr"] = rule["expr"].as_str().unwrap().replace(from, to).into();
    let cases = cases(&(0..60).collect::<Vec<_>>());
    let found = |change: &dyn Fn(&mut Value)| agree(&named(&cases), change).is_err();
    for (from, to) in [
        (" > ", " >= "),
        (" < ", " <= "),
        ("min by", "max by"),
        ("max by", "min by"),
        ("== 0", "!= 0"),
        ("or vector(time())", "or vector(0)"),
        (" <= time()", " >= time()"),
        (" or ", " and "),
    ] {
        assert!(found(&replaced(from, to)), "{from} -> {to}");
    }
    for (key, wrong) in [("for", "4m"), ("keep_firing_for", "4m")] {
        assert!(found(&|rule| rule[key] = wrong.into()), "{key}");
    }
    let wrong = replaced(" > ", " >= ");
    let report = explained(first_that_fails(cases, wrong).unwrap(), wrong);
    assert!(report.lines().filter(|line| line.contains(", replica ")).count() < 5, "not small:\n{report}");
}

fn cases(seeds: &[u64]) -> Vec<Case> {
    seeds.iter().map(|seed| Case::new(*seed)).collect()
}

fn named(cases: &[Case]) -> Vec<Named<'_>> {
    cases.iter().enumerate().map(|(number, case)| Named::new(case, number)).collect()
}

/// One case of several on which the two sides do not agree.
fn first_that_fails(mut cases: Vec<Case>, change: impl Fn(&mut Value)) -> Option<Case> {
    let fails = |cases: &[Case]| agree(&named(cases), &change).is_err();
    if !fails(&cases) {
        return None;
    }
    while cases.len() > 1 {
        let others = cases.split_off(cases.len() / 2);
        if !fails(&cases) {
            cases = others;
        }
    }
    assert!(fails(&cases), "seed {} fails only beside others", cases[0].seed);
    cases.pop()
}

/// A case that fails, made as small as it gets, with what both sides say.
fn explained(mut case: Case, change: impl Fn(&mut Value)) -> String {
    let fails = |case: &Case| agree(&[Named::new(case, 0)], &change).err();
    // Once through all ways to make it smaller: what was needed before is most often needed still.
    let mut at = 0;
    while let Some(smaller) = case.smaller().into_iter().nth(at) {
        if fails(&smaller).is_some() {
            case = smaller;
        } else {
            at += 1;
        }
    }
    let named = Named::new(&case, 0);
    format!(
        "SEED={} CASES=1 cargo test --test it one_truth: the judge (exp) and Prometheus (got) do not agree\n{}\n{}",
        case.seed,
        named.describe(),
        fails(&case).unwrap_or_default()
    )
}
