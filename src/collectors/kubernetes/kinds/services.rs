//! Services whose load balancers matter, and whether anything stands behind them.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Condition, ConditionStatus, Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::{looked_at, seen};
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
            Unit::Flag,
            &SERVICE,
            "Whether a Service has a load balancer with an address and without an error at one of its ports, from spec.type, status.loadBalancer and LoadBalancerPortsError in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]))
        .made_by("a Service to collectors.kubernetes.services");
        static LB_INFO: Gauge<4> = gauge(
            "readiness_service_load_balancer_info",
            Unit::Mark,
            &["cluster", "namespace", "name", "address"],
            "Host name or address of a Service's load balancer, from status.loadBalancer in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]));
    }

    /// Families that follow from several scopes or from the configuration.
    pub(in crate::collectors::kubernetes) MATCH_FAMILIES {
        static LB_MATCH: Gauge<3> = gauge(
            "readiness_service_load_balancer_address_match",
            Unit::Flag,
            &SERVICE,
            "Whether a Service's load balancer has the address that the configuration expects, from status.loadBalancer in the Kubernetes API.",
        )
        .covered_by(seen(&["Service"]).quiet())
        .made_by("`address` to a Service in collectors.kubernetes.services");
    }

    /// Families about who serves a Service.
    pub(in crate::collectors::kubernetes) ENDPOINT_FAMILIES {
        static ENDPOINTS: Gauge<3> = gauge(
            "readiness_service_ready_endpoints",
            Unit::Number,
            &SERVICE,
            "Endpoints behind a Service that serve, at the one of its ports and by the one of its IP families that has the fewest, on nodes that are there, from its EndpointSlices in the Kubernetes API.",
        )
        .covered_by(looked_at(&["EndpointSlice"]))
        .made_by("a Service to collectors.kubernetes.services");
    }
}

kind!(Service, "", "v1", "services", "crate::collectors::kubernetes::reading::objects::slim", spec: ServiceSpec, status: ServiceStatus);
kind!(EndpointSlice, "discovery.k8s.io", "v1", "endpointslices", "crate::collectors::kubernetes::reading::objects::slim", address_type: String, endpoints: Vec<Endpoint>, ports: Vec<Port>);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ServiceSpec {
    #[serde(default, deserialize_with = "or_default")]
    r#type: String,
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<Port>,
    #[serde(default, rename = "clusterIPs", deserialize_with = "or_default")]
    cluster_ips: Vec<String>,
}

impl ServiceSpec {
    /// By which kinds of addresses clients come to it: those of which it has one. A headless one has none of its own.
    fn families(&self) -> Vec<String> {
        let addresses = self.cluster_ips.iter().filter_map(|address| address.parse().ok());
        addresses.map(|address: IpAddr| if address.is_ipv4() { "IPv4" } else { "IPv6" }.to_owned()).collect()
    }
}

/// A port of a Service, or of an EndpointSlice, which has the name of the Service's.
/// Source: `EndpointPort` in <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(in crate::collectors::kubernetes) struct Port {
    #[serde(default, deserialize_with = "or_default")]
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    protocol: String,
}

