//! What must stand in a configuration once: a pool that is listed twice has no room for twice as many.

use super::{Access, Config, ObjectRef};
use crate::value::Problem;
use crate::value::rules::{once, quoted, unique};

impl Config {
    /// Reports what is listed again where that is counted or named.
    pub(super) fn validate_once(&self, path: &str, problems: &mut Vec<Problem>) {
        once(&format!("{path}.images"), self.images.iter(), problems);
        for (index, selector) in self.workloads.iter().enumerate() {
            once(&format!("{path}.workloads[{index}].names"), selector.names.iter(), problems);
        }
        for (index, selector) in self.workspaces.iter().enumerate() {
            once(&format!("{path}.workspaces[{index}].namespaces"), selector.namespaces.iter(), problems);
        }
        if let Some(capacity) = &self.capacity {
            unique(&format!("{path}.capacity.nodepools"), capacity.nodepools.iter().map(|pool| pool.name.as_str()), problems);
        }
        if let Some(backups) = &self.backups {
            once(&format!("{path}.backups.volume_snapshots"), backups.volume_snapshots.iter(), problems);
        }
        let access = |one: &Access, other: &Access| {
            Access { groups: Vec::new(), clusters: Vec::new(), ..one.clone() } == Access { groups: Vec::new(), clusters: Vec::new(), ..other.clone() }
        };
        again(&format!("{path}.access"), &self.access, |part| &part.clusters, access, |part| format!("{} {}", part.verb, part.resource), problems);
        let object =
            |one: &ObjectRef, other: &ObjectRef| ObjectRef { clusters: Vec::new(), ..one.clone() } == ObjectRef { clusters: Vec::new(), ..other.clone() };
        again(&format!("{path}.objects"), &self.objects, |part| &part.clusters, object, |part| part.name.clone(), problems);
    }
}

/// Reports parts that ask the same of the same cluster as one before them.
pub(super) fn again<T>(
    path: &str,
    parts: &[T],
    clusters: impl Fn(&T) -> &[String],
    is_same: impl Fn(&T, &T) -> bool,
    shown: impl Fn(&T) -> String,
    problems: &mut Vec<Problem>,
) {
    let overlap = |a: &[String], b: &[String]| a.is_empty() || b.is_empty() || a.iter().any(|cluster| b.contains(cluster));
    for (index, part) in parts.iter().enumerate() {
        if let Some(first) = parts[..index].iter().position(|other| is_same(other, part) && overlap(clusters(other), clusters(part))) {
            let rule = format!("must not ask the same as {path}[{first}] in the same cluster again");
            problems.push(Problem::new(format!("{path}[{index}]"), rule, quoted(&shown(part))));
        }
    }
}
