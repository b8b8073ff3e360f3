//! What an API server stores: objects as the text that it sends, and the log of their changes from
//! which watches resume.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde_json::Value;

/// Events that a watch can still be resumed from.
const LOG: usize = 20_000;

/// `v1/pods`, `apps/v1/deployments`: a resource as its path names it.
pub(super) type Resource = String;

/// What a list or a watch asks for.
pub(super) struct Selection {
    pub(super) resource: Resource,
    pub(super) namespace: Option<String>,
    pub(super) labels: Option<String>,
    pub(super) fields: Option<String>,
}

/// A stored object.
#[derive(Clone)]
pub(super) struct Stored {
    /// A hash of it without its version, to tell whether it changed.
    bare: u64,
    /// As it is sent.
    text: Arc<str>,
    about: Arc<About>,
}

/// What selectors ask about an object.
#[derive(Debug, PartialEq)]
struct About {
    namespace: String,
    name: String,
    labels: BTreeMap<String, String>,
    r#type: String,
    reason: String,
}

#[derive(Clone)]
struct Change {
    version: u64,
    resource: Resource,
    kind: &'static str,
    stored: Stored,
}

/// All objects of one server.
pub(super) struct Store {
    pub(super) version: u64,
    objects: BTreeMap<Resource, BTreeMap<String, Stored>>,
    log: VecDeque<Change>,
}

impl Stored {
    fn new(object: &Value, version: u64) -> Self {
        let bare = object.to_string();
        let text = bare.replacen("\"metadata\":{", &format!("\"metadata\":{{\"resourceVersion\":\"{version}\","), 1);
        let metadata = &object["metadata"];
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let labels = metadata["labels"].as_object().map(|labels| labels.iter().map(|(name, value)| (name.clone(), word(value))).collect());
        let about = About {
            namespace: word(&metadata["namespace"]),
            name: word(&metadata["name"]),
            labels: labels.unwrap_or_default(),
            r#type: word(&object["type"]),
            reason: word(&object["reason"]),
        };
        let mut hasher = DefaultHasher::new();
        bare.hash(&mut hasher);
        Self { bare: hasher.finish(), text: text.into(), about: Arc::new(about) }
    }
}

impl Selection {
    fn takes(&self, about: &About) -> bool {
        let pairs = |text: &Option<String>| -> Vec<(String, String)> {
            text.iter()
                .flat_map(|text| text.split(','))
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect()
        };
        let namespace = self.namespace.as_ref().is_none_or(|namespace| about.namespace == *namespace);
        let labels = pairs(&self.labels).iter().all(|(name, value)| about.labels.get(name) == Some(value));
        let fields = pairs(&self.fields).iter().all(|(name, value)| match name.as_str() {
            "metadata.name" => about.name == *value,
            "type" => about.r#type == *value,
            "reason" => about.reason == *value,
            _ => false,
        });
        namespace && labels && fields
    }
}

impl Store {
    pub(super) fn new() -> Self {
        Self { version: 1000, objects: BTreeMap::new(), log: VecDeque::new() }
    }

    /// Makes the objects of these resources what is wanted, as events.
    pub(super) fn turn_into(&mut self, wanted: &BTreeMap<Resource, BTreeMap<String, Value>>) {
        let resources: Vec<Resource> = self.objects.keys().chain(wanted.keys()).cloned().collect();
        let nothing = BTreeMap::new();
        for resource in resources {
            let wanted = wanted.get(&resource).unwrap_or(&nothing);
            let own = self.objects.get(&resource).into_iter().flat_map(BTreeMap::keys);
            // A crowd is changed only by its own hand.
            let gone: Vec<String> = own.filter(|key| !wanted.contains_key(*key) && !key.starts_with(CROWD)).cloned().collect();
            for key in gone {
                self.remove(&resource, &key);
            }
            for (key, object) in wanted {
                self.put(&resource, key, object);
            }
        }
    }

    /// Stores an object if it differs from what is there.
    pub(super) fn put(&mut self, resource: &str, key: &str, object: &Value) {
        let objects = self.objects.entry(resource.to_owned()).or_default();
        let stored = Stored::new(object, self.version + 1);
        let kind = match objects.get(key) {
            Some(old) if old.bare == stored.bare => return,
            Some(_) => "MODIFIED",
            None => "ADDED",
        };
        self.version += 1;
        objects.insert(key.to_owned(), stored.clone());
        self.record(resource, kind, stored);
    }

    fn remove(&mut self, resource: &str, key: &str) {
        if let Some(stored) = self.objects.get_mut(resource).and_then(|objects| objects.remove(key)) {
            self.version += 1;
            self.record(resource, "DELETED", stored);
        }
    }

    fn record(&mut self, resource: &str, kind: &'static str, stored: Stored) {
        self.log.push_back(Change { version: self.version, resource: resource.to_owned(), kind, stored });
        if self.log.len() > LOG {
            self.log.pop_front();
        }
    }

    /// Forgets the log, as etcd does when it is compacted.
    pub(super) fn compact(&mut self) {
        self.log.clear();
    }

    /// Begins a new log behind the versions that anybody knows, as after a restart.
    pub(super) fn restart(&mut self) {
        self.version += 1;
        self.compact();
    }

    /// The version before the oldest change that is still known.
    pub(super) fn oldest(&self) -> u64 {
        self.log.front().map_or(self.version, |change| change.version - 1)
    }

    /// One object.
    pub(super) fn get(&self, resource: &str, key: &str) -> Option<&str> {
        Some(&*self.objects.get(resource)?.get(key)?.text)
    }

    /// A page: its items as text, and where the next one begins.
    pub(super) fn page(&self, selection: &Selection, after: &str, limit: usize) -> (String, Option<String>) {
        let objects = self.objects.get(&selection.resource);
        let mut matching = objects
            .into_iter()
            .flat_map(|objects| objects.range::<str, _>((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded)))
            .filter(|(_, stored)| selection.takes(&stored.about));
        let mut items = String::new();
        let mut last = None;
        for (key, stored) in matching.by_ref().take(limit) {
            if !items.is_empty() {
                items.push(',');
            }
            items.push_str(&stored.text);
            last = Some(key.clone());
        }
        let next = matching.next().and(last);
        (items, next)
    }

    /// Changes since a version, as lines of a watch.
    pub(super) fn since(&self, selection: &Selection, from: u64) -> String {
        let start = self.log.partition_point(|change| change.version <= from);
        let changes = self.log.range(start..).filter(|change| change.resource == selection.resource && selection.takes(&change.stored.about));
        changes.map(|change| format!("{{\"type\":\"{}\",\"object\":{}}}\n", change.kind, change.stored.text)).collect()
    }
}

/// Keys of a crowd begin with this.
pub(super) const CROWD: &str = "crowd/";
