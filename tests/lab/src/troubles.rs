//! What the exporter says of each way in which a collector's server, or a file, goes wrong.

use crate::wire::Wire;

/// One kind of trouble with what each collector says of it.
#[derive(Debug)]
pub struct Trouble {
    /// What goes wrong.
    pub wire: Wire,
    /// For people.
    pub name: &'static str,
    /// What is said.
    pub said: Said,
}

/// What each collector says; one of two, with `or` between them, where it depends on who is faster.
#[derive(Debug, Clone, Copy)]
pub struct Said {
    /// Class of the error.
    pub kubernetes: &'static str,
    /// State of a node's summary.
    pub kubelets: &'static str,
    /// State of an image.
    pub registry: &'static str,
    /// Whether a token is valid.
    pub credentials: &'static str,
    /// Class of the error, or state of the secret.
    pub secrets_manager: &'static str,
    /// Outcome of the probe.
    pub http: &'static str,
}

/// A collector whose server goes wrong.
#[derive(Debug)]
pub struct Told {
    /// Its name.
    pub collector: &'static str,
    /// What of its facts tells how it sees its server.
    pub what: &'static str,
    /// What it says.
    pub said: fn(&Said) -> &'static str,
}

/// The collectors whose server goes wrong, and what of their facts is told.
pub const COLLECTORS: [Told; 6] = [
    Told { collector: "kubernetes", what: "class of the error", said: |said| said.kubernetes },
    Told { collector: "kubernetes: kubelets", what: "state of a node's summary", said: |said| said.kubelets },
    Told { collector: "registry", what: "state of an image", said: |said| said.registry },
    Told { collector: "credentials", what: "whether a token is valid", said: |said| said.credentials },
    Told { collector: "secrets_manager", what: "class of the error, or state of the secret", said: |said| said.secrets_manager },
    Told { collector: "http", what: "outcome of the probe", said: |said| said.http },
];

/// Nothing was learnt, and it is no answer.
const NOTHING: Said =
    Said { kubernetes: "malformed", kubelets: "unseen", registry: "unknown", credentials: "unknown", secrets_manager: "malformed", http: "body" };

/// Nothing was learnt, and all that tell a class of error tell this one.
const fn all(class: &'static str, http: &'static str) -> Said {
    Said { kubernetes: class, secrets_manager: class, http, ..NOTHING }
}

/// Whoever asks may not. Without a word of AWS nobody there has said so.
const REFUSED: Said = Said { secrets_manager: "unreachable", ..all("denied", "status") };

const fn trouble(wire: Wire, name: &'static str, said: Said) -> Trouble {
    Trouble { wire, name, said }
}

/// Every kind of trouble.
pub const TROUBLES: [Trouble; 20] = [
    trouble(Wire::Refused, "connections refused", all("unreachable", "refused")),
    trouble(Wire::Hang, "no answer", all("timeout", "timeout")),
    trouble(Wire::Reset, "connections cut", all("unreachable", "reset")),
    trouble(Wire::Unauthorized, "401", REFUSED),
    trouble(Wire::Forbidden, "403", REFUSED),
    trouble(Wire::NotFound, "404", Said { kubernetes: "not_found", http: "status", ..NOTHING }),
    trouble(Wire::Throttled, "429, wait a year", all("throttled", "status")),
    trouble(Wire::Error, "500", all("server", "status")),
    trouble(Wire::Truncated, "half an answer", all("unreachable", "reset")),
    trouble(Wire::Garbage, "noise", NOTHING),
    // Whether the bound or the deadline is reached first is a matter of the machine.
    trouble(Wire::Huge, "a gibibyte", Said { kubernetes: "malformed or timeout", secrets_manager: "malformed or timeout", http: "too_large", ..NOTHING }),
    trouble(Wire::Drip, "a byte each second", all("timeout", "timeout")),
    trouble(Wire::Interim, "103 for ever", all("unreachable", "protocol")),
    trouble(Wire::Redirect, "302 to another origin", Said { http: "redirect", ..NOTHING }),
    trouble(Wire::Downgrade, "302 to one without TLS", Said { http: "redirect", ..NOTHING }),
    trouble(Wire::Says("application/json", "{}"), "200, an empty object", NOTHING),
    trouble(Wire::Says("application/json", "[]"), "200, an empty list", NOTHING),
    trouble(Wire::Says("application/json", "null"), "200, null", NOTHING),
    trouble(Wire::Says("text/html", "<!doctype html><title>Sign in</title>"), "200, a page for people", NOTHING),
    trouble(
        Wire::Bomb,
        "three gibibytes in three megabytes",
        Said { kubernetes: "malformed or timeout", secrets_manager: "malformed or timeout", http: "too_large", ..NOTHING },
    ),
];

