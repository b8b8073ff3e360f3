//! The status page in a real browser: on a phone and on a wall, in light and in dark.

use std::path::Path;
use std::process::Command;

use readiness_exporter::checklist::Decision;

use crate::common::{Estate, run, served, until};

/// Chromium, which asks nobody but the page.
pub(crate) fn browser(profile: &Path, dark: bool) -> Command {
    let mut command = Command::new("chromium");
    command
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.join("chromium").display()));
    if dark {
        command.arg("--force-dark-mode");
    }
    command
}

pub(crate) fn screenshot(url: &str, profile: &Path, width: u32, dark: bool, seconds: Option<u32>) -> std::path::PathBuf {
    let file = profile.join(format!("{width}-{dark}-{}.png", seconds.unwrap_or_default()));
    let mut command = browser(profile, dark);
    command.arg(format!("--window-size={width},1400")).arg(format!("--screenshot={}", file.display()));
    if let Some(seconds) = seconds {
        command.arg(format!("--virtual-time-budget={}", seconds * 1_000));
    }
    let (code, _, errors) = run(command.arg(url));
    assert_eq!(code, 0, "{errors}");
    file
}

async fn page_of(url: &str) -> String {
    reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap().text().await.unwrap()
}

/// What the page writes a meaning with, on light or on dark ground.
fn ink(page: &str, meaning: &str, dark: bool) -> String {
    let colour = page.split(&format!(" --{meaning}: ")).nth(1 + usize::from(dark)).unwrap_or_else(|| panic!("the page names no colour {meaning}"));
    colour[..7].to_owned()
}

/// The share of pixels near a colour, by ImageMagick.
fn share(file: &Path, colour: &str) -> f64 {
    let (_, out, errors) = run(Command::new("convert")
        .arg(file)
        .args(["-fuzz", "6%", "-fill", "#010203", "-opaque", colour, "-fuzz", "0%", "-fill", "white", "+opaque", "#010203"])
        .args(["-fill", "black", "-opaque", "#010203", "-colorspace", "gray", "-format", "%[fx:1-mean]", "info:"]));
    out.trim().parse().unwrap_or_else(|_| panic!("{out}{errors}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_green_when_go_and_red_when_not() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let profile = estate.folder.path().to_owned();
    let shoot = |width: u32, dark: bool| {
        let (url, profile) = (format!("http://{address}/"), profile.clone());
        async move { tokio::task::spawn_blocking(move || screenshot(&url, &profile, width, dark, None)).await.unwrap() }
    };
    // The colours of the word itself.
    let page = page_of(&format!("http://{address}/")).await;
    let (green, red) = (&*ink(&page, "good", false), &*ink(&page, "bad", false));
    // A browser that starts takes the processor, and with looks each second that may cost a look its time.
    let mut go = shoot(1280, false).await;
    for _ in 0..5 {
        if share(&go, green) > 0.005 {
            break;
        }
        until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
        go = shoot(1280, false).await;
    }
    assert!(share(&go, green) > 0.005 && share(&go, red) < 0.0005, "{} {}", share(&go, green), share(&go, red));
    estate.lab.estate().set("node-disk-pressure", true);
    until(&app, "no-go", |judgement| judgement.decision == Decision::NoGo).await;
    let no_go = shoot(1280, false).await;
    assert!(share(&no_go, red) > 0.005 && share(&no_go, green) < 0.005);
    let phone = shoot(390, false).await;
    assert!(share(&phone, red) > 0.005);
    if let Some(folder) = std::env::var_os("READINESS_SCREENSHOTS") {
        for (name, file) in [("wall", shoot(1920, true).await), ("phone", phone), ("desk", no_go), ("go", go)] {
            std::fs::copy(file, Path::new(&folder).join(format!("{name}.png"))).unwrap();
        }
    }
}

/// A page that is not refreshed, as in a browser that lost its network, says so without a script.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_refreshed_turns_grey_and_says_so() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let page = page_of(&format!("http://{address}/")).await;
    let refresh = "<script src=\"page.js\" defer></script><noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>";
    assert!(page.contains(refresh) && page.matches("<script").count() == 1);
    let profile = estate.folder.path().to_owned();
    let saved = profile.join("saved.html");
    std::fs::write(&saved, page.replace(refresh, "")).unwrap();
    let shoot = |dark: bool, seconds: u32| {
        let (url, profile) = (format!("file://{}", saved.display()), profile.clone());
        async move { tokio::task::spawn_blocking(move || screenshot(&url, &profile, 1280, dark, Some(seconds))).await.unwrap() }
    };
    // The colours of the word and of the line that appears.
    for (dark, line) in [(false, "#1c1d1f"), (true, "#ececea")] {
        let green = &*ink(&page, "good", dark);
        let (fresh, old) = (shoot(dark, 50).await, shoot(dark, 70).await);
        assert!(share(&fresh, green) > 0.005 && share(&fresh, line) < 0.02, "{} {}", share(&fresh, green), share(&fresh, line));
        assert!(share(&old, green) < 0.0005 && share(&old, line) > 0.02, "{} {}", share(&old, green), share(&old, line));
        if let Some(folder) = std::env::var_os("READINESS_SCREENSHOTS") {
            for (name, file) in [("fresh", fresh), ("old", old)] {
                std::fs::copy(file, Path::new(&folder).join(format!("{name}-{}.png", if dark { "dark" } else { "light" }))).unwrap();
            }
        }
    }
}

/// The script asks for the page again, and what a reader has opened stays open; what leads to a line that is folded
/// away unfolds it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_reader_has_opened_stays_open() {
    let estate = Estate::start().await;
    let (app, address) = served(&estate).await;
    until(&app, "go", |judgement| judgement.decision == Decision::Go).await;
    let (url, profile) = (format!("http://{address}/#NodeCordoned"), estate.folder.path().to_owned());
    let dump = move || run(browser(&profile, false).args(["--dump-dom", "--virtual-time-budget=45000"]).arg(url));
    let (code, dom, errors) = tokio::task::spawn_blocking(dump).await.unwrap();
    assert_eq!(code, 0, "{errors}");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = client.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    let asked =
        metrics.lines().find_map(|line| line.strip_prefix("readiness_web_requests_total{code=\"200\",route=\"/\"} ")).unwrap_or_else(|| panic!("{metrics}"));
    assert!(asked.parse::<f64>().unwrap() >= 3.0, "once by the browser, and again by the script: {asked}");
    let (before, _) = dom.split_once("id=\"NodeCordoned\"").unwrap();
    let section = before.rsplit("<details class=\"section\"").next().unwrap().split('>').next().unwrap();
    assert!(section.contains("open"), "{section}");
    // On a busy machine a look may take too long, and a section with what is not good is open by itself.
    let wrong = |section: &str| ["fail", "warn", "unknown"].iter().any(|state| section.contains(&format!("class=\"check {state}")));
    let mut others: Vec<&str> = before.split("<details class=\"section\"").skip(1).collect();
    others.pop();
    let open = others.iter().filter(|section| section.split('>').next().is_some_and(|tag| tag.contains("open")) && !wrong(section));
    assert_eq!(open.count(), 0, "the others stay closed");
}
