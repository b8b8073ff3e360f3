//! A program that prints a login for a cluster, such as `aws eks get-token` or `kubelogin`.
//!
//! It runs within a deadline and is killed with its process group; what it prints is bounded, and
//! read for its login alone. Neither its output nor its arguments or environment are ever repeated:
//! people put passwords into all of them.
//! Source: <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use jiff::Timestamp;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;
use crate::value::Secret;
use crate::word::Word;

/// Larger than any login.
const LARGEST: u64 = 1 << 20;

/// How a login is printed.
pub(in crate::collectors::kubernetes) struct Plugin {
    program: PathBuf,
    exec: ExecConfig,
    /// What `KUBERNETES_EXEC_INFO` tells it.
    info: String,
}

/// What a plugin printed.
pub(in crate::collectors::kubernetes) struct Printed {
    pub(in crate::collectors::kubernetes) token: Option<Secret>,
    /// A client certificate with its key, both PEM.
    pub(in crate::collectors::kubernetes) certificate: Option<(Secret, Secret)>,
    pub(in crate::collectors::kubernetes) until: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExecCredential {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    /// A path with folders is taken from the folder of the kubeconfig, as kubectl does.
    pub(in crate::collectors::kubernetes) fn new(exec: ExecConfig, cluster: &Cluster, folder: &Path) -> Result<Self, Message> {
        let command = exec.command.as_deref().filter(|command| !command.is_empty()).ok_or_else(|| say!("its exec has no command"))?;
        if exec.interactive_mode == Some(ExecInteractiveMode::Always) {
            return Err(say!("the plugin {} wants a terminal", program_name(Path::new(command))));
        }
        let program = if command.contains('/') { folder.join(command) } else { PathBuf::from(command) };
        let cluster = if exec.provide_cluster_info {
            Some(ExecAuthCluster::try_from(cluster).map_err(|_| say!("the cluster cannot be described to the plugin {}", program_name(&program)))?)
        } else {
            None
        };
        let info = serde_json::json!({
            "kind": "ExecCredential",
            "apiVersion": exec.api_version,
            "spec": { "interactive": false, "cluster": cluster },
        });
        Ok(Self { program, exec, info: info.to_string() })
    }

    /// Runs it once.
    pub(in crate::collectors::kubernetes) async fn run(&self, deadline: Duration) -> Result<Printed, Message> {
        let name = program_name(&self.program);
        match tokio::time::timeout(deadline, self.output(&name)).await {
            Ok(output) => read(&output?).map_err(|why| say!("the plugin {}: {}", name, why)),
            Err(_) => Err(say!("the plugin {} did not end within {}", name, crate::value::Span(deadline))),
        }
    }

    async fn output(&self, name: &Message) -> Result<Zeroizing<Vec<u8>>, Message> {
        let mut command = Command::new(&self.program);
        command.args(self.exec.args.iter().flatten()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for entry in self.exec.env.iter().flatten() {
            if let (Some(name), Some(value)) = (entry.get("name"), entry.get("value")) {
                command.env(name, value);
            }
        }
        // A group of its own, so that what it started ends with it.
        command.env("KUBERNETES_EXEC_INFO", &self.info).process_group(0).kill_on_drop(true);
        let child = command.spawn().map_err(|error| say!("start the plugin {}: {}", name, error.words()))?;
        let mut group = Group(child);
        let failed = |error: std::io::Error| say!("read from the plugin {}: {}", name, error.words());
        let mut output = Zeroizing::new(Vec::new());
        if let Some(stdout) = group.0.stdout.take() {
            stdout.take(LARGEST + 1).read_to_end(&mut output).await.map_err(failed)?;
        }
        if output.len() as u64 > LARGEST {
            return Err(say!("the plugin {} prints more than {}", name, Message::of_size(LARGEST)));
        }
        let status = group.0.wait().await.map_err(failed)?;
        match status.code() {
            Some(0) => Ok(output),
            Some(code) => Err(say!("the plugin {} ended with exit status {}", name, code)),
            None => Err(say!("the plugin {} was ended by a signal", name)),
        }
    }
}

/// A plugin with all that it started, which end when this is dropped.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Without an id it has ended and was waited for.
        if let Some(group) = self.0.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The last part of its path: folders and arguments are nobody's business, and arguments may have been
/// written where only the program belongs.
fn program_name(program: &Path) -> Message {
    let name = program.file_name().and_then(|name| Word::file(name.to_str()?));
    name.map_or_else(|| "(whose command is no file name)".into(), |name| say!("{}", name))
}

fn read(output: &[u8]) -> Result<Printed, Message> {
    let text = std::str::from_utf8(output).map_err(|_| say!("it prints no text"))?;
    let options = serde_saphyr::options! { with_snippet: false };
    let printed: ExecCredential =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| say!("what it prints is no ExecCredential: {}", error.words()))?;
    let status = printed.status.ok_or_else(|| say!("it prints an ExecCredential without status"))?;
    let until = match status.expiration_timestamp {
        Some(text) => Some(text.parse().map_err(|_| say!("its expirationTimestamp is no moment"))?),
        None => None,
    };
    let token = status.token.filter(|token| !token.is_empty()).map(Secret::new);
    let certificate = status.client_certificate_data.map(Secret::new).zip(status.client_key_data.map(Secret::new));
    if token.is_none() && certificate.is_none() {
        return Err(say!("it prints neither a token nor a client certificate with its key"));
    }
    Ok(Printed { token, certificate, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(script: &str) -> Plugin {
        let exec = serde_json::json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script, "s3cr3t-argument"],
            "env": [{ "name": "PASSWORD", "value": "s3cr3t-variable" }],
        });
        Plugin::new(serde_json::from_value(exec).unwrap(), &Cluster::default(), Path::new("/")).unwrap()
    }

