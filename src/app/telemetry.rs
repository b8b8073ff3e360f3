//! What the exporter counts about itself, beside the facts.

use jiff::Timestamp;
use prometheus::{Gauge as PromGauge, GaugeVec, IntCounterVec, Opts, Registry};

/// The exporter's counters about itself.
pub struct Telemetry {
    pub(super) registry: Registry,
    /// Requests by route and status.
    pub requests: IntCounterVec,
    pub(super) reload_success: PromGauge,
    reload_time: PromGauge,
    web_success: PromGauge,
}

impl Telemetry {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let opts = |(name, help): Own| Opts::new(name, help);
        let requests = IntCounterVec::new(opts(REQUESTS), &["route", "code"])?;
        let reload_success = PromGauge::with_opts(opts(RELOAD_SUCCESS))?;
        let reload_time = PromGauge::with_opts(opts(RELOAD_TIME))?;
        let web_success = PromGauge::with_opts(opts(WEB_SUCCESS))?;
        web_success.set(1.0);
        let build = GaugeVec::new(opts(BUILD), &["version", "revision"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), option_env!("READINESS_REVISION").unwrap_or("unknown")]).set(1.0);
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(reload_success.clone()))?;
        registry.register(Box::new(reload_time.clone()))?;
        registry.register(Box::new(web_success.clone()))?;
        registry.register(Box::new(build))?;
        registry.register(Box::new(prometheus::process_collector::ProcessCollector::for_self()))?;
        Ok(Self { registry, requests, reload_success, reload_time, web_success })
    }

    pub(super) fn loaded(&self) {
        self.reload_success.set(1.0);
        self.reload_time.set(Timestamp::now().as_second() as f64);
    }

    /// Says whether the file of the web configuration was taken when it was last read.
    pub fn web_read(&self, taken: bool) {
        self.web_success.set(f64::from(u8::from(taken)));
    }

    /// Which files were refused, so that older settings are in force.
    pub fn refused(&self) -> Vec<&'static str> {
        let all = [(&self.reload_success, "configuration"), (&self.web_success, "web configuration")];
        all.into_iter().filter(|(success, _)| success.get() < 1.0).map(|(_, file)| file).collect()
    }
}

/// Name and help of a metric about the exporter itself.
type Own = (&'static str, &'static str);

const REQUESTS: Own = ("readiness_web_requests_total", "Requests to this exporter's own server by route and status code.");
const RELOAD_SUCCESS: Own = ("readiness_config_last_reload_successful", "Whether the last attempt to load the configuration succeeded.");
const RELOAD_TIME: Own = ("readiness_config_last_reload_success_timestamp_seconds", "When the configuration was last loaded with success.");
const WEB_SUCCESS: Own = ("readiness_web_config_last_reload_successful", "Whether the web configuration is in force as its file stood when it was last read.");
const BUILD: Own = ("readiness_build_info", "Version of this exporter, and the commit that it was built from, where the build said so.");

/// All of them, for the documentation.
pub const TELEMETRY: &[Own] = &[REQUESTS, RELOAD_SUCCESS, RELOAD_TIME, WEB_SUCCESS, BUILD];
