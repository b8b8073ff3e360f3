//! Switches faults over HTTP: `GET /faults`, `POST /faults/NAME`, `DELETE /faults/NAME`.

use std::fmt::Write as _;
use std::sync::Arc;

use futures::FutureExt as _;
use hyper::Method;

use crate::faults::faults;
use crate::part::{Ground, Part, Suffers, Tasks};
use crate::serve::{answer, serve};

pub(crate) static PART: Part = Part {
    name: "control",
    servers: |estate| vec![estate.at(1, PORT)],
    suffers: Suffers::Nothing,
    files: Vec::new,
    groups: &[],
    start: |ground, tasks| start(ground, tasks).boxed(),
};

/// Port of the control interface.
pub(crate) const PORT: u16 = 17_000;

async fn start(ground: &Ground, tasks: &mut Tasks) -> anyhow::Result<()> {
    let estate = Arc::clone(&ground.estate);
    let serving = serve(ground.estate.at(1, PORT), None, move |request| {
        let estate = Arc::clone(&estate);
        async move {
            let name = request.uri().path().strip_prefix("/faults/").unwrap_or_default().to_owned();
            let known = match *request.method() {
                Method::POST => estate.set(&name, true),
                Method::DELETE if name.is_empty() => faults().all(|fault| estate.set(fault.name, false)),
                Method::DELETE => estate.set(&name, false),
                _ => true,
            };
            // Of one that is named, how it is now; of none, all.
            let asked = faults().filter(|fault| name.is_empty() || fault.name == name);
            let list = asked.fold(String::new(), |mut text, fault| {
                let _ = writeln!(text, "{} {:26} {}", if estate.has(fault.name) { "ON " } else { "off" }, fault.name, fault.what);
                text
            });
            Some(if known { answer(200, "text/plain", list) } else { answer(404, "text/plain", "no such fault; GET /faults lists them\n") })
        }
    });
    tasks.push(serving.await?);
    Ok(())
}
