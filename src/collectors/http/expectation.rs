//! Whether the fields of an answer are those that are expected.

use super::config::JsonRule;
use crate::say;
use crate::say::{Message, named};

/// Every field has its value; else which one has not. Values are not told: a body may hold secrets.
pub(super) fn holds(rules: &[JsonRule], json: Option<&serde_json::Value>) -> Result<(), Message> {
    if rules.is_empty() {
        return Ok(());
    }
    let json = json.ok_or("the body is no JSON, or says something twice")?;
    for rule in rules {
        // The empty pointer means the whole document (RFC 6901, section 5).
        let place = if rule.pointer.is_empty() { "the whole document" } else { &rule.pointer };
        match json.pointer(&rule.pointer) {
            None => return Err(say!("{} is missing", named(place))),
            Some(value) if !is_same(value, &rule.equals) => return Err(say!("{} is not {}", named(place), named(&rule.equals.to_string()))),
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether two values say the same: 1 and 1.0 are one number, which each writer spells in its own way.
/// Source: RFC 8259, section 6
fn is_same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        // Large integers are compared as what they are.
        (Number(own), Number(same)) => own == same || (own.is_f64() || same.is_f64()) && own.as_f64() == same.as_f64(),
        (Array(own), Array(same)) => own.len() == same.len() && own.iter().zip(same).all(|(own, same)| is_same(own, same)),
        (Object(own), Object(same)) => own.len() == same.len() && own.iter().all(|(key, own)| same.get(key).is_some_and(|same| is_same(own, same))),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_is_the_same_however_it_is_spelt() {
        let told = |pairs: &[(serde_json::Value, serde_json::Value)]| {
            pairs
                .iter()
                .map(|(own, wanted)| {
                    let rule = JsonRule { pointer: "/a".to_owned(), equals: wanted.clone() };
                    holds(&[rule], Some(&json!({ "a": own }))).is_ok()
                })
                .collect::<Vec<_>>()
        };
        let same = [
            (json!(1.0), json!(1)),
            (json!(1), json!(1.0)),
            (json!([1.0, { "b": 2 }]), json!([1, { "b": 2.0 }])),
            (json!(-0.0), json!(0)),
            (json!("a"), json!("a")),
        ];
        assert_eq!(told(&same), [true; 5]);
        let large = (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992_u64));
        let other = [
            (json!(1.5), json!(1)),
            (json!("1"), json!(1)),
            (json!([1, 2]), json!([1])),
            (json!({ "b": 1 }), json!({ "c": 1 })),
            (json!(true), json!(1)),
            large,
        ];
        assert_eq!(told(&other), [false; 6]);
    }
}
