//! The pages in every state that they can show, in a real browser: nobody is kept out, all of it fits, and it is small.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use readiness_exporter::checklist::{CheckState, CheckVerdict, Decision, Judgement, Line, SectionVerdict, Severity, Unasked};
use readiness_exporter::history::Change;
use readiness_exporter::labels::Labels;
use readiness_exporter::snapshot::Store;
use readiness_exporter::web::page::{self, Seen};

use crate::common::run;
use crate::page::{browser, screenshot};

/// The script that looks for barriers, as npm installed it.
const AXE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/axe/node_modules/axe-core/axe.min.js");

fn now() -> Timestamp {
    "2026-11-28T14:00:00Z".parse().unwrap()
}

fn line(state: CheckState, evidence: &str, labels: Labels) -> Line {
    Line {
        state,
        severity: Severity::Critical,
        evidence: evidence.into(),
        fix: None,
        labels,
        seen_at: Some(now() - SignedDuration::from_secs(4)),
        since: (state != CheckState::Pass).then(|| now() - SignedDuration::from_mins(16)),
        since_at_least: false,
        mended: false,
        look: 1,
    }
}

fn check(index: usize, title: &str, required: bool, lines: Vec<Line>) -> CheckVerdict {
    let worst = lines.iter().map(|line| line.state).max();
    CheckVerdict {
        name: format!("Check{index}"),
        runbook: "NodeDiskPressure".to_owned(),
        item: format!("W{}.{}", index / 12 + 1, index % 12 + 1),
        title: title.to_owned(),
        state: match worst {
            Some(CheckState::Fail) if !required => CheckState::Warn,
            Some(worst) => worst,
            None => CheckState::NotApplicable,
        },
        unasked: worst.is_none().then_some(Unasked::NotConfigured),
        required,
        remedy: "Drain the node and find out what fills it.".to_owned(),
        attested: false,
        mend: None,
        collector: "kubernetes",
        note: worst.is_none().then(|| "collectors.kubernetes is not configured".to_owned()),
        lines,
        more_good: 0,
    }
}

/// A checklist of so many lines; `special` says what is not good about each.
fn judged(decision: Decision, count: usize, special: impl Fn(usize) -> Option<(CheckState, String)>) -> Judgement {
    let checks: Vec<_> = (0..count)
        .map(|index| {
            let node = |name: &str| [("cluster", "us-east-2"), ("node", name)].into();
            let good = line(CheckState::Pass, "Node node-7 in us-east-2 has what it needs.", node("node-7"));
            let lines = match special(index) {
                None if index % 9 == 8 => Vec::new(),
                None => vec![good],
                Some((state, evidence)) => {
                    let about = if state == CheckState::Unknown { [("cluster", "us-west-2")].into() } else { node(&format!("node-{index}")) };
                    vec![line(state, &evidence, about), good]
                }
            };
            check(index, "Every node is ready, and has room for those who come", index % 5 != 4, lines)
        })
        .collect();
    let sections =
        checks.chunks(12).enumerate().map(|(index, checks)| SectionVerdict { title: format!("{}. Infrastructure", index + 1), checks: checks.to_vec() });
    Judgement {
        checklist: "workshop".to_owned(),
        title: "Workshop readiness".to_owned(),
        revision: "abc".to_owned(),
        decision,
        at: now(),
        event: Some("november-workshop".to_owned()),
        event_start: Some(now() + SignedDuration::from_hours(26)),
        event_end: Some(now() + SignedDuration::from_hours(30)),
        event_zone: jiff::tz::TimeZone::get("America/Vancouver").unwrap(),
        participants: Some(40),
        sections: sections.collect(),
    }
}

