//! StorageClasses and IngressClasses.

use std::sync::Arc;

use serde::Deserialize;

use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, flag, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say::Message;

const STORAGE: Coverage = seen(&["StorageClass"]);
const INGRESS: Coverage = seen(&["IngressClass"]);

metrics! {
    /// Families about classes.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about classes of storage.
    pub(in crate::collectors::kubernetes) STORAGE_FAMILIES {
        static STORAGE_INFO: Gauge<4> = gauge(
            "readiness_storageclass_info",
            Unit::Mark,
            &["cluster", "name", "provisioner", "binding_mode"],
            "StorageClasses with their provisioner and binding mode, from the Kubernetes API.",
        )
        .covered_by(STORAGE);
        static STORAGE_EXPANDS: Gauge<2> = gauge(
            "readiness_storageclass_allows_expansion",
            Unit::Flag,
            &["cluster", "name"],
            "Whether volumes of a StorageClass can grow, from allowVolumeExpansion in the Kubernetes API.",
        )
        .covered_by(STORAGE);
        static STORAGE_DEFAULT: Gauge<2> = gauge(
            "readiness_storageclass_default",
            Unit::Flag,
            &["cluster", "name"],
            "Whether a StorageClass is marked as the default, from its annotation in the Kubernetes API.",
        )
        .covered_by(STORAGE);
        static STORAGE_DEFAULTS: Gauge<1> = gauge(
            "readiness_storageclass_defaults",
            Unit::Number,
            &["cluster"],
            "How many StorageClasses are marked as the default; with several the newest wins, from the Kubernetes API.",
        )
        .covered_by(STORAGE);
    }

    /// Families about classes of Ingresses.
    pub(in crate::collectors::kubernetes) INGRESS_FAMILIES {
        static INGRESS_INFO: Gauge<3> = gauge(
            "readiness_ingressclass_info",
            Unit::Mark,
            &["cluster", "name", "controller"],
            "IngressClasses with their controller, from the Kubernetes API.",
        )
        .covered_by(INGRESS);
        static INGRESS_DEFAULT: Gauge<2> = gauge(
            "readiness_ingressclass_default",
            Unit::Flag,
            &["cluster", "name"],
            "Whether an IngressClass is marked as the default, from its annotation in the Kubernetes API.",
        )
        .covered_by(INGRESS);
    }
}

kind!(
    StorageClass, "storage.k8s.io", "v1", "storageclasses", "crate::collectors::kubernetes::reading::objects::described",
    provisioner: String, volume_binding_mode: String, allow_volume_expansion: bool
);
kind!(IngressClass, "networking.k8s.io", "v1", "ingressclasses", "crate::collectors::kubernetes::reading::objects::described", spec: IngressSpec);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct IngressSpec {
    #[serde(default, deserialize_with = "or_default")]
    controller: String,
}

/// Annotations that mark a default; the second is from before 1.6 and still honoured.
const DEFAULT_STORAGE: [&str; 2] = ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const DEFAULT_INGRESS: [&str; 1] = ["ingressclass.kubernetes.io/is-default-class"];

fn marked(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta, annotations: &[&str]) -> bool {
    meta.annotations.as_ref().is_some_and(|own| annotations.iter().any(|name| own.get(*name).is_some_and(|value| value == "true")))
}

/// What is kept of a StorageClass.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Storage {
    provisioner: String,
    binding_mode: String,
    expands: bool,
    default: bool,
}

impl Kind for StorageClass {
    type Row = Storage;
    const KIND: &'static str = "StorageClass";
    const FAMILIES: &'static [&'static [&'static Family]] = &[STORAGE_FAMILIES];

    fn row(self) -> Storage {
        let default = marked(&self.metadata, &DEFAULT_STORAGE);
        Storage { provisioner: self.provisioner, binding_mode: self.volume_binding_mode, expands: self.allow_volume_expansion, default }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, class) in rows.iter() {
            let labels = || [Arc::clone(&place.cluster), Arc::clone(&key.name)];
            samples.push(STORAGE_INFO.sample([&*place.cluster, &*key.name, &class.provisioner, &class.binding_mode], 1.0));
            samples.push(STORAGE_EXPANDS.sample(labels(), flag(class.expands)));
            samples.push(STORAGE_DEFAULT.sample(labels(), flag(class.default)));
        }
        let defaults = rows.iter().filter(|(_, class)| class.default).map(|(key, _)| &*key.name).collect::<Vec<_>>();
        let words = if defaults.is_empty() { "no default".into() } else { Message::of_names(defaults.iter().copied()) };
        samples.push(STORAGE_DEFAULTS.sample([&*place.cluster], defaults.len() as f64).with_detail(words));
    }
}

impl Kind for IngressClass {
    type Row = (String, bool);
    const KIND: &'static str = "IngressClass";
    const FAMILIES: &'static [&'static [&'static Family]] = &[INGRESS_FAMILIES];

    fn row(self) -> Self::Row {
        let default = marked(&self.metadata, &DEFAULT_INGRESS);
        (self.spec.controller, default)
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        for (key, (controller, default)) in rows.iter() {
            samples.push(INGRESS_INFO.sample([&*place.cluster, &*key.name, controller], 1.0));
            samples.push(INGRESS_DEFAULT.sample([&*place.cluster, &*key.name], flag(*default)));
        }
    }
}
