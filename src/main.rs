//! Parses the command line, runs, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    readiness_exporter::cli::main()
}
