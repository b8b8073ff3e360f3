//! What is exported about rotations.

use crate::metric::{Gauge, StateSet, Unit, gauge, metrics, state_set, states};

const LABELS: [&str; 2] = ["rotation", "subject"];

states! {
    /// Whether a rotation falls into an event.
    pub(super) enum InEvent {
        None => "none": "it does not run while the event does",
        Conflict => "conflict",
        Possible => "possible",
        Unknown => "unknown",
    }
}

states! {
    /// How the rotation that was due last went.
    pub(super) enum Ran {
        Idle => "idle",
        Running => "running",
        Slow => "slow",
        Failed => "failed",
        Missed => "missed",
        Unknown => "unknown",
    }
}

states! {
    /// Whether a rotation runs.
    pub(super) enum Suspension {
        Running => "running",
        SuspendedForEvent => "suspended_for_event",
        Forgotten => "forgotten",
    }
}

metrics! {
    /// Families about rotations.
    pub(super) FAMILIES;

    pub(super) static CONFLICT: StateSet<InEvent, 3> = state_set(
        "readiness_rotation_conflict_state",
        &["rotation", "subject", "event"],
        "Whether a rotation falls into an event, what it stirs up included; possible when its bounds do not exclude it. From schedules in the Kubernetes API or the configuration.",
    );
    pub(super) static NEXT: Gauge<3> = gauge(
        "readiness_rotation_next_timestamp_seconds",
        Unit::Timestamp,
        &["rotation", "subject", "bound"],
        "When something rotates next, at the earliest and at the latest, from its schedule or from its last rotation and its interval.",
    );
    pub(super) static LAST: Gauge<2> = gauge(
        "readiness_rotation_last_timestamp_seconds",
        Unit::Timestamp,
        &LABELS,
        "When something rotated last, from its CronJob, the change of its credential or AWS Secrets Manager, or as the state file remembers.",
    );
    pub(super) static RUN: StateSet<Ran, 2> = state_set(
        "readiness_rotation_run_state",
        &LABELS,
        "How the rotation that was due last went: over, under way, under way for too long, failed, or not begun in time. From its CronJob, its credential or AWS Secrets Manager.",
    );
    pub(super) static SUSPENSION: StateSet<Suspension, 2> = state_set(
        "readiness_rotation_suspension_state",
        &LABELS,
        "Whether a rotation runs, is suspended with an event at hand, or is suspended without one, which lets keys lapse. From spec.suspend or the replicas in the Kubernetes API.",
    );
}
