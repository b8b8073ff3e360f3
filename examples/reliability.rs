//! Prints `docs/reliability.md`: every fault that the tests flip.

#![expect(clippy::print_stdout, reason = "a script")]

fn main() {
    print!("{}", readiness_lab::table());
}
