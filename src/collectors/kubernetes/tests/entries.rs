//! Services: their load balancers, and who stands behind each of their ports.

use serde_json::{Value, json};

use super::*;
use crate::collectors::kubernetes::tests::of_kinds::filled;
use crate::collectors::kubernetes::tests::{place, rows, says};

fn service(spec: &Value, status: &Value) -> Value {
    json!({ "metadata": { "name": "coder", "namespace": "n" }, "spec": spec, "status": status })
}

#[test]
fn an_address_alone_is_no_load_balancer_that_works() {
    let address = || json!({ "ingress": [{ "hostname": "nlb.test" }] });
    let ready = |spec: &Value, status: &Value| rows::<services::Service>(&[service(spec, status)]);
    let balanced = || json!({ "type": "LoadBalancer", "ports": [{ "name": "https", "port": 443 }] });
    for status in [
        json!({ "loadBalancer": address() }),
        json!({ "loadBalancer": address(), "conditions": [{ "type": "LoadBalancerPortsError", "status": "False" }] }),
        json!({ "loadBalancer": { "ingress": [{ "ip": "10.0.0.1", "ports": [{ "port": 443, "protocol": "TCP" }] }] } }),
    ] {
        says(&ready(&balanced(), &status), "service_load_balancer_ready eu/n/coder = 1");
    }
    for (spec, status) in [
        (json!({ "type": "ClusterIP" }), json!({ "loadBalancer": address() })),
        (json!({ "type": "NodePort" }), json!({ "loadBalancer": address() })),
        (balanced(), json!({ "loadBalancer": address(), "conditions": [{ "type": "LoadBalancerPortsError", "status": "True" }] })),
        (
            balanced(),
            json!({ "loadBalancer": { "ingress": [{ "ip": "10.0.0.1", "ports": [{ "port": 443, "protocol": "TCP", "error": "example.com/NoPort" }] }] } }),
        ),
        (balanced(), json!({})),
    ] {
        says(&ready(&spec, &status), "service_load_balancer_ready eu/n/coder = 0");
    }
}

/// How many endpoints are behind a Service with these ports, with this slice, and what is said of them.
fn behind(ports: &Value, slice: &Value) -> (String, String) {
    let sides = services::sides(&filled(&[service(&json!({ "type": "LoadBalancer", "ports": ports }), &json!({}))]));
    let mut own = json!({ "metadata": { "name": "s", "namespace": "n" }, "addressType": "IPv4", "ports": [{ "name": "http", "port": 8080, "protocol": "TCP" }],
        "endpoints": [{ "addresses": ["10.0.0.1"], "nodeName": "n1" }, { "addresses": ["10.0.0.2"] }] });
    own.as_object_mut().unwrap().extend(slice.as_object().unwrap().clone());
    let mut samples = Vec::new();
    services::endpoints(&filled(&[own]), &sides, &|node| node == "n1", ["n", "coder"], &place("EndpointSlice"), &mut samples);
    (samples[0].value.to_string(), samples[0].detail.as_ref().map_or_else(String::new, ToString::to_string))
}

/// Clients that have addresses of one kind alone reach nobody of the other.
#[test]
fn somebody_must_stand_behind_each_kind_of_addresses_of_a_service() {
    let slice = |name: &str, family: &str, addresses: &[&str]| {
        let endpoints: Vec<Value> = addresses.iter().map(|address| json!({ "addresses": [address] })).collect();
        json!({ "metadata": { "name": name, "namespace": "n" }, "addressType": family, "ports": [{ "port": 8080 }], "endpoints": endpoints })
    };
    let count = |addresses: Value, slices: &[Value]| {
        let spec = json!({ "ports": [{ "port": 80 }], "clusterIPs": addresses, "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack" });
        let sides = services::sides(&filled(&[service(&spec, &json!({}))]));
        let mut samples = Vec::new();
        services::endpoints(&filled(slices), &sides, &|_| true, ["n", "coder"], &place("EndpointSlice"), &mut samples);
        (samples[0].value.to_string(), samples[0].detail.as_ref().map_or_else(String::new, ToString::to_string))
    };
    let (four, six) = (slice("four", "IPv4", &["10.0.0.1", "10.0.0.2"]), slice("six", "IPv6", &["fd00::1"]));
    let said = |count: &str, words: &str| (count.to_owned(), words.to_owned());
    let both = json!(["10.96.0.7", "fd00:96::7"]);
    assert_eq!(count(both.clone(), &[four.clone(), six.clone()]), said("1", ""));
    assert_eq!(count(both.clone(), &[slice("four", "IPv4", &[]), six.clone()]), said("0", "nobody serves by IPv4"));
    assert_eq!(count(both, std::slice::from_ref(&four)), said("0", "nobody serves by IPv6"));
    assert_eq!(count(json!(["10.96.0.7"]), &[four.clone(), six.clone()]), said("2", ""));
    assert_eq!(count(json!(["10.96.0.7"]), std::slice::from_ref(&six)), said("0", ""));
    assert_eq!(count(json!(null), &[four.clone(), six]), said("3", ""), "it says nothing of them");
    // A headless Service without a selector is said to be of both kinds in each cluster; its slices are made by hand.
    assert_eq!(count(json!(["None"]), &[four]), said("2", ""), "a database outside of the cluster");
    assert_eq!(count(json!(["None"]), &[]), said("0", ""));
}

#[test]
fn somebody_must_stand_behind_each_port_of_a_service() {
    let (http, https) = (json!({ "name": "http", "port": 80 }), json!({ "name": "https", "port": 443, "protocol": "TCP" }));
    let count = |ports: Value, slice: Value| behind(&ports, &slice).0;
    assert_eq!(count(json!([http]), json!({})), "2");
    assert_eq!(behind(&json!([http, https]), &json!({})), ("0".to_owned(), "nobody serves at its port https".to_owned()));
    assert_eq!(count(json!([http, https]), json!({ "ports": [{ "name": "https", "port": 8443 }, { "name": "http", "port": 8080 }] })), "2");
    assert_eq!(count(json!([{ "name": "http", "port": 80, "protocol": "UDP" }]), json!({})), "0");
    // A single port needs no name.
    assert_eq!(count(json!([{ "port": 80 }]), json!({ "ports": [{ "name": "", "port": 8080, "protocol": "TCP" }] })), "2");
    assert_eq!(count(json!([{ "port": 80 }]), json!({ "ports": [{ "port": 8080 }] })), "2");
    assert_eq!(count(json!([http]), json!({ "addressType": "FQDN" })), "0", "nothing is sent to a name");
    assert_eq!(count(json!([http]), json!({ "endpoints": [{ "nodeName": "gone" }, { "nodeName": "n1" }] })), "1");
    assert_eq!(count(json!([http]), json!({ "endpoints": [{ "nodeName": "gone" }] })), "0");
}
