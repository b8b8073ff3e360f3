//! Prints `docs/reliability.md`: every fault that the tests flip.

#![allow(clippy::print_stdout, reason = "a script")]

fn main() {
    print!("{}", readiness_lab::table());
}
