//! The driver's clock, deadlines and isolation, in paused time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::metric::{Gauge, Unit, gauge};
use crate::snapshot::tests::source;

static FACT: Gauge<1> = gauge("t_driver_fact", Unit::Number, &["target"], "A fact.");

/// What a scripted collector does at each look.
type Script = fn(usize) -> BoxFuture<'static, Result<Observation, CollectError>>;

struct Scripted {
    looks: Arc<AtomicUsize>,
    script: Script,
}

impl Poll for Scripted {
    fn look<'a>(&'a mut self, _: &'a Snapshot) -> BoxFuture<'a, Result<Observation, CollectError>> {
        (self.script)(self.looks.fetch_add(1, Ordering::SeqCst))
    }
}

impl Watch for Scripted {
    fn watch<'a>(&'a mut self, publisher: &'a Publisher) -> BoxFuture<'a, CollectError> {
        let look = (self.script)(self.looks.fetch_add(1, Ordering::SeqCst));
        async move {
            match look.await {
                Ok(seen) => {
                    publisher.publish(Duration::ZERO, Ok(seen));
                    std::future::pending().await
                }
                Err(error) => error,
            }
        }
        .boxed()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the outcome of a look")]
fn seen() -> Result<Observation, CollectError> {
    Ok(Observation::new(vec![FACT.sample(["a"], 1.0)], 1, 1))
}

fn throttled(seconds: u64) -> CollectError {
    CollectError { retry_after: Some(Duration::from_secs(seconds)), ..CollectError::new(ErrorClass::Throttled, "slow down") }
}

struct Bench {
    store: Arc<Store>,
    driver: Driver,
    looks: Vec<Arc<AtomicUsize>>,
}

impl Bench {
    fn new() -> Self {
        let store = Arc::new(Store::default());
        Self { driver: Driver::new(Arc::clone(&store), false), store, looks: Vec::new() }
    }

    fn task(&mut self, name: &str, script: Script, watch: bool) -> Task {
        let looks = Arc::new(AtomicUsize::new(0));
        self.looks.push(Arc::clone(&looks));
        let scripted = Box::new(Scripted { looks, script });
        let form = if watch { Form::Watch(scripted) } else { Form::Poll(scripted) };
        Task { source: source("http", name), timeout: Duration::from_secs(5), form: Made::pretended(name.to_owned(), form) }
    }

    fn looks(&self, index: usize) -> usize {
        self.looks[index].load(Ordering::SeqCst)
    }

    fn failure(&self, name: &str) -> Option<ErrorClass> {
        let snapshot = self.store.snapshot();
        snapshot.views.iter().find(|view| view.source.name == name).unwrap().failure.as_ref().map(|failure| failure.class)
    }

    fn fresh(&self, name: &str) -> bool {
        self.store.snapshot().views.iter().find(|view| view.source.name == name).unwrap().unseen.is_none()
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn it_looks_once_per_interval() {
    let mut bench = Bench::new();
    let task = bench.task("a", |_| async { seen() }.boxed(), false);
    bench.driver.apply(vec![task]);
    pass(105).await;
    // Ten intervals of 10 s, each within 5 %.
    assert!((10..=12).contains(&bench.looks(0)), "{}", bench.looks(0));
}

#[tokio::test(start_paused = true)]
async fn a_hanging_look_ends_at_its_deadline_and_delays_nobody() {
    let mut bench = Bench::new();
    let tasks = vec![bench.task("hangs", |_| std::future::pending().boxed(), false), bench.task("good", |_| async { seen() }.boxed(), false)];
    bench.driver.apply(tasks);
    pass(6).await;
    assert_eq!(bench.failure("hangs"), Some(ErrorClass::Timeout));
    assert!(bench.fresh("good") && !bench.fresh("hangs"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_look_and_the_next_one_recovers() {
    let mut bench = Bench::new();
    let script: Script = |look| async move { if look == 0 { panic!("a defect") } else { seen() } }.boxed();
    let tasks = vec![bench.task("panics", script, false), bench.task("watch-panics", script, true)];
    bench.driver.apply(tasks);
    pass(0).await;
    tokio::task::yield_now().await;
    assert_eq!(bench.failure("panics"), Some(ErrorClass::Panicked));
    assert_eq!(bench.failure("watch-panics"), Some(ErrorClass::Panicked));
    pass(11).await;
    assert!(bench.fresh("panics") && bench.fresh("watch-panics"));
    assert_eq!(bench.failure("panics"), None);
}

#[tokio::test(start_paused = true)]
async fn a_wild_retry_after_is_clamped_and_a_mild_one_is_honoured() {
    let mut bench = Bench::new();
    let year: Script = |look| async move { if look == 0 { Err(throttled(31_536_000)) } else { seen() } }.boxed();
    let minute: Script = |look| async move { if look == 0 { Err(throttled(40)) } else { seen() } }.boxed();
    let tasks = vec![bench.task("year", year, false), bench.task("minute", minute, false)];
    bench.driver.apply(tasks);
    pass(35).await;
    assert!(!bench.fresh("minute") && !bench.fresh("year"));
    pass(10).await;
    assert!(bench.fresh("minute") && !bench.fresh("year"));
    pass(65).await;
    assert!(bench.fresh("year"), "ten intervals are the ceiling");
}

#[tokio::test(start_paused = true)]
async fn an_ordinary_error_is_looked_at_again_within_one_interval() {
    let mut bench = Bench::new();
    let task = bench.task(
        "a",
        |look| async move { if look < 3 { Err(CollectError::new(ErrorClass::Unreachable, "connect: refused")) } else { seen() } }.boxed(),
        false,
    );
    bench.driver.apply(vec![task]);
    pass(33).await;
    assert!(bench.fresh("a"), "{} looks", bench.looks(0));
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_a_first_view_is_a_failed_look() {
    let mut bench = Bench::new();
    let task = bench.task("quiet", |_| std::future::pending().boxed(), true);
    bench.driver.apply(vec![task]);
    pass(6).await;
    assert_eq!(bench.failure("quiet"), Some(ErrorClass::Timeout));
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_falls_silent_is_unknown_after_keep() {
    let mut bench = Bench::new();
    let task = bench.task("a", |_| async { seen() }.boxed(), true);
    bench.driver.apply(vec![task]);
    pass(1).await;
    assert!(bench.fresh("a"));
    pass(31).await;
    assert!(!bench.fresh("a"));
}

/// A connection that ends after a quarter of an hour was no look of a quarter of an hour.
#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_took_no_longer_than_a_look_may() {
    let mut bench = Bench::new();
    let script: Script = |_| {
        async {
            pass(900).await;
            Err(throttled(60))
        }
        .boxed()
    };
    let task = bench.task("ends", script, true);
    bench.driver.apply(vec![task]);
    pass(905).await;
    let duration = crate::snapshot::FAMILIES.iter().find(|family| family.name == "readiness_collector_duration_seconds").unwrap();
    assert_eq!(bench.failure("ends"), Some(ErrorClass::Throttled));
    let took = bench.store.snapshot().views[0].looking(duration)[0].value;
    assert!((took - 5.0).abs() < 1e-9, "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_did_not_change_and_drops_what_is_gone() {
    let mut bench = Bench::new();
    let script: Script = |_| async { seen() }.boxed();
    let tasks = vec![bench.task("stays", script, false), bench.task("goes", script, false)];
    bench.driver.apply(tasks);
    pass(1).await;
    let tasks = vec![bench.task("stays", script, false), bench.task("comes", script, false)];
    bench.driver.apply(tasks);
    assert!(bench.fresh("stays"), "facts survive");
    let names: Vec<_> = bench.store.snapshot().views.iter().map(|view| view.source.name.clone()).collect();
    assert_eq!(names, ["comes", "stays"]);
    pass(25).await;
    assert_eq!(bench.looks(1), 1, "what is gone is not looked at");
    assert_eq!(bench.looks(2), 0, "the second instance of what stayed was never started");
}

#[tokio::test(start_paused = true)]
async fn a_dependent_source_waits_for_the_first_look_of_others() {
    let mut bench = Bench::new();
    let slow: Script = |_| {
        async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            seen()
        }
        .boxed()
    };
    let mut first = bench.task("cluster", slow, false);
    first.source.collector = "kubernetes";
    let mut second = bench.task("name", |_| async { seen() }.boxed(), false);
    second.source.reads = &["kubernetes"];
    bench.driver.apply(vec![first, second]);
    pass(2).await;
    assert_eq!(bench.looks(1), 0);
    pass(2).await;
    assert_eq!(bench.looks(1), 1);
}

fn failing(class: ErrorClass) -> Result<Observation, CollectError> {
    Err(CollectError::new(class, "connect: no answer"))
}

#[tokio::test(start_paused = true)]
async fn a_first_look_that_failed_for_a_passing_reason_is_repeated_once() {
    let mut bench = Bench::new();
    let lost: Script = |look| async move { if look == 0 { failing(ErrorClass::Unreachable) } else { seen() } }.boxed();
    let part: Script = |_| async move { Ok(Observation { incomplete: true, ..seen()? }) }.boxed();
    let tasks = vec![
        bench.task("lost packet", lost, false),
        bench.task("part of it", part, false),
        bench.task("down", |_| async { failing(ErrorClass::Timeout) }.boxed(), false),
        bench.task("refused", |_| async { failing(ErrorClass::Denied) }.boxed(), false),
        bench.task("throttled", |_| async { Err(throttled(5)) }.boxed(), false),
        bench.task("good", |_| async { seen() }.boxed(), false),
    ];
    bench.driver.apply(tasks);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let settled = |bench: &Bench, is: bool| {
        let views = bench.store.snapshot().views;
        views.into_iter().filter(|view| view.settled == is).map(|view| view.source.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(settled(&bench, false), ["down", "lost packet", "part of it"]);
    assert!(bench.fresh("part of it"), "what is there can be judged at once");
    pass(1).await;
    assert_eq!(settled(&bench, false), [""; 0]);
    assert!(bench.fresh("lost packet"));
    assert_eq!([0, 1, 2, 3, 4].map(|index| bench.looks(index)), [2, 2, 2, 1, 1]);
    pass(7).await;
    assert_eq!([0, 1, 2, 3].map(|index| bench.looks(index)), [2, 2, 2, 1], "from then on it is the interval");
}

#[tokio::test(start_paused = true)]
async fn who_reads_others_is_asked_again_once_they_have_settled() {
    let mut bench = Bench::new();
    let lost: Script = |look| async move { if look == 0 { failing(ErrorClass::Timeout) } else { seen() } }.boxed();
    let mut first = bench.task("cluster", lost, false);
    first.source.collector = "kubernetes";
    let mut second = bench.task("name", |_| async { seen() }.boxed(), false);
    second.source.reads = &["kubernetes"];
    bench.driver.apply(vec![first, second]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((bench.looks(0), bench.looks(1)), (1, 1), "it does not wait for a second look");
    assert!(bench.fresh("name") && !bench.store.snapshot().settled());
    pass(1).await;
    assert_eq!((bench.looks(0), bench.looks(1)), (2, 2));
    assert!(bench.store.snapshot().settled());
    pass(7).await;
    assert_eq!(bench.looks(1), 2, "from then on it is the interval");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_late_may_still_come() {
    let mut bench = Bench::new();
    let late: Script = |_| {
        async {
            pass(7).await;
            seen()
        }
        .boxed()
    };
    let tasks = vec![bench.task("late", late, true), bench.task("never", |_| std::future::pending().boxed(), true)];
    bench.driver.apply(tasks);
    pass(6).await;
    assert_eq!(bench.failure("late"), Some(ErrorClass::Timeout));
    assert!(!bench.store.snapshot().settled());
    pass(2).await;
    assert!(bench.fresh("late") && !bench.store.snapshot().settled());
    pass(3).await;
    assert!(bench.store.snapshot().settled() && !bench.fresh("never"));
    assert_eq!(bench.looks(1), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_a_look_that_hangs() {
    let mut bench = Bench::new();
    let task = bench.task("hangs", |_| std::future::pending().boxed(), false);
    bench.driver.apply(vec![task]);
    pass(1).await;
    let before = Instant::now();
    bench.driver.shutdown(Duration::from_secs(2)).await;
    assert!(before.elapsed() <= Duration::from_secs(2));
}
