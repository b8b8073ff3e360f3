//! When a credential was last changed, as far as its place and this process can tell: pure.
//!
//! A Secret says when each of its writers last wrote, and a writer may write more than the credential: the key
//! of a neighbour, or an annotation with the moment of its own run. So a time is at first a bound. It is the moment
//! itself where its writer owns nothing else that moves, and a value that stays the same from look to look was not
//! changed, whatever anybody wrote beside it.
//! Source: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

use super::{BY_HAND, CHANGED, CHANGED_EARLIEST, fact};
use crate::metric::Sample;
use crate::snapshot::Snapshot;

/// When something was last changed, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    /// Not after this.
    pub(super) latest: i64,
    /// Not before this, where anything tells.
    pub(super) earliest: Option<i64>,
}

impl Changed {
    pub(super) fn exactly(at: i64) -> Self {
        Self { latest: at, earliest: Some(at) }
    }

    pub(super) fn by(latest: i64) -> Self {
        Self { latest, earliest: None }
    }
}

/// When one of these keys of a Secret was last changed.
pub(super) fn of_secret(secret: &Secret, keys: &BTreeSet<&str>) -> Option<Changed> {
    let writers = || secret.metadata.managed_fields.iter().flatten().filter_map(|entry| Writer::of(entry, secret, keys));
    let last = |counts: fn(&Writer) -> bool| writers().filter(counts).map(|writer| writer.at).max();
    if let Some(latest) = last(|writer| writer.owns_key) {
        return Some(Changed { latest, earliest: last(|writer| writer.owns_key && !writer.owns_more) });
    }
    // Somebody took the record of its writers away. No key is older than its Secret.
    let created = secret.metadata.creation_timestamp.as_ref().map(|at| at.0.as_second());
    last(|_| true).or(created).map(Changed::by)
}

/// Whether whoever wrote one of these keys last did so with a tool that people use by hand; `None` where nobody is named.
pub(super) fn is_by_hand(secret: &Secret, keys: &BTreeSet<&str>) -> Option<bool> {
    let writers = secret.metadata.managed_fields.iter().flatten().filter_map(|entry| Writer::of(entry, secret, keys));
    let last = writers.filter(|writer| writer.owns_key).max_by_key(|writer| writer.at)?;
    Some(last.by_hand)
}

/// Whether a manager of fields is a tool that people use by hand. Each command of kubectl has a name of its own, such as
/// `kubectl-edit` and `kubectl-client-side-apply`; who names none is called by the user agent, as browsers are behind a
/// dashboard. A job may run kubectl as well, so the name alone refutes nothing.
/// Source: `FieldManager` in <https://github.com/kubernetes/kubectl>, and `prefixFromUserAgent` in
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/endpoints/handlers/create.go>
fn is_a_hand(manager: &str) -> bool {
    manager.starts_with("kubectl") || ["oc", "helm", "k9s", "node-fetch", "dashboard", "Mozilla"].contains(&manager)
}

/// Who wrote a part of a Secret.
struct Writer {
    at: i64,
    /// Whether it is a tool that people use by hand.
    by_hand: bool,
    /// Whether one of the keys is its own.
    owns_key: bool,
    /// Whether its time may move although no such key was changed.
    owns_more: bool,
}

impl Writer {
    /// One that wrote data.
    fn of(entry: &ManagedFieldsEntry, secret: &Secret, keys: &BTreeSet<&str>) -> Option<Self> {
        let fields = entry.fields_v1.as_ref()?.0.as_object()?;
        // Who applies text as stringData owns it by that name.
        let parts: Vec<&Value> = ["f:data", "f:stringData"].iter().filter_map(|part| fields.get(*part)).collect();
        let of_part = |part: &Value| match part.as_object().filter(|part| !part.is_empty()) {
            Some(part) => names(part),
            // All of it, as a whole.
            None => secret.data.iter().flatten().map(|(key, _)| key.clone()).collect(),
        };
        let owned: BTreeSet<String> = parts.iter().flat_map(|part| of_part(part)).collect();
        let owns_other = owned.iter().any(|key| !keys.contains(key.as_str()));
        (!parts.is_empty()).then_some(Self {
            at: entry.time.as_ref()?.0.as_second(),
            by_hand: entry.manager.as_deref().is_some_and(is_a_hand),
            owns_key: owned.iter().any(|key| keys.contains(key.as_str())),
            owns_more: owns_other || writes_annotations(fields),
        })
    }
}

