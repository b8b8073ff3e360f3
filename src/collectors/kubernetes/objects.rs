//! The fields that are read of each kind. Everything else is skipped while parsing, so that a list
//! of large objects never stands in memory.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

/// Only what identifies an object; labels, annotations and managed fields can be megabytes.
fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        generation: Option<i64>,
    }
    let Identity { name, namespace, uid, resource_version, generation } = Identity::deserialize(deserializer)?;
    Ok(ObjectMeta { name, namespace, uid, resource_version, generation, ..ObjectMeta::default() })
}

/// An object of a kind, with only the fields of `S` and `T`.
macro_rules! kind {
    ($name:ident, $scope:ty, $group:literal, $version:literal, $plural:literal, $status:ty $(, $spec:ty)?) => {
        #[derive(Debug, Clone, Deserialize)]
        pub(super) struct $name {
            #[serde(deserialize_with = "slim")]
            pub(super) metadata: ObjectMeta,
            $(
                #[serde(default, deserialize_with = "or_default")]
                pub(super) spec: $spec,
            )?
            #[serde(default, deserialize_with = "or_default")]
            pub(super) status: $status,
        }

        impl Resource for $name {
            type DynamicType = ();
            type Scope = $scope;

            fn kind(_: &()) -> Cow<'_, str> {
                stringify!($name).into()
            }

            fn group(_: &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version(_: &()) -> Cow<'_, str> {
                $version.into()
            }

            fn plural(_: &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

type Cluster = k8s_openapi::ClusterResourceScope;
type Namespaced = k8s_openapi::NamespaceResourceScope;

kind!(Node, Cluster, "", "v1", "nodes", NodeStatus, NodeSpec);
kind!(Deployment, Namespaced, "apps", "v1", "deployments", ReplicaStatus, ReplicaSpec);
kind!(StatefulSet, Namespaced, "apps", "v1", "statefulsets", ReplicaStatus, ReplicaSpec);
kind!(DaemonSet, Namespaced, "apps", "v1", "daemonsets", DaemonSetStatus);
kind!(CronJob, Namespaced, "batch", "v1", "cronjobs", CronJobStatus, CronJobSpec);
kind!(Service, Namespaced, "", "v1", "services", ServiceStatus);

/// `null` where an object is expected, as old servers and broken webhooks send it.
fn or_default<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct NodeSpec {
    #[serde(default)]
    unschedulable: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct NodeStatus {
    #[serde(default, deserialize_with = "or_default")]
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct ReplicaSpec {
    replicas: Option<u32>,
}

/// Missing counts are 0: the API omits them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReplicaStatus {
    #[serde(default, deserialize_with = "or_default")]
    ready_replicas: u32,
    #[serde(default, deserialize_with = "or_default")]
    updated_replicas: u32,
    #[serde(default, deserialize_with = "or_default")]
    available_replicas: u32,
    observed_generation: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DaemonSetStatus {
    #[serde(default, deserialize_with = "or_default")]
    desired_number_scheduled: u32,
    #[serde(default, deserialize_with = "or_default")]
    number_ready: u32,
    #[serde(default, deserialize_with = "or_default")]
    updated_number_scheduled: u32,
    #[serde(default, deserialize_with = "or_default")]
    number_available: u32,
    observed_generation: Option<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct CronJobSpec {
    suspend: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CronJobStatus {
    last_schedule_time: Option<Timestamp>,
    last_successful_time: Option<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServiceStatus {
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

/// What is kept of an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Row {
    Node { schedulable: bool, conditions: BTreeMap<String, &'static str> },
    Replicas { desired: u32, ready: u32, updated: u32, available: u32, complete: bool },
    CronJob { suspended: bool, last_schedule: Option<Timestamp>, last_success: Option<Timestamp> },
    Service { addresses: Vec<String> },
}

/// An object that can be reduced to a row.
pub(super) trait Slim: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned + Send + 'static {
    fn row(self) -> Row;
}

impl Slim for Node {
    fn row(self) -> Row {
        let conditions = self.status.conditions.into_iter().map(|condition| {
            let status = match condition.status.as_str() {
                "True" => "true",
                "False" => "false",
                // The kubelet stopped reporting; the node controller says so after 40 s.
                _ => "unknown",
            };
            (condition.r#type, status)
        });
        Row::Node { schedulable: !self.spec.unschedulable.unwrap_or(false), conditions: conditions.collect() }
    }
}

fn replicas(spec: &ReplicaSpec, status: &ReplicaStatus, generation: Option<i64>) -> Row {
    // `replicas` defaults to 1 on the server; an object without it was never defaulted.
    let desired = spec.replicas.unwrap_or(1);
    let observed = status.observed_generation >= generation;
    Row::Replicas {
        desired,
        ready: status.ready_replicas,
        updated: status.updated_replicas,
        available: status.available_replicas,
        complete: observed && status.updated_replicas == desired && status.available_replicas == desired,
    }
}

impl Slim for Deployment {
    fn row(self) -> Row {
        replicas(&self.spec, &self.status, self.metadata.generation)
    }
}

impl Slim for StatefulSet {
    fn row(self) -> Row {
        replicas(&self.spec, &self.status, self.metadata.generation)
    }
}

impl Slim for DaemonSet {
    fn row(self) -> Row {
        let DaemonSetStatus {
            desired_number_scheduled: desired,
            number_ready,
            updated_number_scheduled: updated,
            number_available: available,
            observed_generation,
        } = self.status;
        let observed = observed_generation >= self.metadata.generation;
        Row::Replicas { desired, ready: number_ready, updated, available, complete: observed && updated == desired && available == desired }
    }
}

impl Slim for CronJob {
    fn row(self) -> Row {
        Row::CronJob {
            suspended: self.spec.suspend.unwrap_or(false),
            last_schedule: self.status.last_schedule_time,
            last_success: self.status.last_successful_time,
        }
    }
}

impl Slim for Service {
    fn row(self) -> Row {
        let ingress = self.status.load_balancer.ingress.into_iter();
        Row::Service { addresses: ingress.filter_map(|entry| entry.hostname.or(entry.ip)).collect() }
    }
}
