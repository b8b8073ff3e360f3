//! Where Velero keeps backups.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;

use crate::collectors::kubernetes::kinds::backups::phase_facts;
use crate::collectors::kubernetes::reading::clock::now;
use crate::collectors::kubernetes::reading::go;
use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind, or_default};
use crate::collectors::kubernetes::watching::visibility::seen;
use crate::metric::{Coverage, Family, Gauge, Sample, Unit, gauge, metrics};
use crate::say;
use crate::value::Span;

const LOCATIONS: Coverage = seen(&["BackupStorageLocation"]);

metrics! {
    /// Families about where Velero keeps backups.
    pub(in crate::collectors::kubernetes) FAMILIES;

    static LOCATION: Gauge<2> = gauge(
        "readiness_velero_location_available",
        Unit::Flag,
        &["cluster", "name"],
        "Whether a Velero backup storage location is Available, from the velero.io/v1 API; NaN where Velero has not looked for an hour, or for ten times its validationFrequency.",
    )
    .covered_by(LOCATIONS);
}

kind!(BackupStorageLocation, "velero.io", "v1", "backupstoragelocations", "crate::collectors::kubernetes::reading::objects::slim", spec: LocationSpec, status: LocationStatus);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct LocationSpec {
    validation_frequency: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct LocationStatus {
    #[serde(default, deserialize_with = "or_default")]
    phase: String,
    last_validation_time: Option<Time>,
}

/// What is kept of a place where backups lie.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::collectors::kubernetes) struct Location {
    phase: String,
    /// When somebody last looked whether it is there, on the cluster's clock.
    validated: Option<i64>,
    /// Seconds after which that is too long ago; `None` where nobody looks again.
    lasts: Option<i64>,
}

impl Location {
    /// For how long nobody has looked, where that is longer than it should be.
    fn neglected(&self, now: i64) -> Option<Span> {
        let age = now.saturating_sub(self.validated?);
        (age > self.lasts?).then(|| Span::secs(u64::try_from(age).unwrap_or_default()))
    }
}

/// How often Velero looks at a location that says nothing of that, in seconds.
/// Source: <https://velero.io/docs/main/api-types/backupstoragelocation/> (`validationFrequency`)
const VALIDATED_EVERY: i64 = 60;
/// Seconds in which nobody wonders that it has not: an operator of it may be replaced meanwhile.
const VALIDATION_LASTS: i64 = 60 * 60;

impl Kind for BackupStorageLocation {
    type Row = Location;
    const KIND: &'static str = "BackupStorageLocation";
    const FAMILIES: &'static [&'static [&'static Family]] = &[FAMILIES];
    const WINDOWED: bool = true;

    fn row(self) -> Location {
        let every = self.spec.validation_frequency.as_deref().map_or(Some(VALIDATED_EVERY), go::seconds);
        Location {
            phase: self.status.phase,
            validated: self.status.last_validation_time.map(|time| time.0.as_second()),
            lasts: every.filter(|every| *every > 0).map(|every| every.saturating_mul(10).max(VALIDATION_LASTS)),
        }
    }

    fn facts(rows: &Rows<Self>, place: &Place, samples: &mut Vec<Sample>) {
        let now = now().saturating_add(place.clock.ahead());
        for (key, location) in rows.iter() {
            match location.neglected(now).filter(|_| location.phase == "Available") {
                Some(age) => {
                    let words = say!("nobody has looked whether it is there for {}", age);
                    samples.push(LOCATION.sample([&place.cluster, &key.name].map(Arc::clone), f64::NAN).with_detail(words));
                }
                None => phase_facts([(key, &location.phase)].into_iter(), "Available", &LOCATION, place, samples),
            }
        }
    }
}