/// The fields of a set, without the mark that the set itself is owned.
fn names(fields: &Map<String, Value>) -> Vec<String> {
    fields.keys().filter_map(|name| name.strip_prefix("f:")).map(str::to_owned).collect()
}

/// Whether a writer owns annotations, in which tools note what they did and when. What kubectl notes there is
/// what was applied, and moves with it; labels say what something is, and stay.
fn writes_annotations(fields: &Map<String, Value>) -> bool {
    let annotations = fields.get("f:metadata").and_then(|metadata| metadata.get("f:annotations")).and_then(Value::as_object);
    annotations.is_some_and(|annotations| names(annotations).iter().any(|name| name != "kubectl.kubernetes.io/last-applied-configuration"))
}

/// What this process itself saw of a value, from look to look. Keeps a hash of it and nothing else.
#[derive(Default)]
pub(super) struct Witness(Option<Seen>);

struct Seen {
    hash: [u8; 32],
    /// When this value was first seen.
    since: i64,
    /// When another one was last seen.
    other: Option<i64>,
    /// When this one was last seen.
    last: i64,
}

impl Witness {
    /// Takes in a look, and narrows what the place says of the last change.
    pub(super) fn narrow(&mut self, hash: [u8; 32], said: Changed, now: i64) -> Changed {
        let (since, other) = match &self.0 {
            Some(seen) if seen.hash == hash => (seen.since, seen.other),
            Some(seen) => (now, Some(seen.last)),
            None => (now, None),
        };
        self.0 = Some(Seen { hash, since, other, last: now });
        // It was there before that was written.
        if said.latest > since.saturating_add(CLOCKS) {
            return Changed { latest: since, earliest: other };
        }
        match other {
            // The change was seen, and that is when somebody wrote.
            Some(other) if said.latest.saturating_add(CLOCKS) >= other => Changed::exactly(said.latest),
            // Whatever moves content without moving its time, such as a restore, is no change of whoever renews it.
            Some(_) | None => said,
        }
    }
}

/// Seconds by which the clock of a place may differ from ours.
const CLOCKS: i64 = 60;

/// When a credential was last changed at the latest, as far as that was seen.
pub(in crate::collectors) fn last_changed(seen: &Snapshot, credential: &str) -> Option<i64> {
    fact(seen, credential, CHANGED.0.name).map(Sample::second)
}

/// When a credential was last changed at the earliest, where that was seen.
pub(in crate::collectors) fn changed_not_before(seen: &Snapshot, credential: &str) -> Option<i64> {
    fact(seen, credential, CHANGED_EARLIEST.0.name).map(Sample::second)
}

/// Whether a credential was last written with a tool that people use by hand, as far as that was seen.
pub(in crate::collectors) fn is_changed_by_hand(seen: &Snapshot, credential: &str) -> bool {
    fact(seen, credential, BY_HAND.0.name).is_some_and(|sample| sample.value > 0.0)
}

/// The fact that a credential was last written with a tool that people use by hand.
#[cfg(test)]
pub(in crate::collectors) fn changed_by_hand(credential: &str) -> Sample {
    BY_HAND.sample([credential, "litellm"], 1.0)
}

