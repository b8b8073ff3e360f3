//! Namespaces: which there are. One that is being deleted takes nothing new.

use crate::collectors::kubernetes::reading::objects::{Kind, Place, Rows, kind};
use crate::metric::{Family, Sample};

kind!(Namespace, "", "v1", "namespaces", "crate::collectors::kubernetes::reading::objects::slim");

impl Kind for Namespace {
    type Row = ();
    const KIND: &'static str = "Namespace";
    const FAMILIES: &'static [&'static [&'static Family]] = &[];
    const LASTING: bool = false;

    fn row(self) {}

    /// That one is missing matters where something is to be started in it.
    fn facts(_: &Rows<Self>, _: &Place, _: &mut Vec<Sample>) {}
}

/// Whether there is a namespace that takes new objects.
pub(in crate::collectors::kubernetes) fn is_there(namespaces: &Rows<Namespace>, name: &str) -> bool {
    namespaces.iter().any(|(key, ())| &*key.name == name)
}
