//! The text that is scraped, in the two formats that Prometheus asks for.
//!
//! Our own writer, because the `prometheus` crate needs every sample as an owned tree of label
//! pairs first; `benches/exposition.rs` holds the figures of both. A sample is written alike in both formats: only
//! what stands before a family and at the end differs, so that text that is kept serves whoever asks.
//! Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::Write as _;

use super::{Family, Sample};

/// How a scrape is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The text format of Prometheus, 0.0.4.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What stands behind everything else.
    pub fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }
}

/// The endings of names that are units, in base units.
const UNITS: [&str; 3] = ["seconds", "bytes", "ratio"];

/// Writes what stands before the samples of a family.
pub fn write_header(out: &mut String, family: &Family, format: Format) {
    let help = escape_help(family.help);
    match format {
        Format::Text => {
            let _ = writeln!(out, "# HELP {} {help}", family.name);
            let kind = if family.name.ends_with("_total") { "counter" } else { "gauge" };
            let _ = writeln!(out, "# TYPE {} {kind}", family.name);
        }
        Format::OpenMetrics => write_metadata(out, family.name, &help),
    }
}

/// What stands before a family in OpenMetrics, where it is called without the ending that its type gives to samples. Our state
/// sets are gauges there: a `stateset` wants the label of the state to be called like the family.
fn write_metadata(out: &mut String, samples: &str, help: &str) {
    let endings = [("_total", "counter"), ("_info", "info")];
    let typed = endings.into_iter().find_map(|(ending, kind)| Some((samples.strip_suffix(ending)?, kind)));
    let (name, kind) = typed.unwrap_or((samples, "gauge"));
    let _ = writeln!(out, "# TYPE {name} {kind}");
    let unit = UNITS.into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|before| before.ends_with('_')));
    if let Some(unit) = unit {
        let _ = writeln!(out, "# UNIT {name} {unit}");
    }
    let _ = writeln!(out, "# HELP {name} {}", help.replace('"', "\\\""));
}

/// Counters that are text already, in a format. What is no sample and no HELP says nothing that the name does not.
pub fn of_counters(text: String, format: Format) -> String {
    if format == Format::Text {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        match line.strip_prefix("# HELP ").and_then(|header| header.split_once(' ')) {
            Some((name, help)) => write_metadata(&mut out, name, help),
            None if line.starts_with('#') => {}
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

/// Writes samples, which are of one family if anybody is to read them.
pub fn write_samples(out: &mut String, samples: &[Sample]) {
    for sample in samples {
        if sample.family.states.is_empty() {
            write_series(out, sample, None, sample.value);
            continue;
        }
        let current = sample.state();
        for state in sample.family.states {
            write_series(out, sample, Some(state), f64::from(u8::from(current == Some(state))));
        }
    }
}

fn write_series(out: &mut String, sample: &Sample, state: Option<&str>, value: f64) {
    out.push_str(sample.family.name);
    let mut separator = '{';
    for (name, label) in sample.label_pairs().chain(state.map(|state| ("state", state))) {
        out.push(separator);
        out.push_str(name);
        out.push_str("=\"");
        push_label_value(out, label);
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    out.push(' ');
    push_value(out, value);
    out.push('\n');
}

fn escape_help(help: &str) -> String {
    help.replace('\\', "\\\\").replace('\n', "\\n")
}

fn push_label_value(out: &mut String, value: &str) {
    if !value.bytes().any(|byte| matches!(byte, b'"' | b'\\' | b'\n')) {
        out.push_str(value);
        return;
    }
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn push_value(out: &mut String, value: f64) {
    #[expect(clippy::cast_possible_truncation, reason = "the branch holds only integers below 2^53")]
    let _ = if value.is_nan() {
        write!(out, "NaN")
    } else if value.is_infinite() {
        write!(out, "{}Inf", if value > 0.0 { '+' } else { '-' })
    } else if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        write!(out, "{}", value as i64)
    } else {
        write!(out, "{value}")
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors;
    use crate::metric::{Gauge, Unit, gauge};

    static COUNTED: Gauge<0> = gauge("t_seen_total", Unit::Number, &[], "What \"was\" seen.");
    static NAMED: Gauge<1> = gauge("t_build_info", Unit::Mark, &["version"], "Version.");
    static HEAVY: Gauge<0> = gauge("t_size_bytes", Unit::Bytes, &[], "How\nheavy.");
    static BYTES: Gauge<0> = gauge("t_megabytes", Unit::Number, &[], "No unit.");

    #[test]
    fn open_metrics_has_names_without_endings_and_units_where_the_name_says_so() {
        let text = |family: &Family| {
            let mut out = String::new();
            write_header(&mut out, family, Format::OpenMetrics);
            out
        };
        assert_eq!(text(&COUNTED.0), "# TYPE t_seen counter\n# HELP t_seen What \\\"was\\\" seen.\n");
        assert_eq!(text(&NAMED.0), "# TYPE t_build info\n# HELP t_build Version.\n");
        assert_eq!(text(&HEAVY.0), "# TYPE t_size_bytes gauge\n# UNIT t_size_bytes bytes\n# HELP t_size_bytes How\\nheavy.\n");
        assert_eq!(text(&BYTES.0), "# TYPE t_megabytes gauge\n# HELP t_megabytes No unit.\n");
    }

    #[test]
    fn counters_that_are_text_are_written_anew() {
        let text =
            "# HELP a_seconds_total A \"b\".\n# TYPE a_seconds_total counter\na_seconds_total 1.5\n# lost\n# HELP b B.\n# TYPE b gauge\nb{c=\"# d\"} 2\n";
        assert_eq!(
            of_counters(text.to_owned(), Format::OpenMetrics),
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds A \\\"b\\\".\na_seconds_total 1.5\n# TYPE b gauge\n# HELP b B.\nb{c=\"# d\"} 2\n"
        );
        assert_eq!(of_counters(text.to_owned(), Format::Text), text);
    }

    /// An info is always 1, and a name that ends like a sample of another type would be taken for one.
    #[test]
    fn every_name_is_one_of_open_metrics() {
        let all = collectors::all().flat_map(|collector| collector.families().collect::<Vec<_>>());
        let all =
            all.chain(crate::snapshot::FAMILIES.iter().copied()).chain(crate::verdict::FAMILIES.iter().copied()).chain(crate::event::FAMILIES.iter().copied());
        for family in all {
            assert!(!family.name.ends_with("_info") || family.unit == Unit::Mark && family.states.is_empty(), "{}", family.name);
            for ending in ["_created", "_count", "_sum", "_bucket", "_gcount", "_gsum"] {
                assert!(!family.name.ends_with(ending), "{}", family.name);
            }
        }
    }

    #[test]
    fn values_are_written_as_prometheus_reads_them() {
        for (value, expected) in [
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (1_764_000_000.0, "1764000000"),
            (-0.5, "-0.5"),
            (1e300, &format!("{}", 1e300)),
        ] {
            let mut out = String::new();
            push_value(&mut out, value);
            assert_eq!(out, expected);
        }
    }
}