impl Port {
    fn is_for(&self, other: &Self) -> bool {
        let protocol = |port: &Self| if port.protocol.is_empty() { "TCP".to_owned() } else { port.protocol.clone() };
        self.name == other.name && protocol(self) == protocol(other)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ServiceStatus {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
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
    #[serde(default, deserialize_with = "or_default")]
    ports: Vec<PortStatus>,
}

#[derive(Debug, Clone, Deserialize)]
struct PortStatus {
    error: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct Endpoint {
    node_name: Option<String>,
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

/// Where a Service must be served: at each of its ports, by each kind of its addresses.
#[derive(Debug, Clone, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Sides {
    ports: Vec<Port>,
    /// `IPv4` and `IPv6`, as it has addresses of its own: one that prefers both has both only where there are both. None of a
    /// headless one: without a selector that is said to be of both kinds even where there is only one, and clients
    /// take what they find.
    /// Source: <https://kubernetes.io/docs/concepts/services-networking/dual-stack/#services>
    families: Vec<String>,
}

/// What is kept of a Service.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Entrance {
    /// Of its load balancer.
    addresses: Vec<String>,
    sides: Sides,
    /// Why its load balancer does not work, although it has an address.
    fault: Option<&'static str>,
}

/// Why a load balancer with an address does not work.
/// Source: <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/#ServiceStatus>
fn fault(spec: &ServiceSpec, status: &ServiceStatus) -> Option<&'static str> {
    let refused = status.conditions.iter().any(|condition| condition.r#type == "LoadBalancerPortsError" && condition.state() == ConditionStatus::True);
    let mut ports = status.load_balancer.ingress.iter().flat_map(|entry| &entry.ports);
    if !matches!(spec.r#type.as_str(), "" | "LoadBalancer") {
        Some("the Service is no longer of type LoadBalancer")
    } else if refused || ports.any(|port| port.error.as_ref().is_some_and(|error| !error.is_empty())) {
        Some("its cloud says that not all of its ports could be opened")
    } else {
        None
    }
}

impl Kind for Service {
    type Row = Entrance;
    const KIND: &'static str = "Service";
    const FAMILIES: &'static [&'static [&'static Family]] = &[SERVICE_FAMILIES];

    fn row(self) -> Entrance {
        let fault = fault(&self.spec, &self.status);
        let named = self.status.load_balancer.ingress.into_iter().filter_map(|entry| entry.hostname.or(entry.ip));
        Entrance {
            addresses: named.filter(|address| Word::joined(address).is_some()).collect(),
            sides: Sides { families: self.spec.families(), ports: self.spec.ports },
            fault,
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, Entrance { addresses, fault, .. }) in rows.iter() {
            let labels = || [&place.cluster, &key.namespace, &key.name].map(Arc::clone);
            let words = match fault {
                _ if addresses.is_empty() => "no address yet".into(),
                Some(fault) => (*fault).into(),
                None => Message::of_names(addresses.iter().map(String::as_str)),
            };
            samples.push(LB_READY.sample(labels(), flag(!addresses.is_empty() && fault.is_none())).with_detail(words));
            let [cluster, namespace, name] = [&*place.cluster, &*key.namespace, &*key.name];
            samples.extend(addresses.iter().map(|address| LB_INFO.sample([cluster, namespace, name, address], 1.0)));
        }
    }
}

/// What is kept of an EndpointSlice.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Behind {
    /// By which kind of addresses they are reached.
    family: String,
    ports: Vec<Port>,
    /// The nodes of those that serve, as far as they are on one.
    serving: Vec<Option<String>>,
}

impl Kind for EndpointSlice {
    type Row = Behind;
    const KIND: &'static str = "EndpointSlice";
    const FAMILIES: &'static [&'static [&'static Family]] = &[];

    fn row(self) -> Behind {
        // Nothing is sent to names: what brings packets to endpoints knows addresses alone.
        let reached = self.endpoints.into_iter().filter(|endpoint| endpoint.conditions.serves() && self.address_type != "FQDN");
        let serving = reached.map(|endpoint| endpoint.node_name).collect();
        Behind { family: self.address_type, ports: self.ports, serving }
    }

    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// Whether each Service that was found has the expected address.
pub(in crate::collectors::kubernetes) fn address_match(services: &Rows<Service>, expected: &str, place: &Place, samples: &mut Vec<Sample>) {
    for (key, Entrance { addresses, .. }) in services.iter() {
        let labels = [&place.cluster, &key.namespace, &key.name].map(Arc::clone);
        // Where there is none, nobody has replaced it by another one.
        let (matches, has) = if addresses.is_empty() {
            (f64::NAN, say!("no address yet"))
        } else {
            (flag(addresses.iter().any(|address| address == expected)), Message::of_names(addresses.iter().map(String::as_str)))
        };
        samples.push(LB_MATCH.sample(labels, matches).with_detail(say!("its load balancer has {}, expected {}", has, named(expected))));
    }
}

/// Endpoints of one Service over all of its slices, at the port and by the kind of addresses that has the fewest. `sides` are
/// those of the Service, none while it cannot be seen; `is_there` says whether a node is.
pub(in crate::collectors::kubernetes) fn endpoints(
    slices: &Rows<EndpointSlice>,
    sides: &Sides,
    is_there: &dyn Fn(&str) -> bool,
    [namespace, name]: [&str; 2],
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    let serving = |behind: &Behind| behind.serving.iter().filter(|node| node.as_deref().is_none_or(is_there)).count();
    // Without a port nobody reaches them: the Service names one that its pods do not have.
    let has = |behind: &Behind, port: Option<&Port>| behind.ports.iter().any(|own| port.is_none_or(|port| own.is_for(port)));
    let count = |port: Option<&Port>, family: Option<&String>| -> usize {
        let own = slices.iter().filter(|(_, behind)| has(behind, port) && family.is_none_or(|family| behind.family == *family));
        own.map(|(_, behind)| serving(behind)).sum()
    };
    let families: Vec<Option<&String>> = if sides.families.is_empty() { vec![None] } else { sides.families.iter().map(Some).collect() };
    let ports: Vec<Option<&Port>> = if sides.ports.is_empty() { vec![None] } else { sides.ports.iter().map(Some).collect() };
    let all = ports.iter().flat_map(|port| families.iter().map(|family| (count(*port, *family), *port, *family)));
    let Some((fewest, port, family)) = all.min_by_key(|(count, ..)| *count) else { return };
    let told = ENDPOINTS.sample([&*place.cluster, namespace, name], fewest as f64);
    let one_of_several = |name: Option<&str>, of: usize| name.filter(|_| fewest == 0 && of > 1).map(str::to_owned);
    let port = one_of_several(port.map(|port| port.name.as_str()), ports.len());
    samples.push(match (port, one_of_several(family.map(String::as_str), families.len())) {
        (Some(port), Some(family)) => told.with_detail(say!("nobody serves at its port {} by {}", named(&port), named(&family))),
        (Some(port), None) => told.with_detail(say!("nobody serves at its port {}", named(&port))),
        (None, Some(family)) => told.with_detail(say!("nobody serves by {}", named(&family))),
        (None, None) => told,
    });
}

/// Where a Service that was found must be served.
pub(in crate::collectors::kubernetes) fn sides(services: &Rows<Service>) -> Sides {
    services.iter().map(|(_, service)| service.sides.clone()).next().unwrap_or_default()
}

/// Addresses of a Service's load balancer, from what was last seen.
pub fn load_balancers(seen: &Snapshot, cluster: &str, namespace: &str, service: &str) -> Vec<String> {
    let wanted = [("cluster", cluster), ("namespace", namespace), ("name", service)];
    seen.samples_of(LB_INFO.0.name)
        .filter(|sample| wanted.iter().all(|(label, value)| sample.label(label) == Some(value)))
        .filter_map(|sample| sample.label("address").map(str::to_owned))
        .collect()
}
