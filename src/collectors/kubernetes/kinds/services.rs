//! Services whose load balancers matter, and whether anything stands behind them.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::sight::{looked_at, seen};
use crate::metric::{Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::say::{Message, named};
use crate::snapshot::Snapshot;
use crate::word::Word;

const SERVICE: [&str; 3] = ["cluster", "namespace", "name"];

metrics! {
    /// Families about Services.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about addresses of Services.
    SERVICE_FAMILIES {
        static LB_READY: Gauge<3> = gauge(
            "readiness_service_load_balancer_ready",
            Unit::Number,
            &SERVICE,
            "Whether a Service has a load balancer address, from status.loadBalancer in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]));
        static LB_INFO: Gauge<4> = gauge(
            "readiness_service_load_balancer_info",
            Unit::Number,
            &["cluster", "namespace", "name", "address"],
            "Host name or address of a Service's load balancer, from status.loadBalancer in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]));
    }

    /// Families that follow from several scopes or from the configuration.
    pub(in crate::collectors::kubernetes) MATCH_FAMILIES {
        static LB_MATCH: Gauge<3> = gauge(
            "readiness_service_load_balancer_address_match",
            Unit::Number,
            &SERVICE,
            "Whether a Service's load balancer has the address that the configuration expects, from status.loadBalancer in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]).quiet());
    }

    /// Families about who serves a Service.
    pub(in crate::collectors::kubernetes) ENDPOINT_FAMILIES {
        static ENDPOINTS: Gauge<3> = gauge(
            "readiness_service_ready_endpoints",
            Unit::Number,
            &SERVICE,
            "Endpoints behind a Service that serve at one of its ports, from its EndpointSlices in the Kubernetes API.",
        )
        .covered_by(looked_at(&["EndpointSlice"]));
    }
}

kind!(Service, "", "v1", "services", "crate::collectors::kubernetes::reading::objects::slim", status: ServiceStatus);
kind!(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", "crate::collectors::kubernetes::reading::objects::slim", endpoints: Vec<Endpoint>, ports: Vec<IgnoredAny>);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ServiceStatus {
    #[serde(default, deserialize_with = "or_default")]
    load_balancer: LoadBalancer,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct LoadBalancer {
    #[serde(default, deserialize_with = "or_default")]
    ingress: Vec<Ingress>,
}

#[derive(Debug, Clone, Deserialize)]
struct Ingress {
    hostname: Option<String>,
    ip: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(in crate::collectors::kubernetes) struct Endpoint {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Conditions,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

impl Conditions {
    /// A missing condition means ready, as the API says of old controllers. A Service may publish what is not ready
    /// as if it were, and then `serving` tells.
    /// Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>
    fn serves(&self) -> bool {
        self.ready.unwrap_or(true) && self.serving.unwrap_or(true) && !self.terminating.unwrap_or(false)
    }
}

/// Addresses of a load balancer.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Addresses(Vec<String>);

impl Kind for Service {
    type Row = Addresses;
    const KIND: &'static str = "Service";
    const FAMILIES: &'static [&'static [&'static Family]] = &[SERVICE_FAMILIES];

    fn row(self) -> Addresses {
        Addresses(
            self.status
                .load_balancer
                .ingress
                .into_iter()
                .filter_map(|entry| entry.hostname.or(entry.ip))
                .filter(|address| Word::joined(address).is_some())
                .collect(),
        )
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, Addresses(addresses)) in rows.iter() {
            let labels = || [&place.cluster, &key.namespace, &key.name].map(Arc::clone);
            let words = if addresses.is_empty() { say!("no address yet") } else { Message::of_names(addresses.iter().map(String::as_str)) };
            samples.push(LB_READY.sample(labels(), flag(!addresses.is_empty())).with_detail(words));
            let [cluster, namespace, name] = [&*place.cluster, &*key.namespace, &*key.name];
            samples.extend(addresses.iter().map(|address| LB_INFO.sample([cluster, namespace, name, address], 1.0)));
        }
    }
}

impl Kind for EndpointSlice {
    type Row = usize;
    const KIND: &'static str = "EndpointSlice";
    const FAMILIES: &'static [&'static [&'static Family]] = &[];

    fn row(self) -> usize {
        // Without a port nobody reaches them: the Service names one that its pods do not have.
        if self.ports.is_empty() {
            return 0;
        }
        self.endpoints.iter().filter(|endpoint| endpoint.conditions.serves()).count()
    }

    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// Whether each Service that was found has the expected address.
pub(in crate::collectors::kubernetes) fn address_match(services: &Rows<Service>, expected: &str, place: &Place, samples: &mut Vec<Sample>) {
    for (key, Addresses(addresses)) in services.iter() {
        let labels = [&place.cluster, &key.namespace, &key.name].map(Arc::clone);
        let has = if addresses.is_empty() { say!("none") } else { Message::of_names(addresses.iter().map(String::as_str)) };
        let words = say!("has {}, expected {}", has, named(expected));
        samples.push(LB_MATCH.sample(labels, flag(addresses.iter().any(|address| address == expected))).with_detail(words));
    }
}

/// Ready endpoints of one Service over all of its slices.
pub(in crate::collectors::kubernetes) fn endpoints(slices: &Rows<EndpointSlice>, namespace: &str, name: &str, place: &Place, samples: &mut Vec<Sample>) {
    let ready: usize = slices.iter().map(|(_, ready)| ready).sum();
    samples.push(ENDPOINTS.sample([&*place.cluster, namespace, name], ready as f64));
}

/// Addresses of a Service's load balancer, from what was last seen.
pub fn load_balancers(seen: &Snapshot, cluster: &str, namespace: &str, service: &str) -> Vec<String> {
    let wanted = [("cluster", cluster), ("namespace", namespace), ("name", service)];
    seen.samples_of(LB_INFO.0.name)
        .filter(|sample| wanted.iter().all(|(label, value)| sample.label(label) == Some(value)))
        .filter_map(|sample| sample.label("address").map(str::to_owned))
        .collect()
}
