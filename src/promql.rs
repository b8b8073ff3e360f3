//! PromQL as a value: metrics with their matchers, and what is computed of them. Whoever narrows a query adds a
//! matcher to the lists of its metrics, and nobody looks for names in its text.

use std::fmt;

/// An expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The samples of a metric.
    Of(Metric),
    /// A number, a string in its quotes, or an expression that somebody else wrote.
    Text(String),
    /// A function or an aggregation over others.
    Call(String, Vec<Self>),
    /// Two of them, with the operator and its matching in between.
    Both(Box<Self>, String, Box<Self>),
    /// One in brackets.
    Group(Box<Self>),
}

/// A metric, the matchers of its labels, and over how long it is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    name: String,
    matchers: Vec<String>,
    range: Option<&'static str>,
}

/// All samples of a metric.
pub fn metric(name: impl Into<String>) -> Metric {
    Metric { name: name.into(), matchers: Vec::new(), range: None }
}

/// The moment at which is asked.
pub fn time() -> Query {
    call("time", [])
}

/// A function, or an aggregation as a whole.
pub fn call<const N: usize>(function: &str, of: [Query; N]) -> Query {
    Query::Call(function.to_owned(), of.into())
}

/// A string.
pub fn text(text: &str) -> Query {
    Query::Text(quoted(text))
}

impl Metric {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Of these, those whose label has a value.
    #[must_use]
    pub fn with(mut self, label: &str, value: &str) -> Self {
        self.matchers.push(format!("{label}={}", quoted(value)));
        self
    }

    /// Of these, those whose label is like a pattern, which is written as it stands.
    #[must_use]
    pub fn like(mut self, label: &str, pattern: &str) -> Self {
        self.matchers.push(format!("{label}=~\"{pattern}\""));
        self
    }

    /// The same, with the labels that decide first in front.
    pub fn within(&mut self, labels: &[(&str, &str)]) {
        let matchers = labels.iter().map(|(label, pattern)| format!("{label}=~\"{pattern}\""));
        self.matchers.splice(0..0, matchers.collect::<Vec<_>>());
    }

    /// How fast it has risen.
    pub fn rate(self, over: &'static str) -> Query {
        call("rate", [Query::Of(Self { range: Some(over), ..self })])
    }
}

impl Query {
    /// The metrics in it.
    pub fn metrics(&mut self) -> Vec<&mut Metric> {
        match self {
            Self::Of(metric) => vec![metric],
            Self::Text(_) => Vec::new(),
            Self::Call(_, of) => of.iter_mut().flat_map(Self::metrics).collect(),
            Self::Both(left, _, right) => [left, right].into_iter().flat_map(|side| side.metrics()).collect(),
            Self::Group(of) => of.metrics(),
        }
    }
}

/// What can be made of a metric as well as of what was computed.
pub trait Compute: Into<Query> {
    /// One value for each combination of these labels.
    fn by(self, aggregation: &str, labels: &[&str]) -> Query {
        Query::Call(format!("{aggregation} by ({}) ", labels.join(", ")), vec![self.into()])
    }

    /// The largest for each combination of these labels.
    fn max(self, labels: &[&str]) -> Query {
        self.by("max", labels)
    }

    /// The smallest for each combination of these labels.
    fn min(self, labels: &[&str]) -> Query {
        self.by("min", labels)
    }

    /// The sum for each combination of these labels.
    fn sum(self, labels: &[&str]) -> Query {
        self.by("sum", labels)
    }

    /// The ten largest.
    fn top(self) -> Query {
        call("topk", [10.into(), self.into()])
    }

    /// With another one on the right.
    fn and(self, operator: &str, right: impl Into<Query>) -> Query {
        Query::Both(Box::new(self.into()), operator.to_owned(), Box::new(right.into()))
    }

    /// Those that are 1, which the present state of a state set is.
    fn ones(self) -> Query {
        self.and("==", 1)
    }

    /// In brackets.
    fn grouped(self) -> Query {
        Query::Group(Box::new(self.into()))
    }
}

impl<T: Into<Query>> Compute for T {}

impl From<Metric> for Query {
    fn from(metric: Metric) -> Self {
        Self::Of(metric)
    }
}

