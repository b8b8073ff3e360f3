//! Looks at everything a go-live depends on, all the time, and says go or no-go with the evidence.
//!
//! Collectors look and return facts ([`collectors`], run by [`driver`], kept in [`snapshot`]);
//! checklists judge the facts ([`checklist`]); [`web`] and [`cli`] show what came out, and
//! [`generate`] writes the alert rules and dashboards that say the same. `ARCHITECTURE.md` is the map.

pub mod app;
pub mod aws;
pub mod cause;
pub mod checklist;
pub mod cli;
pub mod collectors;
pub mod config;
mod document;
pub mod driver;
mod encoded;
pub mod event;
pub mod exposition;
pub mod files;
#[cfg(test)]
mod fuzz;
pub mod generate;
pub mod gzip;
pub mod history;
mod interim;
mod jwt;
pub mod labels;
pub mod lasting;
pub mod made;
pub mod meaning;
pub mod metric;
pub mod net;
pub mod promql;
pub mod report;
mod room;
pub mod runbooks;
pub mod say;
pub mod snapshot;
pub mod state;
pub mod value;
pub mod verdict;
mod warnings;
pub mod web;
mod word;
mod writer;
