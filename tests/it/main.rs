//! Integration tests: the library and the binary against the lab and against real servers.

mod bad_input;
mod cli;
mod common;
mod faults;
mod rules;
mod web;
