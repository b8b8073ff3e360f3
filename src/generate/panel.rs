//! Panels that leave nothing to Grafana: every one tells its colours, its bounds and its word for no data, which is never
//! green. Where Grafana is told nothing it takes green, and red from 80 on.

use serde_json::{Value, json};

use crate::meaning::Meaning;

/// What a panel says without any series. It promises nothing: whoever asked may have got no answer.
pub(super) const NO_DATA: &str = "no data";

/// A panel of a kind, on which nothing is good yet.
pub(super) fn panel(kind: &str, title: &str, about: &str, targets: Vec<Value>) -> Value {
    json!({ "type": kind, "title": title, "description": about, "targets": lettered(targets),
        "fieldConfig": { "defaults": { "unit": "short", "noValue": NO_DATA, "color": { "mode": "thresholds" }, "thresholds": steps(&[]) }, "overrides": [] } })
}

/// Each query under a letter of its own, in order.
fn lettered(targets: Vec<Value>) -> Vec<Value> {
    let letter = |(mut target, letter): (Value, char)| {
        target["refId"] = json!(letter.to_string());
        target
    };
    targets.into_iter().zip('A'..).map(letter).collect()
}

/// Bounds above which something means something. Below the first one, and without a number, nothing is known.
pub(super) fn steps(bounds: &[(f64, Meaning)]) -> Value {
    let base = json!({ "value": null, "color": Meaning::Unknown.colour() });
    let above = bounds.iter().map(|(at, meaning)| json!({ "value": at, "color": meaning.colour() }));
    let steps: Vec<Value> = [base].into_iter().chain(above).collect();
    json!({ "mode": "absolute", "steps": steps })
}

/// One colour, whatever the value.
pub(super) fn fixed(colour: &str) -> Value {
    json!({ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } })
}

/// What is set for one field.
pub(super) fn named(field: &str, properties: Vec<Value>) -> Value {
    json!({ "matcher": { "id": "byName", "options": field }, "properties": Value::Array(properties) })
}

/// Words for values, each with its colour.
pub(super) fn words(of: &[(i32, &str)]) -> Value {
    let options: serde_json::Map<String, Value> = of
        .iter()
        .enumerate()
        .map(|(index, (value, word))| (value.to_string(), json!({ "text": word, "color": Meaning::of(&word.to_lowercase()).colour(), "index": index })))
        .collect();
    json!([{ "type": "value", "options": options }])
}

/// A big value with its name. Its word is always shown: a name alone would be hidden where there is no series.
pub(super) fn stat(title: &str, about: &str, targets: Vec<Value>, background: bool) -> Value {
    let mut panel = panel("stat", title, about, targets);
    panel["options"] = json!({ "textMode": "value_and_name", "colorMode": if background { "background" } else { "value" },
        "graphMode": "none", "reduceOptions": { "calcs": ["lastNotNull"] } });
    panel
}

/// What a graph draws along its axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    /// Of Grafana's units.
    pub(super) unit: &'static str,
    /// What must be in view, beside zero.
    pub(super) reach: f64,
}

impl Axis {
    /// An axis that begins at zero and fits what is drawn.
    pub(super) fn of(unit: &'static str) -> Self {
        let reach = match unit {
            "percentunit" => 1.0,
            "s" => 10.0,
            "reqps" => 0.1,
            "bytes" => f64::from(1 << 20),
            _ => 4.0,
        };
        Self { unit, reach }
    }
}

/// A graph over time, with its series in a table at the right, where none of them is cut off.
pub(super) fn graph(title: &str, about: &str, targets: Vec<Value>, axis: Axis) -> Value {
    let mut panel = panel("timeseries", title, about, targets);
    panel["options"] = json!({
        "legend": { "showLegend": true, "displayMode": "table", "placement": "right", "calcs": ["last"], "sortBy": "Last", "sortDesc": true },
        "tooltip": { "mode": "multi", "sort": "desc" } });
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["unit"] = json!(axis.unit);
    // Places have colours by their names, the same in every graph; states have those of what they mean.
    defaults["color"] = json!({ "mode": "palette-classic-by-name" });
    defaults["custom"] = json!({ "axisSoftMin": 0, "axisSoftMax": axis.reach, "lineWidth": 2, "showPoints": "never", "thresholdsStyle": { "mode": "off" } });
    if axis.unit == "none" {
        defaults["decimals"] = json!(0);
    }
    panel
}

/// Bounds in a graph: dashed lines and the ground beyond them, so that none of it looks like a series.
pub(super) fn bounded(panel: &mut Value, bounds: Value, reach: f64) {
    let defaults = &mut panel["fieldConfig"]["defaults"];
    defaults["thresholds"] = bounds;
    defaults["custom"]["thresholdsStyle"] = json!({ "mode": "dashed+area" });
    let present = defaults["custom"]["axisSoftMax"].as_f64().unwrap_or_default();
    defaults["custom"]["axisSoftMax"] = json!(present.max(reach));
}

/// Columns of a table: left out, renamed, and in which order.
pub(super) fn columns(without: &[&str], renamed: &[(&str, &str)]) -> Value {
    let without: serde_json::Map<String, Value> = without.iter().map(|name| ((*name).to_owned(), json!(true))).collect();
    let order: serde_json::Map<String, Value> = renamed.iter().enumerate().map(|(index, (name, _))| ((*name).to_owned(), json!(index))).collect();
    let names: serde_json::Map<String, Value> = renamed.iter().map(|(name, title)| ((*name).to_owned(), json!(title))).collect();
    json!({ "id": "organize", "options": { "excludeByName": without, "indexByName": order, "renameByName": names } })
}

/// Rows in the order of a column.
pub(super) fn sorted(field: &str, descending: bool) -> Value {
    json!({ "id": "sortBy", "options": { "sort": [{ "field": field, "desc": descending }] } })
}

/// Of what need not be there no data is no news.
pub(super) fn blank() -> Value {
    json!({ "id": "noValue", "value": "\u{2013}" })
}

/// How wide a column is, in pixels.
pub(super) fn width(pixels: u32) -> Value {
    json!({ "id": "custom.width", "value": pixels })
}

/// A moment, as how far away it is; one that is not known has a word for that.
pub(super) fn moment() -> Vec<Value> {
    let never = json!([{ "type": "value", "options": { "0": { "text": "\u{2013}", "index": 0 } } }]);
    vec![json!({ "id": "unit", "value": "dateTimeFromNow" }), json!({ "id": "mappings", "value": never }), width(125)]
}
