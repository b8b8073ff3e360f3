//! The Prometheus Operator: whether it serves ServiceMonitors, and which labels one must carry to
//! be picked up.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::objects::{Kind, Place, Rows, flag, kind, or_default};
use super::sight::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge};
use crate::say;
use crate::say::named;

const COVERAGE: Coverage = seen(&["Prometheus"]);

static SELECTS: Gauge<3> = gauge(
    "readiness_prometheus_selects_servicemonitors",
    Unit::Number,
    &["cluster", "namespace", "name"],
    "Whether a Prometheus selects any ServiceMonitor: a selector that is left out selects none, an empty one all, from the monitoring.coreos.com/v1 API.",
)
.covered_by(COVERAGE);
static SELECTOR: Gauge<4> = gauge(
    "readiness_prometheus_servicemonitor_selector_info",
    Unit::Number,
    &["cluster", "namespace", "name", "match_labels"],
    "Labels that a ServiceMonitor must carry to be picked up, from spec.serviceMonitorSelector in the monitoring.coreos.com/v1 API.",
)
.covered_by(COVERAGE);

kind!(Prometheus, "monitoring.coreos.com", "v1", "prometheuses", "super::objects::slim", spec: Spec);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    service_monitor_selector: Option<Selector>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Selector {
    #[serde(default, deserialize_with = "or_default")]
    match_labels: BTreeMap<String, String>,
}

impl Kind for Prometheus {
    type Row = Option<String>;
    const KIND: &'static str = "Prometheus";
    const FAMILIES: &'static [&'static Family] = FAMILIES;

    fn row(self) -> Option<String> {
        let selector = self.spec.service_monitor_selector?;
        Some(selector.match_labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, selector) in rows.iter() {
            let words = match selector.as_deref() {
                None => say!("no serviceMonitorSelector, which selects nothing"),
                Some("") => say!("every ServiceMonitor"),
                Some(labels) => say!("ServiceMonitors with {}", named(labels)),
            };
            samples.push(SELECTS.sample([&*place.cluster, &*key.namespace, &*key.name], flag(selector.is_some())).with_detail(words));
            samples.extend(selector.as_ref().map(|labels| SELECTOR.sample([&*place.cluster, &*key.namespace, &*key.name, labels], 1.0)));
        }
    }
}

/// Families about the Prometheus Operator.
pub(super) static FAMILIES: &[&Family] = &[&SELECTS.0, &SELECTOR.0];
