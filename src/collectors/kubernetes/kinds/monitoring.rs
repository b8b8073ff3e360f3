//! The Prometheus Operator: whether it serves ServiceMonitors, and which labels one must carry to
//! be picked up.

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, flag, kind};
use crate::collectors::kubernetes::reading::selector::LabelSelector;
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::named;

const COVERAGE: Coverage = seen(&["Prometheus"]);

metrics! {
    /// Families about the Prometheus Operator.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static SELECTS: Gauge<3> = gauge(
        "readiness_prometheus_selects_servicemonitors",
        Unit::Flag,
        &["cluster", "namespace", "name"],
        "Whether a Prometheus selects any ServiceMonitor: a selector that is left out selects none, an empty one all; NaN where it cannot be read, from the monitoring.coreos.com/v1 API.",
    )
    .covered_by(COVERAGE);
    static SELECTOR: Gauge<4> = gauge(
        "readiness_prometheus_servicemonitor_selector_info",
        Unit::Mark,
        &["cluster", "namespace", "name", "match_labels"],
        "Labels that a ServiceMonitor must carry to be picked up, from spec.serviceMonitorSelector in the monitoring.coreos.com/v1 API.",
    )
    .covered_by(COVERAGE);
}

kind!(Prometheus, "monitoring.coreos.com", "v1", "prometheuses", "crate::collectors::kubernetes::reading::objects::slim", spec: Spec);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Spec {
    service_monitor_selector: Option<LabelSelector>,
}

/// Which ServiceMonitors are picked up.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) enum Picked {
    None,
    /// As `kubectl -l` takes it; empty for all.
    Query(String),
    /// By an operator that is not known.
    Unknown,
}

impl Kind for Prometheus {
    type Row = Picked;
    const KIND: &'static str = "Prometheus";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];

    fn row(self) -> Picked {
        self.spec.service_monitor_selector.map_or(Picked::None, |selector| selector.query().map_or(Picked::Unknown, Picked::Query))
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, picked) in rows.iter() {
            let words = match picked {
                Picked::None => say!("no serviceMonitorSelector, which selects nothing"),
                Picked::Query(query) if query.is_empty() => say!("every ServiceMonitor"),
                Picked::Query(query) => say!("ServiceMonitors with {}", named(query)),
                Picked::Unknown => say!("its serviceMonitorSelector has an operator that is not known"),
            };
            let selects = if *picked == Picked::Unknown { f64::NAN } else { flag(*picked != Picked::None) };
            samples.push(SELECTS.sample([&*place.cluster, &*key.namespace, &*key.name], selects).with_detail(words));
            if let Picked::Query(query) = picked {
                samples.push(SELECTOR.sample([&*place.cluster, &*key.namespace, &*key.name, query], 1.0));
            }
        }
    }
}
