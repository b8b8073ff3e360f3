//! What this program must be allowed to do in a cluster.

/// Something that the exporter's identity must be allowed to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// API group; empty for the core group.
    pub group: String,
    /// Plural name, with a subresource after a slash.
    pub resource: String,
    /// What is done.
    pub verbs: &'static [&'static str],
    /// Only these objects; all when empty.
    pub names: Vec<String>,
    /// Only in this namespace; everywhere when left out.
    pub namespace: Option<String>,
}

impl Permission {
    /// To read one Secret, and no other.
    pub(in crate::collectors) fn to_get_secret(namespace: &str, name: &str) -> Self {
        Self { group: String::new(), resource: "secrets".to_owned(), verbs: &["get"], names: vec![name.to_owned()], namespace: Some(namespace.to_owned()) }
    }
}
