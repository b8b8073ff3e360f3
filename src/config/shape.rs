//! What the schema says about a place of the file: which keys are known there, and what a value is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::value::problem::join;

/// A place, as everything that may stand there.
pub(super) struct Shape<'a> {
    root: &'a Value,
    forms: Vec<&'a Value>,
}

impl<'a> Shape<'a> {
    /// The whole file.
    pub(super) fn of(root: &'a Value) -> Self {
        let mut forms = Vec::new();
        spread(root, root, &mut forms);
        Self { root, forms }
    }

    /// The place that a JSON pointer names.
    pub(super) fn at(root: &'a Value, pointer: &str) -> Self {
        pointer.split('/').skip(1).fold(Self::of(root), |shape, key| shape.step(&key.replace("~1", "/").replace("~0", "~")))
    }

    /// What stands under a key, or in a list.
    pub(super) fn step(&self, key: &str) -> Self {
        let mut forms = Vec::new();
        for form in &self.forms {
            let property = form.get("properties").and_then(|all| all.get(key));
            let item = || form.get("items").filter(|_| key.parse::<usize>().is_ok());
            let other = || form.get("additionalProperties").filter(|schema| schema.is_object());
            if let Some(schema) = property.or_else(item).or_else(other) {
                spread(schema, self.root, &mut forms);
            }
        }
        Self { root: self.root, forms }
    }

    /// The keys that are known here.
    pub(super) fn keys(&self) -> BTreeSet<&'a str> {
        self.forms.iter().filter_map(|form| form.get("properties")?.as_object()).flat_map(|all| all.keys().map(String::as_str)).collect()
    }

    /// The keys that must be there, where a map belongs.
    pub(super) fn required(&self) -> Vec<&'a str> {
        let lists = self.forms.iter().filter_map(|form| form.get("required")?.as_array());
        lists.flatten().filter_map(Value::as_str).collect()
    }

    /// Whether a duration may stand here.
    pub(super) fn is_duration(&self) -> bool {
        self.forms.iter().any(|form| form.get("title").is_some_and(|title| title == "duration"))
    }

    /// Whether a list stands here, and no text that could be meant instead.
    pub(super) fn is_list(&self) -> bool {
        let text = |form: &&Value| form.get("type").is_some_and(|kind| kind == "string");
        self.forms.iter().any(|form| form.get("items").is_some()) && !self.forms.iter().any(text)
    }

    /// The words that stand for one of several forms by themselves, and the keys that do with a value.
    pub(super) fn tags(&self) -> (BTreeSet<&'a str>, BTreeSet<&'a str>) {
        let words = self.forms.iter().filter_map(|form| form.get("const")?.as_str());
        (words.collect(), self.keys())
    }
}

/// A schema with everything that it refers to and chooses from.
fn spread<'a>(schema: &'a Value, root: &'a Value, forms: &mut Vec<&'a Value>) {
    forms.push(schema);
    let target = schema.get("$ref").and_then(|target| root.pointer(target.as_str()?.strip_prefix('#')?));
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
    for form in target.into_iter().chain(choices) {
        spread(form, root, forms);
    }
}

/// The sections in which a key is known, by their paths, without going into lists.
pub(super) fn sections_with(root: &Value, key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![(String::new(), Shape::of(root))];
    while let Some((path, shape)) = waiting.pop() {
        let known = shape.keys();
        if known.contains(key) && !path.is_empty() {
            found.push(path.clone());
        }
        waiting.extend(known.into_iter().map(|own| (join(&path, own), shape.step(own))));
    }
    found.sort_by_key(|path| (path.matches('.').count(), path.clone()));
    found
}

/// Every key that is known anywhere.
pub(super) fn all_keys(schema: &Value) -> BTreeSet<&str> {
    let mut keys = BTreeSet::new();
    let mut waiting = vec![schema];
    while let Some(node) = waiting.pop() {
        keys.extend(node.get("properties").and_then(Value::as_object).into_iter().flat_map(|all| all.keys().map(String::as_str)));
        match node {
            Value::Object(fields) => waiting.extend(fields.values()),
            Value::Array(items) => waiting.extend(items),
            _ => {}
        }
    }
    keys
}
