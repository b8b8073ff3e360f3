//! Integration tests: the library and the binary against the lab and against real servers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on must end")]

mod bad_input;
mod behind_a_proxy;
mod board_words;
mod boards;
mod canary;
mod chart;
mod cli;
mod clusters;
mod common;
mod credentials;
mod faults;
mod files;
mod first;
mod grafana_colours;
mod grafana_schema;
mod hanging;
mod images;
mod incident;
mod kinds;
mod layers;
mod listening;
mod matrix;
mod moto;
#[path = "../../examples/common/mod.rs"]
#[expect(dead_code, reason = "what a soak needs is there as well")]
mod on_a_lab;
mod one_truth;
mod openmetrics;
mod page;
mod page_states;
mod pairs;
mod partly;
mod real_aws;
mod real_cluster;
mod real_ecr;
mod real_faults;
mod real_peers;
mod real_registry;
mod real_secrets;
mod rules;
mod secrets;
mod several;
mod slack;
mod storm;
#[path = "../../examples/common/storm.rs"]
mod storm_on_a_lab;
mod web;
mod web_config;
