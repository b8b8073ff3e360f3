//! Amounts of the resources that bound a cluster, and arithmetic on them.

use std::collections::BTreeMap;

use super::quantity::Quantity;

/// Names of the resources, as label values and in the order of [`Amounts`].
pub(super) const NAMES: [&str; 4] = ["cpu", "memory", "ephemeral_storage", "pods"];

/// As the API names them.
const API_NAMES: [&str; 4] = ["cpu", "memory", "ephemeral-storage", "pods"];

/// Cores, bytes, bytes and a count.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Amounts(pub(super) [f64; 4]);

/// A resource list of the API, of which some entries may be missing.
pub(super) type Listed = BTreeMap<String, Quantity>;

/// What a list says of each resource; `None` where it says nothing.
pub(super) fn amounts(listed: &Listed) -> [Option<f64>; 4] {
    API_NAMES.map(|name| listed.get(name).and_then(|quantity| quantity.0))
}

impl Amounts {
    /// What a list says, 0 where it says nothing: for requests, where nothing means none.
    pub(super) fn requested(listed: &Listed) -> Self {
        Self(amounts(listed).map(Option::unwrap_or_default))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.each(other, |own, more| own + more);
    }

    pub(super) fn max(&mut self, other: Self) {
        self.each(other, f64::max);
    }

    fn each(&mut self, other: Self, combine: impl Fn(f64, f64) -> f64) {
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = combine(*own, other);
        }
    }
}

/// The larger of each; what one does not know the other may.
pub(super) fn largest<const N: usize>(one: [Option<f64>; N], other: [Option<f64>; N]) -> [Option<f64>; N] {
    let mut both = one;
    for (own, other) in both.iter_mut().zip(other) {
        *own = [*own, other].into_iter().flatten().max_by(f64::total_cmp);
    }
    both
}
