//! Where runbooks and the page are published: rules, boards and tables lead there.

use crate::runbooks::runbook;
use crate::value::ExternalUrl;

/// Where the runbooks are published unless told otherwise.
pub const RUNBOOK_URL: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/runbooks");

/// Where links of generated files lead.
#[derive(Debug, Clone)]
pub struct Published {
    runbooks: String,
    /// Whether checks of somebody's own have their runbooks there as well.
    has_own: bool,
    /// The exporter that judges, if its address is known.
    home: Option<ExternalUrl>,
}

impl Published {
    /// Runbooks at an address, and else at the exporter, which has those that are shipped, or where this program is published.
    pub fn new(runbooks: Option<&str>, home: Option<&ExternalUrl>) -> Self {
        let served = home.map(|home| home.page("runbooks"));
        let has_own = runbooks.is_some_and(|url| url != RUNBOOK_URL);
        let runbooks = runbooks.map(str::to_owned).or(served).unwrap_or_else(|| RUNBOOK_URL.to_owned());
        Self { runbooks: runbooks.trim_end_matches('/').to_owned(), has_own, home: home.cloned() }
    }

    /// What the name of a runbook is put behind.
    pub(super) fn folder(&self) -> &str {
        &self.runbooks
    }

    /// Where a runbook is, if it is there.
    pub(super) fn runbook(&self, name: &str) -> Option<String> {
        (self.has_own || runbook(name).is_some()).then(|| format!("{}/{name}.md", self.runbooks))
    }

    /// Where the page tells more of an alert about a check, or of one about the exporter.
    pub(super) fn page(&self, check: Option<&str>) -> Option<String> {
        let anchor = check.map_or_else(String::new, |check| format!("#{check}"));
        self.home.as_ref().map(|home| home.page(&anchor))
    }
}
