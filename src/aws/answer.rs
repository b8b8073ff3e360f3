//! How the answers of each form are read. Pure; holds on to no word of whoever answers.

use std::fmt;
use std::marker::PhantomData;

use quick_xml::Reader;
use quick_xml::events::Event;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::services::Form;
use crate::cause::Cause as _;
use crate::say;
use crate::say::Message;

/// A list of the Query form, whose elements most services call `member`.
#[derive(Debug, Clone, Deserialize)]
pub struct Members<T> {
    /// The elements.
    #[serde(default = "Vec::new", rename = "member")]
    pub all: Vec<T>,
}

/// A list of EC2.
#[derive(Debug, Clone, Deserialize)]
pub struct Items<T> {
    /// The elements.
    #[serde(default = "Vec::new", rename = "item")]
    pub all: Vec<T>,
}

/// What an answer to an operation says. Read by its shape: fakes and proxies send JSON as `text/html`, and a page with a
/// status of success must not be taken for an answer in which nothing stands.
pub(super) fn read<T: DeserializeOwned>(form: Form, operation: &str, body: &[u8]) -> Result<T, Message> {
    match form {
        Form::Json10(_) | Form::Json11(_) | Form::RestJson if starts(body, b'{') => serde_json::from_slice(body).map_err(|error| error.words()),
        Form::Json10(_) | Form::Json11(_) | Form::RestJson => Err(say!("it is no object of JSON")),
        Form::Query(_) | Form::Ec2(_) | Form::RestXml => of_xml(form, operation, body).ok_or_else(|| say!("it is not the XML that was expected")),
    }
}

fn starts(body: &[u8], with: u8) -> bool {
    body.trim_ascii_start().first() == Some(&with)
}

/// The document is called like its operation; only the Query form wraps what it says once more.
fn of_xml<T: DeserializeOwned>(form: Form, operation: &str, body: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(body).ok()?;
    if root(text)? != format!("{operation}Response") {
        return None;
    }
    if !matches!(form, Form::Query(_)) {
        return quick_xml::de::from_str(text).ok();
    }
    let result = Inside { name: format!("{operation}Result"), kind: PhantomData };
    result.deserialize(&mut quick_xml::de::Deserializer::from_str(text)).ok()
}

/// The name of the whole document.
fn root(text: &str) -> Option<String> {
    let mut reader = Reader::from_str(text);
    loop {
        match reader.read_event().ok()? {
            Event::Start(element) | Event::Empty(element) => return Some(element.local_name().into_inner().to_owned()),
            Event::Decl(_) | Event::Comment(_) | Event::Text(_) => {}
            _ => return None,
        }
    }
}

/// The one element of a document that has this name.
struct Inside<T> {
    name: String,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Inside<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Inside<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut elements: A) -> Result<T, A::Error> {
        let mut found = None;
        while let Some(name) = elements.next_key::<String>()? {
            if name != self.name {
                elements.next_value::<IgnoredAny>()?;
            } else if found.replace(elements.next_value()?).is_some() {
                return Err(A::Error::custom("it is there twice"));
            }
        }
        found.ok_or_else(|| A::Error::custom("it is not there"))
    }
}

/// The code of an error, wherever a form puts it. It may be any text.
pub(super) fn code(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let named = headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let code = named.or_else(|| if starts(body, b'{') { code_in_json(body) } else { code_in_xml(body) })?;
    // An address may follow, and the space of names of the service precede.
    // Source: <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>
    let code = code.split(':').next().unwrap_or_default();
    Some(code.rsplit('#').next().unwrap_or_default().trim().to_owned()).filter(|code| !code.is_empty())
}

fn code_in_json(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Said {
        #[serde(rename = "__type")]
        kind: Option<String>,
        code: Option<String>,
    }
    let said: Said = serde_json::from_slice(body).ok()?;
    said.kind.or(said.code)
}

/// `ErrorResponse` of most services and `Response` of EC2 wrap an `Error`, which may also stand alone.
fn code_in_xml(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Said {
        error: Option<Coded>,
        errors: Option<Several>,
        code: Option<String>,
    }
    #[derive(Deserialize)]
    struct Several {
        #[serde(rename = "Error")]
        all: Vec<Coded>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Coded {
        code: String,
    }
    let said: Said = quick_xml::de::from_str(std::str::from_utf8(body).ok()?).ok()?;
    let several = said.errors.into_iter().flat_map(|errors| errors.all);
    said.error.into_iter().chain(several).map(|error| error.code).next().or(said.code)
}
