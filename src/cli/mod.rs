//! The command line. Flags are spelled as Prometheus users know them.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{CommandFactory as _, Parser as _};
use jiff::{SignedDuration, Timestamp};

mod flags;
mod init;
mod serve;

use flags::{Check, Cli, Command, Configuration, Format, Generate, Level, Listing, Output, Report, Serve};
use serve::serve;

use crate::app::App;
use crate::cause::Cause as _;
use crate::checklist::Decision;
use crate::config::{self, LoadError, Loaded};
use crate::files::ReadError;
use crate::net;
use crate::say;
use crate::say::{Say, counted, named};
use crate::state::{self, State};
use crate::warnings::{of_settings, warnings};
use crate::word::did_you_mean;
use crate::{generate, report};

/// Runs the program.
pub fn main() -> ExitCode {
    keep_memory_private();
    std::panic::set_hook(Box::new(report_panic));
    let cli = Cli::parse();
    // The first TLS call would panic without one; a second call only means that there is one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let quiet = !matches!(cli.command, None | Some(Command::Serve(_)));
    log(&cli.serve, quiet);
    match cli.command {
        None => with_config(&cli.serve, |loaded| runtime(serve(&cli.serve, loaded))),
        Some(Command::Serve(web)) => {
            let flags = Serve { web: web.or(cli.serve.web), ..cli.serve };
            with_config(&flags, |loaded| runtime(serve(&flags, loaded)))
        }
        Some(Command::Check(check)) => with_config(&cli.serve, |loaded| runtime(check_once(check, &cli.serve, loaded))),
        Some(Command::Report(report)) => with_config(&cli.serve, |loaded| changes(&report, &loaded)),
        Some(Command::Generate(generate)) => generate_files(&generate, &cli.serve),
        Some(Command::Config(Configuration::Check)) => with_config_by(config::check, &cli.serve, |loaded| check_configuration(&loaded, &cli.serve.config_file)),
        Some(Command::Config(Configuration::Print)) => with_config(&cli.serve, settings),
        Some(Command::Config(Configuration::Schema)) => {
            print(&generate::schema());
            ExitCode::SUCCESS
        }
        Some(Command::Config(Configuration::Init(wanted))) => init::init(wanted),
        Some(Command::Config(Configuration::Rbac { cluster, namespace })) => with_config(&cli.serve, |loaded| rbac(&loaded, &cluster, &namespace)),
        Some(Command::Manual) => {
            let mut page = Vec::new();
            // Writing to memory cannot fail.
            let _ = clap_mangen::Man::new(Cli::command()).render(&mut page);
            print(&String::from_utf8_lossy(&page));
            ExitCode::SUCCESS
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "readiness-exporter", &mut script);
            print(&String::from_utf8_lossy(&script));
            ExitCode::SUCCESS
        }
    }
}

/// No core dump, and no other process of the same user that reads the memory: it holds secrets while
/// they are used. A system that refuses keeps its own rules.
fn keep_memory_private() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Where a defect is; its message may hold what was worked on.
fn report_panic(info: &std::panic::PanicHookInfo<'_>) {
    let place = info.location().map(|at| (at.file().rsplit('/').next().unwrap_or_default(), at.line()));
    let (file, line) = place.unwrap_or(("an unknown file", 0));
    let _ = writeln!(std::io::stderr(), "readiness-exporter: a defect in {file}, line {line}; please report it");
}

fn changes(wanted: &Report, loaded: &Loaded) -> ExitCode {
    let Some(path) = &loaded.settings.state_file else { return fail("no state_file is configured, so nothing is remembered") };
    let from = SignedDuration::try_from(wanted.since.0).ok().and_then(|span| Timestamp::now().checked_sub(span).ok());
    match state::changes_of(path, from.unwrap_or(Timestamp::MIN)) {
        Ok(found) => {
            print(&match wanted.output {
                Listing::Text => report::changes(&found),
                Listing::Json => report::json_of(&serde_json::json!({ "changes": found })),
            });
            ExitCode::SUCCESS
        }
        Err(error) => fail(error),
    }
}

fn check_configuration(loaded: &Loaded, file: &Path) -> ExitCode {
    match loaded.tasks(&Arc::new(State::open(None))) {
        Ok(tasks) => {
            for warning in warnings(loaded, tasks.iter().map(|task| &task.source), Timestamp::now()) {
                print(&format!("warning: {warning}\n"));
            }
            let checks: usize = loaded.checklists.iter().map(|checklist| checklist.checks().count()).sum();
            print(&format!("{} is good: {}, {}\n", file.display(), counted(tasks.len(), "source", "sources"), counted(checks, "check", "checks")));
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Of two things that are wrong nobody should learn in two runs.
            for warning in of_settings(loaded, Timestamp::now()) {
                print(&format!("warning: {warning}\n"));
            }
            fail(error)
        }
    }
}

fn settings(mut loaded: Loaded) -> ExitCode {
    loaded.settings.hide_names();
    match serde_saphyr::to_string(&loaded.settings) {
        Ok(text) => {
            print(&text);
            ExitCode::SUCCESS
        }
        Err(_) => fail("print the configuration: it cannot be written as YAML"),
    }
}

fn rbac(loaded: &Loaded, cluster: &str, namespace: &str) -> ExitCode {
    let Some(settings) = loaded.settings.clusters.iter().find(|own| own.name == cluster) else {
        let known = loaded.settings.clusters.iter().map(|own| own.name.as_str());
        return fail(say!("no cluster is named {}{}", named(cluster), did_you_mean(cluster, known)));
    };
    print(&generate::manifests(&loaded.settings.collectors, settings, namespace));
    ExitCode::SUCCESS
}

