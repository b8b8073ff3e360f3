//! Volumes that are claimed, and the snapshots of each: `VolumeSnapshot`s and `PersistentVolumeClaim`s.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::backups::{DAY, PhaseStatus, in_progress};
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::looked_at;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;

const SNAPSHOTS: Coverage = looked_at(&["PersistentVolumeClaim", "VolumeSnapshot"]);

metrics! {
    /// Families about volumes and their copies.
    pub(in crate::collectors::kubernetes) FAMILIES;

    /// Families about the copies that each volume has.
    pub(in crate::collectors::kubernetes) VOLUME_FAMILIES {
        static SNAPSHOT_COUNT: Gauge<3> = gauge(
            "readiness_volume_usable_snapshots",
            Unit::Number,
            &["cluster", "namespace", "claim"],
            "Snapshots of a volume that can be restored, from status.readyToUse in the snapshot.storage.k8s.io/v1 API, for each bound PersistentVolumeClaim of a namespace that is older than a day or has one.",
        )
        .covered_by(Coverage { quiet: false, ..SNAPSHOTS });
    }

    /// Families about copies of volumes.
    pub(in crate::collectors::kubernetes) SNAPSHOT_FAMILIES {
        static SNAPSHOT_TIME: Gauge<3> = gauge(
            "readiness_volume_snapshot_last_ready_timestamp_seconds",
            Unit::Timestamp,
            &["cluster", "namespace", "claim"],
            "When the newest usable snapshot of a volume that still exists was taken; NaN for the hours in which the next one of a daily row is being taken, from status.creationTime in the snapshot.storage.k8s.io/v1 API.",
        )
        .covered_by(SNAPSHOTS);
    }
}

kind!(VolumeSnapshot, "snapshot.storage.k8s.io", "v1", "volumesnapshots", "crate::collectors::kubernetes::reading::objects::slim", spec: SnapshotSpec, status: SnapshotStatus);
kind!(PersistentVolumeClaim, "", "v1", "persistentvolumeclaims", "crate::collectors::kubernetes::reading::objects::slim", spec: ClaimSpec, status: PhaseStatus);

#[derive(Debug, Clone, Default, Deserialize)]
pub(in crate::collectors::kubernetes) struct SnapshotSpec {
    #[serde(default, deserialize_with = "or_default")]
    source: SnapshotSource,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotSource {
    persistent_volume_claim_name: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct SnapshotStatus {
    ready_to_use: Option<bool>,
    creation_time: Option<Time>,
    error: Option<IgnoredAny>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct ClaimSpec {
    volume_name: Option<String>,
}

/// How far a snapshot is, on the cluster's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::collectors::kubernetes) enum Copied {
    /// It can be restored, and is of this moment.
    At(i64),
    /// It has been being taken since this moment.
    Begun(i64),
    /// It failed, or nothing is known of it.
    No,
}

impl Kind for VolumeSnapshot {
    type Row = (String, Copied);
    const KIND: &'static str = "VolumeSnapshot";
    const FAMILIES: &'static [&'static [&'static Family]] = &[SNAPSHOT_FAMILIES];

    fn row(self) -> Self::Row {
        let second = |time: Option<Time>| time.map(|time| time.0.as_second());
        // Not metadata.creationTimestamp: that is when the object was made, not the copy.
        let copied = match self.status.ready_to_use {
            _ if self.status.error.is_some() => None,
            Some(true) => second(self.status.creation_time).map(Copied::At),
            _ => second(self.status.creation_time.or(self.metadata.creation_timestamp)).map(Copied::Begun),
        };
        (self.spec.source.persistent_volume_claim_name.unwrap_or_default(), copied.unwrap_or(Copied::No))
    }

    /// Which volumes have none can be told only together with the claims.
    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// What stands behind a claim.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::collectors::kubernetes) enum Volume {
    /// Nothing yet, and nothing is written that could be lost.
    Awaited,
    /// A volume, since this moment.
    Bound(i64),
    /// A volume that does not exist any more.
    Lost,
}

impl Kind for PersistentVolumeClaim {
    type Row = Volume;
    const KIND: &'static str = "PersistentVolumeClaim";
    const FAMILIES: &'static [&'static [&'static Family]] = &[VOLUME_FAMILIES];

    fn row(self) -> Volume {
        if self.status.phase == "Lost" {
            return Volume::Lost;
        }
        let made = self.metadata.creation_timestamp.map_or(0, |time| time.0.as_second());
        if self.spec.volume_name.is_some_and(|volume| !volume.is_empty()) { Volume::Bound(made) } else { Volume::Awaited }
    }

    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// The snapshots of the volumes that a namespace has: those of a volume that is gone grow old and matter to nobody.
pub(in crate::collectors::kubernetes) fn snapshots(
    claims: &Rows<PersistentVolumeClaim>,
    snapshots: &Rows<VolumeSnapshot>,
    namespace: &str,
    place: &Place,
    samples: &mut Vec<Sample>,
) {
    let mut taken: BTreeMap<&str, Copies> = BTreeMap::new();
    let (mut is_told, mut is_young) = (false, false);
    for (key, volume) in claims.iter() {
        match volume {
            Volume::Bound(made) => drop(taken.insert(&key.name, Copies { made: *made, ..Copies::default() })),
            Volume::Lost => {
                is_told = true;
                let gone = say!("the volume of the claim is gone");
                samples.push(SNAPSHOT_COUNT.sample([&*place.cluster, namespace, &key.name], f64::NAN).with_detail(gone));
            }
            Volume::Awaited => {}
        }
    }
    for (_, (claim, copied)) in snapshots.iter() {
        if let Some(own) = taken.get_mut(claim.as_str()) {
            own.add(*copied);
        }
    }
    let now = now().saturating_add(place.clock.ahead());
    for (claim, copies) in taken {
        // Whoever takes them every day has not come to this one yet.
        if copies.count == 0 && copies.made > now.saturating_sub(DAY) {
            is_young = true;
            continue;
        }
        is_told = true;
        let labels = [&*place.cluster, namespace, claim];
        samples.push(SNAPSHOT_COUNT.sample(labels, f64::from(copies.count)));
        samples.extend(copies.newest.map(|newest| match in_progress(Some(newest), copies.begun, now) {
            Some(words) => SNAPSHOT_TIME.sample(labels, f64::NAN).with_detail(words),
            None => SNAPSHOT_TIME.sample(labels, newest.saturating_sub(place.clock.ahead()) as f64),
        }));
    }
    if !is_told {
        let nothing = if is_young { say!("no volume of the namespace is a day old") } else { say!("the namespace has no bound PersistentVolumeClaim") };
        samples.push(SNAPSHOT_COUNT.sample([&*place.cluster, namespace, ""], f64::NAN).with_detail(nothing));
    }
}

/// The snapshots of one volume, on the cluster's clock.
#[derive(Debug, Default)]
struct Copies {
    /// When its claim was made.
    made: i64,
    /// Those that can be restored.
    count: u32,
    newest: Option<i64>,
    /// Since when the one that is being taken has been.
    begun: Option<i64>,
}

impl Copies {
    /// One that is older than the claim is of another volume, whose claim had the same name.
    fn add(&mut self, copied: Copied) {
        match copied {
            Copied::At(at) if at >= self.made => {
                self.count += 1;
                self.newest = self.newest.max(Some(at));
            }
            Copied::Begun(at) => self.begun = self.begun.max(Some(at)),
            Copied::At(_) | Copied::No => {}
        }
    }
}
