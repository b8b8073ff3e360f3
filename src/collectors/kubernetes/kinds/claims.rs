//! Claims of volumes that workspaces have, and what quotas leave of them.

use crate::collectors::kubernetes::kinds::pod::OwnClaim;
use crate::collectors::kubernetes::reading::resources::times;

/// Claims of volumes that workspaces have, each for itself.
#[derive(Debug, Clone, Default)]
pub(in crate::collectors::kubernetes) struct Claims {
    /// By name, per workspace, at least and at most: of one that runs alone nobody knows which of its claims others mount
    /// as well.
    pub(in crate::collectors::kubernetes) named: [f64; 2],
    /// Those that go with their pod, and how many of each a workspace has.
    pub(in crate::collectors::kubernetes) passing: Vec<(OwnClaim, f64)>,
    /// How many are mounted by name. Others of the namespace may be of workspaces that do not run now.
    pub(in crate::collectors::kubernetes) mounted: f64,
    /// Whether any workspace is there to show them.
    pub(in crate::collectors::kubernetes) is_known: bool,
}

/// What a quota says of claims: of all, or of those of one class.
#[derive(Debug, Clone, Copy)]
pub(in crate::collectors::kubernetes) struct Bound<'a> {
    pub(in crate::collectors::kubernetes) class: Option<&'a str>,
    pub(in crate::collectors::kubernetes) hard: f64,
    pub(in crate::collectors::kubernetes) used: Option<f64>,
    /// What one claim by name takes of it, where that is known: 1 of a number of claims, and of their bytes what those that
    /// are there have on average.
    pub(in crate::collectors::kubernetes) each: Option<f64>,
    /// Whether it counts bytes.
    pub(in crate::collectors::kubernetes) of_bytes: bool,
}

impl Claims {
    /// How many more workspaces a quota allows, at least and at most. A claim that no workspace mounts may be of one that
    /// does not run now, and is there when that starts again, or of something else. Of claims by name nobody says of which
    /// class they are; but where a class has none, they are of others.
    pub(in crate::collectors::kubernetes) fn allowed_by(&self, bound: Bound<'_>) -> [f64; 2] {
        if !self.is_known {
            return [0.0, f64::INFINITY];
        }
        let left = bound.hard - bound.used.unwrap_or(bound.hard);
        let is_of_others = bound.class.is_some() && bound.used == Some(0.0) && self.mounted > 0.0;
        let named = if is_of_others { [0.0; 2] } else { self.named };
        let [sure_passing, most_passing] = [false, true].map(|maybe| self.passing_in(bound, maybe));
        let sure_named = if bound.class.is_none() { named[0] } else { 0.0 };
        let (Some(each), false) = (bound.each, named[1] <= 0.0) else {
            let least = if named[1] > 0.0 { 0.0 } else { times(left, most_passing) };
            return [least, times(left, sure_passing)];
        };
        let unmounted = if self.mounted > 0.0 { bound.hard - self.mounted * each } else { left };
        [times(left, most_passing + named[1] * each), times(unmounted.max(left), sure_passing + sure_named * each)]
    }

    /// What those that go with their pod take of it per workspace, with those of which the class is not told or without.
    fn passing_in(&self, bound: Bound<'_>, maybe: bool) -> f64 {
        let counts = |claim: &OwnClaim| match (bound.class, &claim.class) {
            (None, _) => true,
            (Some(wanted), Some(own)) => wanted == own,
            (Some(_), None) => maybe,
        };
        let own = self.passing.iter().filter(|(claim, _)| counts(claim));
        own.map(|(claim, each)| if bound.of_bytes { claim.bytes as f64 * each } else { *each }).sum()
    }
}