fn with_config(flags: &Serve, run: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    with_config_by(config::load, flags, run)
}

fn with_config_by(load: fn(&Path) -> Result<Loaded, LoadError>, flags: &Serve, run: impl FnOnce(Loaded) -> ExitCode) -> ExitCode {
    if let Err(error) = net::check_trust_file() {
        return fail(error);
    }
    match load(&flags.config_file) {
        Ok(loaded) => run(loaded),
        Err(error @ LoadError::Unreadable { cause: ReadError::Absent, .. }) => {
            fail(say!("{}; `readiness-exporter config init` prints one to begin with, and --config.file names another", error))
        }
        Err(error) => fail(error),
    }
}

fn runtime(work: impl Future<Output = ExitCode>) -> ExitCode {
    // One thread for all collectors and the judge: looking is waiting, and the allocator keeps an arena
    // for each thread, which cost 3 MiB with two workers. What blocks (name lookup, exec plugins, reload)
    // has threads of its own, and so has the server.
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match built {
        Ok(runtime) => {
            let code = runtime.block_on(work);
            // A blocked name lookup must not hold up the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => fail(say!("start the runtime: {}", error.words())),
    }
}

async fn check_once(check: Check, flags: &Serve, loaded: Loaded) -> ExitCode {
    let place = match flags.place() {
        Ok(place) => place,
        Err(error) => return fail(error),
    };
    let home = place.external.as_ref();
    let app = match App::start(loaded, None, false) {
        Ok(app) => app,
        Err(error) => return fail(error),
    };
    // Whoever reads only the word must see why it may be another one than was meant.
    for warning in app.odd() {
        let _ = writeln!(std::io::stderr(), "warning: {warning}");
    }
    let terminal = std::io::stderr().is_terminal();
    app.until_settled(check.timeout.0, |done, all| {
        if terminal {
            let _ = write!(std::io::stderr(), "\r\u{1b}[2Klooking: {done} of {}", counted(all, "source", "sources"));
        }
    })
    .await;
    if terminal {
        let _ = write!(std::io::stderr(), "\r\u{1b}[2K");
    }
    let judgements = app.judge_once();
    print(&match check.output {
        Output::Text if check.all => report::text(&judgements, colour(), home),
        Output::Text => report::summary(&judgements, colour(), home),
        Output::Markdown => report::markdown(&judgements, home),
        Output::Json => report::json(&judgements, &[], home),
        Output::Junit => report::junit(&judgements, home),
    });
    app.shutdown(Duration::from_millis(200)).await;
    match report::overall(&judgements) {
        Decision::Go => ExitCode::SUCCESS,
        Decision::NoGo => ExitCode::from(1),
        Decision::Undecided => ExitCode::from(3),
    }
}

/// Whether a terminal shows colours, and nobody minds.
/// Source: <https://no-color.org/>
fn colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn generate_files(flags: &Generate, serve: &Serve) -> ExitCode {
    let place = match serve.place() {
        Ok(place) => place,
        Err(error) => return fail(error),
    };
    let published = generate::Published::new(flags.runbook_url.as_deref(), place.external.as_ref());
    let files = if flags.from_config {
        config::load(&serve.config_file).map(|loaded| generate::files(&loaded.checklists, &published)).map_err(|error| say!("{}", error))
    } else {
        generate::shipped().map(|checklists| generate::repository(&checklists, &published))
    };
    let files = match files {
        Ok(files) => files,
        Err(error) => return fail(error),
    };
    let outcome = if flags.check { generate::compare(&files, &flags.out) } else { generate::write(&files, &flags.out) };
    match outcome {
        Ok(()) => {
            if !flags.check {
                print(&format!("wrote {} below {}\n", counted(files.len(), "file", "files"), flags.out.display()));
            }
            ExitCode::SUCCESS
        }
        Err(generate::Drift::Differs(names)) => {
            let _ = writeln!(std::io::stderr(), "not what would be generated; run the same without --check:\n  {}", names.join("\n  "));
            ExitCode::from(1)
        }
        Err(generate::Drift::Failed(error)) => fail(error),
    }
}

fn fail(why: impl Say) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "readiness-exporter: {why}");
    ExitCode::from(2)
}

/// The one place that writes to stdout; a closed pipe is no failure of ours.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

fn log(flags: &Serve, quiet: bool) {
    use tracing::level_filters::LevelFilter;
    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::util::SubscriberInitExt as _;
    let level = match flags.log_level {
        // A one-shot command prints what a person reads; the log stays silent unless asked for.
        Level::Info | Level::Warn if quiet => LevelFilter::OFF,
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // Other libraries log what they send, receive and cannot read: headers with tokens, bodies with
    // secrets. None of them is heard at any level; what they fail at, our own lines say.
    let ours = tracing_subscriber::filter::Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(ours);
    let done = match flags.log_format {
        Format::Text => registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init(),
        Format::Json => registry.with(layer.json()).try_init(),
        Format::Logfmt => registry.with(tracing_logfmt::builder().with_target(false).layer().with_writer(std::io::stderr)).try_init(),
    };
    if done.is_err() {
        let _ = writeln!(std::io::stderr(), "set up logging: another logger is there already");
    }
}
