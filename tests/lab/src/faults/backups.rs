//! Faults of backups and snapshots.

use super::{Fault, Group, red};

pub(super) static GROUP: Group = Group {
    name: "backups",
    faults: &[
        red("backup-too-old", "the last backup is two and a half days old", &["BackupTooOld"]),
        Fault { name: "backup-never-made", what: "a schedule has made no backup yet", red: &["BackupTooOld"], unknown: &["BackupFailed"] },
        red("backup-failed", "the last backup failed in part", &["BackupFailed"]),
        red("backup-schedule-paused", "the schedule of the backups is paused", &["BackupScheduleOff"]),
        red("backup-location-gone", "the storage of the backups is not available", &["BackupLocationUnavailable"]),
        red("backup-snapshot-old", "the last snapshot of the database is two and a half days old", &["VolumeSnapshotTooOld"]),
        red("backup-volume-without-snapshot", "a volume of us-east-2 was never snapshotted", &["VolumeWithoutSnapshot"]),
    ],
};