/// What can be shown, by its name.
fn states() -> Vec<(&'static str, Vec<Judgement>, u64)> {
    let fail = |text: &str| Some((CheckState::Fail, text.to_owned()));
    let hidden = |index: usize| {
        Some((
            CheckState::Unknown,
            if index.is_multiple_of(7) {
                format!("the kubelets of us-west-2 were not seen ({index}).")
            } else {
                "us-west-2 could not be seen: no answer within 10s.".to_owned()
            },
        ))
    };
    let scripts = [
        "節點 node-1 的磁碟已滿，無法再建立工作區。",
        "القرص في العقدة node-1 ممتلئ ولا يمكن إنشاء مساحات عمل جديدة",
        "डिस्क भर गई है",
        "Knoten-mit-einem-Namen-der-nirgends-umbrochen-werden-kann-weil-er-keine-Leerzeichen-hat-und-trotzdem-auf-ein-Telefon-passen-muss",
        "<script>alert(1)</script> & \"quotes\"",
        "🧨 emoji ends here",
    ];
    let go = || judged(Decision::Go, 127, |_| None);
    let one = || {
        judged(Decision::NoGo, 127, move |index| {
            (index == 3).then(|| fail("Node node-1 in us-east-2 reports DiskPressure, so the kubelet evicts pods there.")).flatten()
        })
    };
    let seventy = judged(Decision::NoGo, 127, move |index| match index {
        3 | 40 | 41 => fail(&format!("Node node-{index} in us-east-2 reports DiskPressure, so the kubelet evicts pods there.")),
        4 => fail("The image coder-preview:v2.18.0 is three days older at the mirror."),
        50..120 => hidden(index),
        _ => None,
    });
    let undecided = || judged(Decision::Undecided, 127, move |index| (100..104).contains(&index).then(|| hidden(index)).flatten());
    let texts = judged(Decision::NoGo, 24, move |index| scripts.get(index).and_then(|text| fail(&text.repeat(index % 3 + 1))));
    let everything = judged(Decision::NoGo, 300, move |index| match index % 4 {
        0 => fail(&format!("Node node-{index} in us-east-2 reports DiskPressure, so the kubelet evicts pods there.")),
        1 => hidden(index),
        _ => None,
    });
    let none = Judgement { event: None, event_start: None, event_end: None, participants: None, ..undecided() };
    let runs = Judgement { event_start: Some(now() - SignedDuration::from_hours(1)), ..go() };
    vec![
        ("go", vec![go()], 2),
        ("no-go-one", vec![one()], 2),
        ("no-go-seventy", vec![seventy], 2),
        ("undecided", vec![none], 2),
        ("stale", vec![go()], 90),
        ("scripts", vec![texts], 2),
        ("three-hundred", vec![everything], 2),
        ("several", vec![runs, Judgement { event: Some("december".to_owned()), ..one() }, undecided()], 2),
    ]
}

fn changes() -> Vec<Change> {
    let change = |hours: i64, from: &str, to: &str| Change {
        at: now() - SignedDuration::from_hours(hours),
        checklist: "workshop".to_owned(),
        event: Some("november-workshop".to_owned()),
        check: None,
        subject: None,
        from: Some(from.to_owned()),
        to: to.to_owned(),
        seen: None,
        left: None,
    };
    vec![change(18, "undecided", "go"), change(7, "go", "no_go"), change(5, "no_go", "go"), change(1, "go", "no_go")]
}

/// Both pages of a state.
fn pages(judgements: &[Judgement], ago: u64) -> [(&'static str, String); 2] {
    let (snapshot, changes) = (Store::default().snapshot(), changes());
    let seen = Seen { judgements, ago: Duration::from_secs(ago), snapshot: &snapshot, changes: &changes, refused: &[] };
    [("page", page::status(&seen)), ("wall", page::wall(&seen))]
}

/// A page as a file, without what asks for it again.
fn saved(folder: &Path, name: &str, page: &str, more: &str) -> PathBuf {
    let file = folder.join(format!("{name}.html"));
    std::fs::write(&file, page.replace("<script src=\"page.js\" defer></script>", "").replace("</body>", &format!("{more}</body>"))).unwrap();
    file
}

/// What axe finds on a page, each in a line.
fn barriers(folder: &Path, name: &str, page: &str, dark: bool) -> Vec<String> {
    let axe = std::fs::read_to_string(AXE).unwrap_or_else(|error| panic!("{AXE}: {error}; make peers installs it"));
    let ask = "axe.run(document, { resultTypes: ['violations'] }).then((found) => {
        const lines = found.violations.flatMap((rule) => rule.nodes.slice(0, 3).map((node) => `${rule.id}: ${node.target} ${node.failureSummary}`));
        document.body.innerText = `BEGIN${JSON.stringify(lines)}END`; });";
    // Closed parts are looked at as well: somebody opens them.
    let open = "document.querySelectorAll('details').forEach((details) => { details.open = true; });";
    let file = saved(folder, name, page, &format!("<script>{axe}</script><script>{open}{ask}</script>"));
    let (code, dom, errors) = run(browser(folder, dark).args(["--dump-dom", "--virtual-time-budget=30000"]).arg(format!("file://{}", file.display())));
    let told = dom.split_once("BEGIN").and_then(|(_, rest)| rest.split_once("END")).unwrap_or_else(|| panic!("{code} {errors}")).0;
    let told = told.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&").replace("<br>", "");
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

