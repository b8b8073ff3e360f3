//! Every key of the configuration, from its schema: what it is, of what type, and its default.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// The document.
pub(super) fn document() -> String {
    let schema = crate::config::schema();
    let schema = serde_json::to_value(schema).unwrap_or_default();
    let mut out = format!(
        "{}# Configuration\n\nOne YAML file, `readiness.yaml`. An unknown key stops the start, because a check that silently watches\nnothing would be a false go. Paths are relative to the file. Any single value can be overridden from the\nenvironment: `READINESS__COLLECTORS__HTTP__INTERVAL=30s`; lists are set in the file only. Durations are written like `90s`, `10m`, `1h30m`, `7d`.\n\n`readiness-exporter config check` reports mistakes all at once, those of form before those of sense, and `config print` shows what is in force.\n[`examples/workshop.yaml`](../examples/workshop.yaml) is a complete, commented example.\n",
        super::docs::HEADER
    );
    let mut seen = BTreeSet::new();
    let mut waiting = vec![("The file".to_owned(), String::new(), schema.clone())];
    while let Some((title, anchor, node)) = waiting.pop() {
        let about = text(&node, "description");
        let _ = writeln!(out, "\n## {title}\n");
        if !anchor.is_empty() && !about.is_empty() {
            let _ = writeln!(out, "{about}\n");
        }
        let properties = node["properties"].as_object().cloned().unwrap_or_default();
        if properties.is_empty() {
            let named = choices(&mut out, &node).into_iter().filter(|name| seen.insert(name.clone()));
            let next: Vec<_> = named.map(|name| (name.clone(), name.clone(), schema["$defs"][&name].clone())).collect();
            waiting.extend(next.into_iter().rev());
            continue;
        }
        let _ = writeln!(out, "| Key | Type | Default | Meaning |\n|---|---|---|---|");
        let required: BTreeSet<&str> = node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut next = Vec::new();
        for (key, property) in &properties {
            let named = reference(property);
            let kind = match &named {
                Some((name, many)) => format!("{many}[{name}](#{})", name.to_lowercase()),
                None => plain(property),
            };
            let default = if required.contains(key.as_str()) {
                "required".to_owned()
            } else {
                property.get("default").filter(|value| !value.is_null() && *value != &serde_json::json!([]) && *value != &serde_json::json!({})).map_or_else(
                    String::new,
                    |value| {
                        let words = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                        // The default of a whole section stands at its keys.
                        if words.len() > 40 { String::new() } else { format!("`{words}`") }
                    },
                )
            };
            let _ = writeln!(out, "| `{key}` | {kind} | {default} | {} |", text(property, "description").replace('\n', " ").replace('|', "\\|"));
            if let Some((name, _)) = named.filter(|(name, _)| seen.insert(name.clone())) {
                next.push((name.clone(), name.clone(), schema["$defs"][&name].clone()));
            }
        }
        // The first key's section follows first.
        waiting.extend(next.into_iter().rev());
    }
    out
}

/// What a value may be: words, maps with one key, and other forms. Returns the definitions that they
/// point at.
fn choices(out: &mut String, node: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for value in node["enum"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let _ = writeln!(out, "- `{value}`");
    }
    for form in ["oneOf", "anyOf"].into_iter().flat_map(|word| node[word].as_array().into_iter().flatten()) {
        let key = form["required"][0].as_str().unwrap_or_default();
        let about = text(form, "description").replace('\n', " ");
        let about = if about.is_empty() { about } else { format!(": {about}") };
        let _ = match (form["const"].as_str(), form["properties"].get(key)) {
            (Some(word), _) => writeln!(out, "- `{word}`{about}"),
            (None, Some(value)) => writeln!(out, "- `{key}:` {}{about}", kind_of(value, &mut names)),
            (None, None) => writeln!(out, "- {}{about}", kind_of(form, &mut names)),
        };
    }
    names
}

/// The type of a value, as a link where it has a section of its own.
fn kind_of(property: &Value, names: &mut Vec<String>) -> String {
    let Some((name, many)) = reference(property) else { return plain(property) };
    let link = format!("{many}[{name}](#{})", name.to_lowercase());
    names.push(name);
    link
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node[key].as_str().unwrap_or_default()
}

/// The definition that a property points at, and whether it is a list or a map of them.
fn reference(property: &Value) -> Option<(String, &'static str)> {
    let direct = |node: &Value| node["$ref"].as_str().and_then(|path| path.rsplit('/').next()).map(str::to_owned);
    let any = |node: &Value| node["anyOf"].as_array().into_iter().flatten().find_map(direct);
    let single = direct(property).or_else(|| any(property)).map(|name| (name, ""));
    let list = || direct(&property["items"]).map(|name| (name, "list of "));
    single.or_else(list).or_else(|| direct(&property["additionalProperties"]).map(|name| (name, "map of ")))
}

fn plain(property: &Value) -> String {
    let kind = match &property["type"] {
        Value::String(kind) => kind.as_str(),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("string"),
        _ => "any",
    };
    match (kind, text(property, "title")) {
        ("string", "duration") => "duration".to_owned(),
        ("array", _) => format!("list of {}s", plain(&property["items"])),
        ("object", _) => "map".to_owned(),
        (kind, _) => kind.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number tells a reader nothing, and schemars gives one to each second type of the same name.
    #[test]
    fn every_type_has_a_name_of_its_own() {
        let schema = crate::config::schema();
        let names: Vec<&String> = schema["$defs"].as_object().unwrap().keys().collect();
        let numbered: Vec<_> = names.iter().filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
        assert!(numbered.is_empty(), "name them with #[schemars(rename)], and those of the same name without a number: {numbered:?}");
        assert_eq!(names.iter().map(|name| name.to_lowercase()).collect::<BTreeSet<_>>().len(), names.len(), "links of the documentation have no capitals");
        // A collector by the key that it has in the file.
        for (key, section) in schema["$defs"]["CollectorsConfig"]["properties"].as_object().unwrap() {
            let (name, _) = reference(section).unwrap();
            assert_eq!(name.to_lowercase(), key.replace('_', "") + "collector");
        }
        let text = document();
        assert!(text.contains("| `targets` | list of [TlsTarget](#tlstarget) |") && text.contains("\n## TlsTarget\n\nOne TLS server.\n"), "{text}");
    }
}
