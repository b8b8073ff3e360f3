//! What keys are kept in, renewed by and made from.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{Timestamp, ToSpan as _};
use serde_json::{Value, json};

use super::{CERTIFICATES, NAME, Objects, Server, metadata};
use crate::estate::Estate;
use crate::registry::{USER, docker_config};

impl Server {
    /// The pull secret of the control plane.
    pub(super) fn pull_secret(&self, all: &mut Objects) {
        if self.region != "us-east-2" || self.estate.has("pull-secret-gone") {
            return;
        }
        let [user, password] = USER;
        let text = if self.estate.has("pull-secret-expires-soon") {
            let expiration = self.since("pull-secret-expires-soon").as_second() + 1800;
            let token = STANDARD.encode(json!({ "payload": "lab", "version": "2", "type": "DATA_KEY", "expiration": expiration }).to_string());
            docker_config(&self.estate.host(), "AWS", &token)
        } else {
            let password = if self.estate.has("pull-secret-wrong-password") { "wrong" } else { password };
            docker_config(&self.estate.host(), user, password)
        };
        let text = if self.estate.has("pull-secret-encoded-twice") { STANDARD.encode(text) } else { text };
        all.add(
            "v1/secrets",
            json!({ "kind": "Secret", "apiVersion": "v1", "metadata": { "namespace": "coder", "name": "pull", "uid": "pull" }, "type": "kubernetes.io/dockerconfigjson",
                "data": { ".dockerconfigjson": STANDARD.encode(text) } }),
        );
    }