#[test]
fn nobody_is_kept_out_in_any_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut found = String::new();
    for (state, judgements, ago) in states() {
        for (kind, page) in pages(&judgements, ago) {
            for dark in [false, true] {
                for barrier in barriers(folder.path(), &format!("{kind}-{state}-{dark}"), &page, dark) {
                    let _ = writeln!(found, "{kind} {state}, {}: {barrier}", if dark { "dark" } else { "light" });
                }
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_page_of_three_hundred_lines_is_small() {
    use std::io::Write as _;
    for (state, judgements, ago) in states() {
        let [(_, page), _] = pages(&judgements, ago);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(page.as_bytes()).unwrap();
        let size = gzip.finish().unwrap().len();
        assert!(size < 60_000, "{state}: {size} bytes compressed, {} in all", page.len());
    }
}

/// At the widths of a phone, a desk and a wall nothing is wider than the window.
#[test]
fn no_state_is_wider_than_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = states()
        .into_iter()
        .flat_map(|(state, judgements, ago)| pages(&judgements, ago).map(|(kind, page)| (format!("{kind}-{state}"), page.replace("src=\"page.js\"", ""))))
        .collect();
    // Each page in a frame of each width, all in one window.
    let measure = "<script>const frames = pages.flatMap(([name, page]) => [320, 390, 1280, 1920].map((width) => {
        const frame = document.createElement('iframe');
        Object.assign(frame, { width, height: 1080, srcdoc: page });
        document.body.append(frame);
        return new Promise((done) => { frame.onload = () => {
            const root = frame.contentDocument.documentElement;
            done(`${name} at ${width}: ${root.scrollWidth - root.clientWidth}`); }; });
        }));
        Promise.all(frames).then((lines) => { document.body.innerText = `BEGIN${JSON.stringify(lines)}END`; });</script>";
    let file = folder.path().join("all.html");
    let pages = serde_json::to_string(&all).unwrap().replace("</", "<\\/");
    std::fs::write(&file, format!("<body><script>const pages = {pages};</script>{measure}</body>")).unwrap();
    let (_, dom, errors) = run(browser(folder.path(), false).args(["--dump-dom", "--virtual-time-budget=20000"]).arg(format!("file://{}", file.display())));
    let told = dom.split_once("BEGIN").and_then(|(_, rest)| rest.split_once("END")).unwrap_or_else(|| panic!("{errors}")).0;
    let told: Vec<String> = serde_json::from_str(told).unwrap();
    let wide: Vec<_> = told.iter().filter(|line| !line.ends_with(": 0")).collect();
    assert!(told.len() == 4 * all.len() && wide.is_empty(), "{wide:#?}");
    if let Some(keep) = std::env::var_os("READINESS_SCREENSHOTS") {
        pictures(folder.path(), Path::new(&keep));
    }
}

/// A picture of each page in each state, to be looked at.
fn pictures(folder: &Path, keep: &Path) {
    for (state, judgements, ago) in states() {
        for (kind, page) in pages(&judgements, ago) {
            let url = format!("file://{}", saved(folder, &format!("{kind}-{state}"), &page, "").display());
            for (width, dark) in [(390, false), (1280, false), (1280, true), (1920, true)] {
                let picture = screenshot(&url, folder, width, dark, None);
                std::fs::copy(picture, keep.join(format!("{kind}-{state}-{width}-{}.png", if dark { "dark" } else { "light" }))).unwrap();
            }
        }
    }
}