impl From<u32> for Query {
    fn from(number: u32) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<f64> for Query {
    fn from(number: f64) -> Self {
        Self::Text(number.to_string())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if !self.matchers.is_empty() {
            write!(f, "{{{}}}", self.matchers.join(","))?;
        }
        self.range.map_or(Ok(()), |range| write!(f, "[{range}]"))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(metric) => metric.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Call(function, of) => {
                let of: Vec<String> = of.iter().map(ToString::to_string).collect();
                write!(f, "{function}({})", of.join(", "))
            }
            Self::Both(left, operator, right) => write!(f, "{left} {operator} {right}"),
            Self::Group(of) => write!(f, "({of})"),
        }
    }
}

/// A string of PromQL, which knows the escapes of Go and not those of Rust.
pub fn quoted(text: &str) -> String {
    let escaped = text.chars().fold(String::new(), |mut out, character| {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            // Its reader takes the replacement character for a mistake in the encoding.
            char::REPLACEMENT_CHARACTER => out.push_str("\\ufffd"),
            other => out.push(other),
        }
        out
    });
    format!("\"{escaped}\"")
}

/// Whether an expression that somebody wrote can be one at all: something that is no comment, in which every bracket
/// and every string is closed. Prometheus refuses a whole file of rules for one that is not.
pub fn read(expression: &str) -> Result<(), String> {
    let (mut open, mut is_blank) = (Vec::new(), true);
    let mut rest = expression.chars();
    while let Some(character) = rest.next() {
        match character {
            '#' => drop(rest.by_ref().find(|next| *next == '\n')),
            '"' | '\'' | '`' => close(character, &mut rest)?,
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' => match open.pop() {
                Some(wanted) if wanted == character => {}
                Some(wanted) => return Err(format!("must be PromQL; {character} stands where {wanted} is missing")),
                None => return Err(format!("must be PromQL; {character} closes nothing")),
            },
            _ => {}
        }
        is_blank &= character == '#' || character.is_whitespace();
    }
    match open.pop() {
        Some(wanted) => Err(format!("must be PromQL; {wanted} is missing")),
        None if is_blank => Err("must be PromQL, and not empty".to_owned()),
        None => Ok(()),
    }
}

/// Goes to the end of a string. One in backticks knows no escapes.
fn close(quote: char, rest: &mut std::str::Chars<'_>) -> Result<(), String> {
    while let Some(character) = rest.next() {
        match character {
            '\\' if quote != '`' => drop(rest.next()),
            _ if character == quote => return Ok(()),
            _ => {}
        }
    }
    Err(format!("must be PromQL; a string that begins with {quote} does not end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matcher reaches each metric of a query, whatever stands around it, and no text.
    #[test]
    fn a_matcher_reaches_each_metric() {
        let named = call("label_replace", [metric("b").with("x", "a \"b\"").into(), text("b")]);
        let mut query = metric("a").rate("5m").max(&["x", "y"]).and("or", named.grouped()).top();
        assert_eq!(query.to_string(), "topk(10, max by (x, y) (rate(a[5m])) or (label_replace(b{x=\"a \\\"b\\\"\"}, \"b\")))");
        query.metrics().into_iter().for_each(|metric| metric.within(&[("z", "$z")]));
        assert_eq!(query.to_string(), "topk(10, max by (x, y) (rate(a{z=~\"$z\"}[5m])) or (label_replace(b{z=~\"$z\",x=\"a \\\"b\\\"\"}, \"b\")))");
    }

    #[test]
    fn an_expression_that_is_cut_off_is_refused() {
        for good in ["up == 0", "up{job=\"a}\"}", "sum by (x) (rate(a{b='\\'('}[5m])) > 1 # not (this", "{__name__=~`a\\`}", "a[5m:1m]"] {
            assert_eq!(read(good), Ok(()), "{good}");
        }
        for (broken, why) in [
            ("up{job=", "must be PromQL; } is missing"),
            ("sum(up", "must be PromQL; ) is missing"),
            ("up) == 0", "must be PromQL; ) closes nothing"),
            ("rate(a[5m)", "must be PromQL; ) stands where ] is missing"),
            ("up{job=\"a}", "must be PromQL; a string that begins with \" does not end"),
            (" # up", "must be PromQL, and not empty"),
        ] {
            assert_eq!(read(broken), Err(why.to_owned()), "{broken}");
        }
    }
}