/// The facts that a credential was last changed then, and not before then.
#[cfg(test)]
pub(in crate::collectors) fn changed_at(credential: &str, latest: i64, earliest: Option<i64>) -> Vec<Sample> {
    let labels = [credential, "litellm"];
    let earliest = earliest.map(|at| CHANGED_EARLIEST.sample(labels, at as f64));
    [CHANGED.sample(labels, latest as f64)].into_iter().chain(earliest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: i64 = 1_800_000_000;

    fn time(at: i64) -> String {
        jiff::Timestamp::from_second(at).unwrap().to_string()
    }

    fn changed(writers: &[(i64, Value)]) -> Option<Changed> {
        let fields: Vec<Value> = writers
            .iter()
            .map(|(at, fields)| json!({ "manager": "m", "operation": "Update", "time": time(*at), "fieldsType": "FieldsV1", "fieldsV1": fields }))
            .collect();
        let secret = json!({ "metadata": { "creationTimestamp": time(AT - 90_000), "managedFields": fields }, "data": { "api-key": "eA==", "other": "eA==" } });
        of_secret(&serde_json::from_value(secret).unwrap(), &BTreeSet::from(["api-key"]))
    }

    fn data(keys: &[&str]) -> Value {
        let keys: Map<String, Value> = keys.iter().map(|key| (format!("f:{key}"), json!({}))).chain([(".".to_owned(), json!({}))]).collect();
        json!({ "f:data": keys, "f:type": {} })
    }

    #[test]
    fn only_who_wrote_a_key_tells_when_it_was_changed() {
        let own = data(&["api-key"]);
        assert_eq!(changed(&[(AT - 9000, own.clone()), (AT, data(&["other"]))]), Some(Changed::exactly(AT - 9000)));
        assert_eq!(changed(&[(AT - 9000, data(&["other"])), (AT, own.clone())]), Some(Changed::exactly(AT)));
        // One who writes both may have changed the other one.
        assert_eq!(changed(&[(AT, data(&["api-key", "other"]))]), Some(Changed::by(AT)));
        assert_eq!(changed(&[(AT - 9000, own.clone()), (AT, data(&["api-key", "other"]))]), Some(Changed { latest: AT, earliest: Some(AT - 9000) }));
        assert_eq!(changed(&[(AT, json!({ "f:data": {} }))]), Some(Changed::by(AT)), "all of it");
        assert_eq!(changed(&[(AT, json!({ "f:stringData": { "f:api-key": {} } }))]), Some(Changed::exactly(AT)));
        // A run that notes when it was in an annotation.
        let with = |annotation: &str| json!({ "f:data": { "f:api-key": {} }, "f:metadata": { "f:annotations": { ".": {}, format!("f:{annotation}"): {} }, "f:labels": { "f:app": {} } } });
        assert_eq!(changed(&[(AT, with("last-run"))]), Some(Changed::by(AT)));
        assert_eq!(changed(&[(AT, with("kubectl.kubernetes.io/last-applied-configuration"))]), Some(Changed::exactly(AT)));
        // Who writes no data at all says nothing.
        let labels = json!({ "f:metadata": { "f:labels": { "f:app": {} } } });
        assert_eq!(changed(&[(AT - 9000, own), (AT, labels.clone())]), Some(Changed::exactly(AT - 9000)));
        assert_eq!(changed(&[(AT, data(&["other"]))]), Some(Changed::by(AT)));
        assert_eq!(changed(&[(AT, labels)]), Some(Changed::by(AT - 90_000)));
    }

    #[test]
    fn whoever_wrote_last_may_be_somebody_with_kubectl() {
        let told = |writers: &[(&str, i64, &str)]| {
            let entry = |(manager, at, key): &(&str, i64, &str)| json!({ "manager": manager, "operation": "Update", "time": time(*at), "fieldsType": "FieldsV1", "fieldsV1": { "f:data": { format!("f:{key}"): {} } } });
            let fields: Vec<Value> = writers.iter().map(entry).collect();
            let secret: Secret = serde_json::from_value(json!({ "metadata": { "managedFields": fields } })).unwrap();
            is_by_hand(&secret, &BTreeSet::from(["api-key"]))
        };
        for tool in ["kubectl-edit", "kubectl-create", "kubectl-client-side-apply", "kubectl", "Mozilla", "helm"] {
            assert_eq!(told(&[(tool, AT, "api-key")]), Some(true), "{tool}");
        }
        for tool in ["rotator", "externalsecrets.external-secrets.io/llm", "vault", "helm-controller", "OpenAPI-Generator"] {
            assert_eq!(told(&[(tool, AT, "api-key")]), Some(false), "{tool}");
        }
        assert_eq!(told(&[("kubectl-edit", AT, "note"), ("rotator", AT - 60, "api-key")]), Some(false), "another key");
        assert_eq!(told(&[("kubectl-edit", AT - 60, "api-key"), ("rotator", AT, "api-key")]), Some(false), "the last one counts");
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_value_that_stays_was_not_changed_and_one_that_moves_was() {
        let (mut witness, one, other) = (Witness::default(), [1; 32], [2; 32]);
        assert_eq!(witness.narrow(one, Changed::by(AT - 500), AT), Changed::by(AT - 500), "nothing to compare with");
        assert_eq!(witness.narrow(one, Changed::exactly(AT + 600), AT + 700), Changed::by(AT), "somebody wrote, and it is what it was");
        assert_eq!(witness.narrow(other, Changed::by(AT + 900), AT + 1000), Changed::exactly(AT + 900), "the change was seen");
        assert_eq!(witness.narrow(other, Changed::by(AT + 900), AT + 1300), Changed::exactly(AT + 900));
        // Written once more, and still the same.
        assert_eq!(witness.narrow(other, Changed::by(AT + 1500), AT + 1600), Changed { latest: AT + 1000, earliest: Some(AT + 700) });
        // A change that nobody wrote down renews nothing.
        assert_eq!(witness.narrow(one, Changed::by(AT + 900), AT + 2000), Changed::by(AT + 900));
    }
}
