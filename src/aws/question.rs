//! What a service is asked, in words that fit every form, and how each form writes it. Pure.

use serde_json::{Map, Value};

use super::services::Form;
use crate::say;
use crate::say::Message;

/// One operation of a service with its parameters.
#[derive(Debug, Clone)]
pub struct Question {
    /// The act, `ask RDS for clusters in eu-west-2`.
    pub(super) what: Message,
    operation: &'static str,
    path: Vec<String>,
    parameters: Map<String, Value>,
}

impl Question {
    /// An operation as its service calls it, and the act that it is in words.
    pub fn new(operation: &'static str, what: Message) -> Self {
        Self { what, operation, path: Vec::new(), parameters: Map::new() }
    }

    /// The path of a service that is asked by paths, part by part, so that no name can lead elsewhere.
    #[must_use]
    pub fn at(self, path: &[&str]) -> Self {
        Self { path: path.iter().map(|part| (*part).to_owned()).collect(), ..self }
    }

    /// A parameter; one that has the name already is replaced. Lists and objects are what the service says that they are:
    /// each form has its own way to write them.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// The operation.
    pub(super) fn operation(&self) -> &'static str {
        self.operation
    }

    /// The request in a form.
    pub(super) fn written(&self, form: Form) -> Result<Written, Message> {
        let path = self.path()?;
        Ok(match form {
            Form::Json10(target) => self.posted("application/x-amz-json-1.0", path, Some(target), self.json()),
            Form::Json11(target) => self.posted("application/x-amz-json-1.1", path, Some(target), self.json()),
            Form::Query(version) => self.posted(FORM, path, None, self.form(version, |name, place| format!("{name}.member.{place}"))),
            Form::Ec2(version) => self.posted(FORM, path, None, self.form(version, |name, place| format!("{name}.{place}"))),
            Form::RestJson | Form::RestXml => Written { method: "GET", path: path + &self.query(), headers: Vec::new(), body: String::new() },
        })
    }

    fn posted(&self, kind: &str, path: String, target: Option<&str>, body: String) -> Written {
        let target = target.map(|target| ("x-amz-target", format!("{target}.{}", self.operation)));
        Written { method: "POST", path, headers: [("content-type", kind.to_owned())].into_iter().chain(target).collect(), body }
    }

    fn path(&self) -> Result<String, Message> {
        if self.path.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
            return Err(say!("a name in it is empty or made of dots"));
        }
        Ok(format!("/{}", self.path.iter().map(|part| encoded(part)).collect::<Vec<_>>().join("/")))
    }

    fn json(&self) -> String {
        Value::Object(self.parameters.clone()).to_string()
    }

    fn form(&self, version: &str, element: Element) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("Action", self.operation).append_pair("Version", version);
        form.extend_pairs(self.pairs(element)).finish()
    }

    /// Of a list each element has the name of the list.
    fn query(&self) -> String {
        let pairs = self.pairs(|name, _| name.to_owned());
        let query = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect::<Vec<_>>().join("&");
        if query.is_empty() { query } else { format!("?{query}") }
    }

    fn pairs(&self, element: Element) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        self.parameters.iter().for_each(|(name, value)| flatten(name, value, element, &mut pairs));
        pairs
    }
}

/// What an element of a list is called, by the name of the list and its place, from one.
type Element = fn(&str, usize) -> String;

const FORM: &str = "application/x-www-form-urlencoded";

/// A request in one form.
pub(super) struct Written {
    pub(super) method: &'static str,
    /// With the query.
    pub(super) path: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// `Filter.1.Value.2` and the like out of lists and objects.
fn flatten(name: &str, value: &Value, element: Element, pairs: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(all) => (1..).zip(all).for_each(|(place, value)| flatten(&element(name, place), value, element, pairs)),
        Value::Object(all) => all.iter().for_each(|(key, value)| flatten(&format!("{name}.{key}"), value, element, pairs)),
        Value::String(text) => pairs.push((name.to_owned(), text.clone())),
        Value::Bool(_) | Value::Number(_) => pairs.push((name.to_owned(), value.to_string())),
    }
}

/// As the SDKs write names into paths and queries: whoever reads `+` or `:` in another way finds another signature.
/// Source: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request>
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(form: Form) -> Written {
        let filter = json!([{ "Name": "vpc-id", "Value": ["vpc-1", "vpc 2"] }]);
        Question::new("List", say!("ask")).with("Filter", filter).with("Ids", json!(["a+b"])).with("Most", 5).with("All", true).written(form).unwrap()
    }

    #[test]
    fn every_form_has_its_own_lists() {
        let query = listed(Form::Query("2010-01-01"));
        let start = "Action=List&Version=2010-01-01&All=true";
        assert_eq!(
            (query.method, query.path.as_str(), query.body),
            (
                "POST",
                "/",
                format!(
                    "{start}&Filter.member.1.Name=vpc-id&Filter.member.1.Value.member.1=vpc-1&Filter.member.1.Value.member.2=vpc+2&Ids.member.1=a%2Bb&Most=5"
                )
            )
        );
        let ec2 = listed(Form::Ec2("2010-01-01")).body;
        assert_eq!(ec2, format!("{start}&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1&Filter.1.Value.2=vpc+2&Ids.1=a%2Bb&Most=5"));
        let rest = listed(Form::RestJson);
        assert_eq!(
            (rest.method, rest.path.as_str(), rest.body.as_str()),
            ("GET", "/?All=true&Filter.Name=vpc-id&Filter.Value=vpc-1&Filter.Value=vpc%202&Ids=a%2Bb&Most=5", "")
        );
        let json = listed(Form::Json10("Prefix"));
        assert_eq!(json.headers, [("content-type", "application/x-amz-json-1.0".to_owned()), ("x-amz-target", "Prefix.List".to_owned())]);
        assert_eq!(serde_json::from_str::<Value>(&json.body).unwrap()["Filter"][0]["Value"][1], "vpc 2");
    }

    #[test]
    fn no_name_leads_out_of_its_place_in_a_path() {
        let path = |part: &str| Question::new("Get", say!("ask")).at(&["clusters", part]).written(Form::RestJson).map(|written| written.path);
        assert_eq!(path("arn:aws:x/a b?c#d%"), Ok("/clusters/arn%3Aaws%3Ax%2Fa%20b%3Fc%23d%25".to_owned()));
        for part in ["", ".", ".."] {
            assert_eq!(path(part).unwrap_err().as_str(), "a name in it is empty or made of dots");
        }
    }
}