    /// Secrets with credentials.
    pub(super) fn credentials(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let rotated = self.estate.has("credential-changed-under-provisioners");
        let mut secret = |namespace: &str, name: &str, data: Value| {
            let mut encoded: BTreeMap<String, String> =
                data.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), STANDARD.encode(value.as_str().unwrap_or_default()))).collect();
            let renewed = self.estate.renewed();
            let changed = match name {
                "llm-key-copy" if rotated => self.since("credential-changed-under-provisioners"),
                "llm-key" if self.estate.has("rotation-changes-another-key") => renewed.checked_sub(48.hours()).unwrap_or_default(),
                "llm-key" => renewed,
                _ => self.estate.rolled_out(),
            };
            let writer = |manager: &str, at: Timestamp, keys: Vec<&String>| {
                let keys: serde_json::Map<String, Value> = keys.into_iter().map(|key| (format!("f:{key}"), json!({}))).collect();
                json!({ "manager": manager, "operation": "Update", "apiVersion": "v1", "time": at.to_string(), "fieldsType": "FieldsV1", "fieldsV1": { "f:data": keys } })
            };
            // Beside the keys of models somebody notes something now and then, which changes none of them.
            let (note, noted) = ("note".to_owned(), renewed.max(self.estate.started().checked_sub(1.minute()).unwrap_or_default()));
            let mut owners = vec![writer("rotate-key", changed, encoded.keys().collect())];
            if name.starts_with("llm-key") {
                encoded.insert(note.clone(), STANDARD.encode(noted.to_string()));
                owners.push(writer("notes", noted, vec![&note]));
            }
            all.add(
                "v1/secrets",
                json!({ "kind": "Secret", "apiVersion": "v1", "type": "Opaque", "data": encoded,
                "metadata": { "namespace": namespace, "name": name, "uid": name, "creationTimestamp": "2024-01-01T00:00:00Z", "managedFields": owners } }),
            );
        };
        let [good, soon, ended, early] = &*CERTIFICATES;
        let faults = [("credential-certificate-ends-soon", soon), ("credential-certificate-ended", ended), ("credential-certificate-not-yet-valid", early)];
        let broken = "-----BEGIN CERTIFICATE-----\nlab-canary\n-----END CERTIFICATE-----\n".to_owned();
        let pair = faults.iter().find(|(fault, _)| self.estate.has(fault)).map_or(good, |(_, pair)| pair);
        let (mut certificate, key) = (&pair.0, pair.1.as_str());
        // What stands before a key in PEM is for people.
        let key = match () {
            () if self.estate.has("credential-key-of-another-certificate") => &soon.1,
            () if self.estate.has("credential-key-encrypted") => "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
            () if self.estate.has("credential-key-cut-off") => key.get(..60).unwrap_or_default(),
            () => key,
        };
        let key = format!("{}-key\n{key}", crate::issuers::CANARY);
        if self.estate.has("credential-certificate-broken") {
            certificate = &broken;
        }
        if !self.estate.has("credential-secret-gone") {
            secret("coder", "wildcard", json!({ "tls.crt": certificate, "tls.key": key }));
        }
        let key = if self.estate.has("credential-key-missing") { "api-key-old" } else { "api-key" };
        secret("litellm", "llm-key", json!({ key: crate::issuers::LITELLM }));
        let copy = if self.estate.has("credential-copy-stale") { "sk-lab-canary-of-yesterday" } else { crate::issuers::LITELLM };
        secret("coder-ws", "llm-key-copy", json!({ "api-key": copy }));
        let google = crate::google::KEY.as_ref().map(crate::google::GoogleKey::file);
        secret("litellm", "gcloud-auth", json!({ "service_account.json": google }));
    }

    pub(super) fn cron_job(&self) -> Value {
        let suspended = ["rotation-forgotten", "rotation-suspended-key-lapses"].iter().any(|fault| self.estate.has(fault));
        let failed = self.estate.has("rotation-run-failed");
        let (hour, due) = self.estate.last_rotation();
        let slow = self.estate.has("rotation-slow");
        let (schedule, last) = match () {
            () if self.estate.has("rotation-not-suspended") => ("* * * * *".to_owned(), self.since("rotation-not-suspended")),
            // Every minute of this month, which is not the event's, and it has not run since last night.
            () if self.estate.has("rotation-missed") => (format!("* * * {} *", due.strftime("%-m")), due),
            () if slow => (format!("0 {hour} * * *"), self.estate.started().checked_sub(1.hour()).unwrap_or_default()),
            () => (format!("0 {hour} * * *"), due),
        };
        let succeeded = last.checked_add(9.seconds()).unwrap_or_default();
        let succeeded = if failed || slow { last.checked_sub(24.hours()).unwrap_or_default() } else { succeeded };
        let active = if slow { json!([{ "kind": "Job", "name": "rotate-key-1" }]) } else { json!([]) };
        json!({
            "metadata": metadata("coder-ws", "rotate-key", (NAME, "rotate-key")),
            "spec": { "schedule": schedule, "timeZone": "America/Vancouver", "suspend": suspended },
            "status": { "lastScheduleTime": last.to_string(), "lastSuccessfulTime": succeeded.to_string(), "active": active },
        })
    }

    /// What cert-manager has issued.
    pub(super) fn certificates(&self, all: &mut Objects) {
        if self.region != "us-east-2" {
            return;
        }
        let failing = self.estate.has("credential-renewal-fails");
        let condition = if failing {
            json!({ "type": "Ready", "status": "False", "reason": "Expired" })
        } else {
            json!({ "type": "Ready", "status": "True", "reason": "Ready" })
        };
        let renewal = if self.estate.has("credential-renewal-forgotten") {
            self.estate.started().checked_sub(72.hours()).unwrap_or_default()
        } else if self.estate.has("rotation-renewal-hits-event") {
            Estate::during_next_event()
        } else {
            self.estate.started().checked_add((24 * 60).hours()).unwrap_or_default()
        };
        let begins = renewal.checked_sub((24 * 60).hours()).unwrap_or_default();
        let ends = renewal.checked_add((24 * 30).hours()).unwrap_or_default();
        all.add(
            "cert-manager.io/v1/certificates",
            json!({ "metadata": { "namespace": "coder", "name": "wildcard", "uid": "cert-wildcard" }, "spec": { "secretName": "wildcard" },
                "status": { "conditions": [condition], "notBefore": begins.to_string(), "notAfter": ends.to_string(), "renewalTime": renewal.to_string() } }),
        );
    }
}
