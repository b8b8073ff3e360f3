//! What a collector is made of, beside its metrics and its looks: one record, of which no part can be left out.

use crate::driver::Task;
use crate::metric::Family;
use crate::say::Message;
use crate::value::Problem;
use crate::value::names::Visit;
use crate::value::rules::References;

use super::Estate;
use super::kubernetes::{ClusterConfig, Permission};

/// The section of a collector in the configuration, and all that follows from it. Nothing has a default, so
/// that a part that nobody thought of does not compile.
pub(super) trait Section {
    /// The `collector` label, and the key of the section.
    const NAME: &'static str;
    /// Its metrics, by subject; nobody else fills them.
    const FAMILIES: &'static [&'static [&'static Family]];

    /// Reports every rule that the section breaks.
    fn rules(&self, path: &str, references: &References<'_>, problems: &mut Vec<Problem>);

    /// Names what other sections may refer to.
    fn offers<'a>(&'a self, references: &mut References<'a>);

    /// Visits the files and variables that it names.
    fn names(&mut self, path: &str, visit: &mut Visit<'_>);

    /// What it asks of a cluster.
    fn permissions(&self, cluster: &ClusterConfig) -> Vec<Permission>;

    /// Who looks. Fails when a file that the configuration names cannot be used.
    fn tasks(&self, estate: &Estate<'_>) -> Result<Vec<Task>, Message>;
}
