//! Files of credentials that faults change: whoever may read them, and what they say.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::estate::Estate;

/// The token of GitLab.
pub(crate) const GITLAB: &str = "gitlab.token";
/// A licence that tells its end, which the example's configuration repeats: 2100-01-01.
pub(crate) const LICENCE: (&str, &str) = ("licence.json", "{\"license\":{\"expires\":4102444800000}}");
/// The same a year later.
const RENEWED: &str = "{\"license\":{\"expires\":4133980800000}}";

/// Writes a file that nobody else may read, at once and as a whole.
pub(crate) fn write(folder: &Path, name: &str, content: &str) -> anyhow::Result<()> {
    let (file, draft) = (folder.join(name), folder.join(format!("{name}.draft")));
    std::fs::write(&draft, content)?;
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))?;
    Ok(std::fs::rename(draft, file)?)
}

/// Changes the files in a folder with the faults.
pub(crate) fn start(folder: PathBuf, estate: &Arc<Estate>) -> JoinHandle<()> {
    let estate = Arc::clone(estate);
    tokio::spawn(async move {
        let mut changes = estate.changes();
        let mut before = [false; 2];
        loop {
            let now = ["credential-file-exposed", "credential-licence-renewed"].map(|fault| estate.has(fault));
            if now[0] != before[0] {
                let mode = if now[0] { 0o604 } else { 0o600 };
                let _ = std::fs::set_permissions(folder.join(GITLAB), std::fs::Permissions::from_mode(mode));
            }
            if now[1] != before[1] {
                let _ = write(&folder, LICENCE.0, if now[1] { RENEWED } else { LICENCE.1 });
            }
            before = now;
            if changes.changed().await.is_err() {
                return;
            }
        }
    })
}
