//! The layers of the configuration, one over the other: the file, and variables over it.

use std::collections::BTreeMap;

use config::{Map, Source, ValueKind};
use serde_json::Value;

use super::variables::Variables;

#[derive(Debug, Clone)]
struct FileLayer(Map<String, config::Value>);

impl Source for FileLayer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, config::ConfigError> {
        Ok(self.0.clone())
    }
}

/// The file with the variables over it.
pub(super) fn layer(file: Value, variables: &Variables, schema: &Value) -> Result<Value, config::ConfigError> {
    let mut lists = Vec::new();
    let ValueKind::Table(table) = to_config(file, &mut lists).kind else { unreachable!("checked by the caller to be a map") };
    let merged = config::Config::builder().add_source(FileLayer(table)).add_source(variables.layer()).build()?;
    Ok(from_config(merged.cache, Some(schema), schema, &mut lists))
}

/// Stands for a list while the layers are merged. Lists are set in the file only, and thousands of
/// targets would be copied by every layer.
const LIST: &str = "\u{0}list ";

fn to_config(value: Value, lists: &mut Vec<Value>) -> config::Value {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(flag) => ValueKind::Boolean(flag),
        Value::Number(number) => number.as_i64().map_or_else(|| ValueKind::Float(number.as_f64().unwrap_or(f64::NAN)), ValueKind::I64),
        Value::String(text) => ValueKind::String(text),
        Value::Array(_) => {
            lists.push(value);
            ValueKind::String(format!("{LIST}{}", lists.len() - 1))
        }
        Value::Object(fields) => ValueKind::Table(fields.into_iter().map(|(key, value)| (key, to_config(value, lists))).collect()),
    };
    config::Value::new(None, kind)
}

/// Back to JSON; text from the environment takes the type that the schema wants.
fn from_config(value: config::Value, schema: Option<&Value>, root: &Value, lists: &mut [Value]) -> Value {
    let from_environment = value.origin().is_some();
    let mut list = |text: &str| text.strip_prefix(LIST)?.parse::<usize>().ok().and_then(|index| lists.get_mut(index)).map(Value::take);
    match value.kind {
        ValueKind::Nil => Value::Null,
        ValueKind::Boolean(flag) => flag.into(),
        ValueKind::I64(number) => number.into(),
        ValueKind::I128(number) => number.to_string().into(),
        ValueKind::U64(number) => number.into(),
        ValueKind::U128(number) => number.to_string().into(),
        ValueKind::Float(number) => number.into(),
        ValueKind::String(text) if from_environment && !wants_text(schema) => {
            // A map in one variable would bring its lists with it.
            serde_json::from_str(&text)
                .ok()
                .filter(|parsed: &Value| !parsed.is_string() && !parsed.is_object() && !parsed.is_array())
                .unwrap_or(Value::String(text))
        }
        ValueKind::String(text) => list(&text).unwrap_or(Value::String(text)),
        ValueKind::Array(items) => {
            let schema = schema.and_then(|schema| schema.get("items")).map(|schema| resolve(schema, root));
            items.into_iter().map(|item| from_config(item, schema, root, lists)).collect()
        }
        ValueKind::Table(fields) => {
            let mut object = serde_json::Map::new();
            let fields: BTreeMap<String, config::Value> = fields.into_iter().collect();
            for (key, value) in fields {
                let property = schema.and_then(|schema| schema.get("properties").and_then(|all| all.get(&key)).or_else(|| schema.get("additionalProperties")));
                let value = from_config(value, property.map(|schema| resolve(schema, root)), root, lists);
                object.insert(key, value);
            }
            Value::Object(object)
        }
    }
}

fn wants_text(schema: Option<&Value>) -> bool {
    match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(kind)) => kind == "string",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "string"),
        _ => true,
    }
}

/// Follows `$ref`, and the one branch of an optional section that is not null.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        return target.strip_prefix('#').and_then(|pointer| root.pointer(pointer)).map_or(schema, |found| resolve(found, root));
    }
    let branches = schema.get("anyOf").and_then(Value::as_array);
    branches
        .and_then(|branches| branches.iter().find(|branch| branch.get("type").is_none_or(|kind| kind != "null")))
        .map_or(schema, |branch| resolve(branch, root))
}