/// A file that a look reads, or a program that it runs, and whose source is not seen when it blocks.
#[derive(Debug)]
pub struct Place {
    /// What it is.
    pub name: &'static str,
    /// The collector of the source.
    pub collector: &'static str,
}

const fn place(name: &'static str, collector: &'static str) -> Place {
    Place { name, collector }
}

/// Every file that is read while the exporter runs.
pub const FILES: [Place; 13] = [
    place("credential", "credentials"),
    place("password of a keystore", "credentials"),
    place("secret of a header", "http"),
    place("kubeconfig", "kubernetes"),
    place("token", "kubernetes"),
    place("ca_file of a cluster", "kubernetes"),
    place("certificate-authority of a kubeconfig", "kubernetes"),
    place("docker_config", "registry"),
    place("AWS_CONFIG_FILE", "secrets_manager"),
    place("AWS_SHARED_CREDENTIALS_FILE", "secrets_manager"),
    place("AWS_WEB_IDENTITY_TOKEN_FILE", "secrets_manager"),
    place("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "secrets_manager"),
    place("attestations", "attestations"),
];

/// How a file goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    /// A named pipe into which nobody writes, as a dead mount behaves.
    Pipe,
    /// Zeros without an end.
    Endless,
}

/// What each collector says when its server goes wrong, as Markdown. A test breaks each server in each
/// way and waits for exactly this.
pub(crate) fn table() -> String {
    let mut out = String::from(
        "\n## Every collector, every way to go wrong\n\nThe server of each collector is broken in each of these ways by `cargo test --test it matrix`: the exporter says\nwhat stands here within its deadline, is not go, sees everything else as before, takes no more\nmemory for it, carries no credential to where a redirect leads and takes no answer from there, and is go again once the server is fixed.\n\n| |",
    );
    out.extend(COLLECTORS.iter().map(|Told { collector, what, .. }| format!(" {collector}<br>{what} |")));
    out.push_str(&format!("\n|---|{}\n", "---|".repeat(COLLECTORS.len())));
    for trouble in TROUBLES {
        let cells = COLLECTORS.iter().map(|told| format!("`{}`", (told.said)(&trouble.said).replace(" or ", "` or `")));
        out.push_str(&format!("| {} | {} |\n", trouble.name, cells.collect::<Vec<_>>().join(" | ")));
    }
    out.push_str("\n## Files that block and files that do not end\n\nEach of these is replaced by a pipe into which nobody writes, and by `/dev/zero`, by `cargo test --test it files`, and so is a\nplugin of a kubeconfig by one that hangs and one that prints for ever: the source is not seen within its deadline, all\nothers are, probes are answered at once, no memory is taken, and the process ends when it is asked to. What is read at\nthe start only, such as checklists and the configuration itself, ends `config check` with an error.\n\n| File | Not seen |\n|---|---|\n");
    out.extend(FILES.iter().map(|Place { name, collector }| format!("| {name} | {collector} |\n")));
    out.push_str("\nHandshakes and name servers have other ways: `cargo test --test it bad_input faults::domain_names`.\n");
    out
}