    async fn run(script: &str) -> Result<Printed, String> {
        plugin(script).run(Duration::from_secs(5)).await.map_err(|why| why.to_string())
    }

    #[tokio::test]
    async fn what_it_prints_is_taken() {
        let script = r#"test "$PASSWORD" = s3cr3t-variable && case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) echo '{"status":{"token":"abc","expirationTimestamp":"2030-01-01T00:00:00Z"}}';; esac"#;
        let printed = run(script).await.unwrap();
        assert_eq!(printed.token.unwrap().expose(), "abc");
        assert_eq!(printed.until, "2030-01-01T00:00:00Z".parse().ok());
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_without_its_words() {
        for (script, expected) in [
            ("echo s3cr3t; echo s3cr3t >&2; exit 3", "the plugin sh ended with exit status 3"),
            ("kill -9 $$", "the plugin sh was ended by a signal"),
            ("echo s3cr3t", "the plugin sh: what it prints is no ExecCredential: a value is of another kind than expected (line 1, column 1)"),
            (
                "echo '{\"status\":{\"token\":{\"s3cr3t\":1}}}'",
                "the plugin sh: what it prints is no ExecCredential: a value is of another kind than expected (line 1, column 20)",
            ),
            ("echo '{\"token\":\"s3cr3t\"}'", "the plugin sh: it prints an ExecCredential without status"),
            ("echo '{\"status\":{\"token\":\"s3cr3t\",\"expirationTimestamp\":\"s3cr3t\"}}'", "the plugin sh: its expirationTimestamp is no moment"),
            ("echo '{\"status\":{}}'", "the plugin sh: it prints neither a token nor a client certificate with its key"),
            ("head -c 2000000 /dev/zero", "the plugin sh prints more than 1 MiB"),
        ] {
            assert_eq!(run(script).await.map(|_| ()).unwrap_err(), expected, "{script}");
        }
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let why = plugin(&script).run(Duration::from_millis(300)).await.map(|_| ()).unwrap_err();
        assert_eq!(why.as_str(), "the plugin sh did not end within 300ms");
        let pid = std::fs::read_to_string(&file).unwrap();
        let status = format!("/proc/{}/status", pid.trim());
        // A zombie that nobody waits for counts as ended.
        let runs = || std::fs::read_to_string(&status).is_ok_and(|text| !text.contains("State:\tZ"));
        for _ in 0..500 {
            if !runs() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("what the plugin started still runs");
    }
}
