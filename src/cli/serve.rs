//! `serve`: the program that looks all the time, from its first signal handler to its last open request.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::fail;
use super::flags::Serve;
use crate::app::App;
use crate::cause::Cause as _;
use crate::config::Loaded;
use crate::say::{Message, named};
use crate::{files, say, web};

/// Time for open requests and collectors to end.
const GRACE: Duration = Duration::from_secs(4);

pub(super) async fn serve(flags: &Serve, loaded: Loaded) -> ExitCode {
    // Before anything else: until there is a handler, a SIGHUP ends the process.
    let (Ok(hangups), Ok(terminations)) = (signal(SignalKind::hangup()), signal(SignalKind::terminate())) else {
        return fail("listen for signals: the system refused");
    };
    let place = match flags.place() {
        Ok(place) => place,
        Err(error) => return fail(error),
    };
    let listener = if flags.web.systemd_socket { inherited() } else { listen(&flags.web.listen_addresses()).await };
    let listener = match listener {
        Ok(listener) => listener,
        Err(error) => return fail(error),
    };
    // Whoever sees the process sees its arguments.
    flags.web.config.iter().for_each(|file| files::remember(file));
    let door = match &flags.web.config {
        None => web::Door::Open,
        Some(file) => match web::Access::open(file).await {
            Ok(access) => web::Door::Guarded(Arc::new(access)),
            Err(error) => return fail(error),
        },
    };
    let probes = match &flags.web.probe_address {
        Some(address) => match listen(&[address]).await {
            Ok(listener) => Some(listener),
            Err(error) => return fail(error),
        },
        None => None,
    };
    let app = match App::start_at(place, loaded, Some(flags.config_file.clone()), true) {
        Ok(app) => app,
        Err(error) => return fail(error),
    };
    for address in listener.addresses() {
        tracing::info!(%address, config = %flags.config_file.display(), "listening");
    }
    let judging = tokio::spawn(Arc::clone(&app).keep_judging());
    let reloading = tokio::spawn(reload_on_hangup(Arc::clone(&app), hangups));
    let serving = match web::Serving::start(Arc::clone(&app), (listener, door), probes, GRACE / 2) {
        Ok(serving) => serving,
        Err(error) => return fail(say!("start the server: {}", error.words())),
    };
    // A judge that died would leave an old verdict standing, so the process ends with it.
    let over = async {
        tokio::select! {
            () = terminated(terminations) => ExitCode::SUCCESS,
            _ = judging => {
                tracing::error!("the judge ended, which is a defect");
                ExitCode::FAILURE
            }
        }
    };
    let code = serving.until(over).await.unwrap_or_else(|| {
        tracing::error!("the server ended, which is a defect");
        ExitCode::FAILURE
    });
    reloading.abort();
    app.shutdown(GRACE / 2).await;
    tracing::info!("stopped");
    code
}

/// The sockets that systemd has opened.
fn inherited() -> Result<web::Listener, Message> {
    match web::Listener::inherited() {
        Ok(Some(listener)) => Ok(listener),
        Ok(None) => Err(say!("serve at the socket of systemd: systemd has opened none; start the .socket unit of this service")),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidInput => {
            Err(say!("serve at the socket of systemd: one of them takes no connections; ListenStream= opens one that does, with Accept=no"))
        }
        Err(error) => Err(say!("serve at the socket of systemd: {}", error.words())),
    }
}

async fn listen(addresses: &[&str]) -> Result<web::Listener, Message> {
    let (address, error) = match web::Listener::bind_all(addresses).await {
        Ok(listener) => return Ok(listener),
        Err(failed) => failed,
    };
    let failed = |why: Message| say!("listen on {}: {}", named(address), why);
    Err(failed(if error.kind() == std::io::ErrorKind::NotFound { say!("the host cannot be resolved") } else { error.words() }))
}

async fn reload_on_hangup(app: Arc<App>, mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        // The outcome is logged and shown in a metric.
        let _ = app.reload().await;
    }
}

async fn terminated(mut terminations: Signal) {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminations.recv() => {}
    }
}
