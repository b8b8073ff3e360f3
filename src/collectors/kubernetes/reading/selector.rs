//! Label selectors of the API, in the words that a query takes.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::collectors::kubernetes::reading::labels::{self, Labels, Requirement};
use crate::collectors::kubernetes::reading::objects::or_default;

/// A selector: all of its labels and all of its expressions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::collectors::kubernetes) struct LabelSelector {
    #[serde(default, deserialize_with = "or_default")]
    match_labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    match_expressions: Vec<Requirement>,
}

impl LabelSelector {
    /// Whether it selects what has these labels; `None` when it has an operator that is not known.
    pub(in crate::collectors::kubernetes) fn selects(&self, labels: &Labels) -> Option<bool> {
        let named = self.match_labels.iter().map(|(key, value)| Requirement::equal(key, value).holds(labels));
        labels::all(named.chain(self.match_expressions.iter().map(|own| own.holds(labels))))
    }

    /// Whether it selects everything.
    pub(in crate::collectors::kubernetes) fn is_open(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }

    /// The labels that it asks about.
    pub(in crate::collectors::kubernetes) fn keys(&self) -> impl Iterator<Item = &str> {
        self.match_labels.keys().chain(self.match_expressions.iter().map(|own| &own.key)).map(String::as_str)
    }

    /// As `kubectl -l` takes it, empty when it holds for everything. `None` when it has an operator that
    /// is not known, so that nobody can say what it selects.
    /// Source: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors>
    pub(in crate::collectors::kubernetes) fn query(&self) -> Option<String> {
        let expression = |Requirement { key, operator, values }: &Requirement| match operator.as_str() {
            "In" => Some(format!("{key} in ({})", values.join(","))),
            "NotIn" => Some(format!("{key} notin ({})", values.join(","))),
            "Exists" => Some(key.clone()),
            "DoesNotExist" => Some(format!("!{key}")),
            _ => None,
        };
        let labels = self.match_labels.iter().map(|(name, value)| Some(format!("{name}={value}")));
        let all: Option<Vec<String>> = labels.chain(self.match_expressions.iter().map(expression)).collect();
        Some(all?.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_expressions_are_one_query() {
        let query = |text: &str| serde_json::from_str::<LabelSelector>(text).unwrap().query();
        let all = r#"{"matchLabels":{"a":"b"},"matchExpressions":[{"key":"c","operator":"In","values":["d","e"]},{"key":"f","operator":"NotIn","values":["g"]},{"key":"h","operator":"Exists"},{"key":"i","operator":"DoesNotExist","values":null}]}"#;
        assert_eq!(query(all).as_deref(), Some("a=b,c in (d,e),f notin (g),h,!i"));
        assert_eq!(query("{}").as_deref(), Some(""));
        assert_eq!(query(r#"{"matchExpressions":[{"key":"c","operator":"Gt","values":["1"]}]}"#), None);
    }
}
