//! Switches faults over HTTP: `GET /faults`, `POST /faults/NAME`, `DELETE /faults/NAME`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Method;
use tokio::task::JoinHandle;

use crate::estate::Estate;
use crate::faults::FAULTS;
use crate::serve::{answer, serve};

pub(crate) async fn start(address: SocketAddr, estate: &Arc<Estate>) -> anyhow::Result<JoinHandle<()>> {
    let estate = Arc::clone(estate);
    serve(address, None, move |request| {
        let estate = Arc::clone(&estate);
        async move {
            let name = request.uri().path().strip_prefix("/faults/").unwrap_or_default().to_owned();
            let known = match *request.method() {
                Method::POST => estate.set(&name, true),
                Method::DELETE if name.is_empty() => FAULTS.iter().all(|fault| estate.set(fault.name, false)),
                Method::DELETE => estate.set(&name, false),
                _ => true,
            };
            let list = FAULTS.iter().fold(String::new(), |mut text, fault| {
                let _ = writeln!(text, "{} {:26} {}", if estate.has(fault.name) { "ON " } else { "off" }, fault.name, fault.what);
                text
            });
            Some(if known { answer(200, "text/plain", list) } else { answer(404, "text/plain", format!("no such fault; there are\n{list}")) })
        }
    })
    .await
}
