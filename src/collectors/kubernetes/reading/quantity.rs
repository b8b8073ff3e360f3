//! Resource quantities as the Kubernetes API writes them: `250m`, `8Gi`, `1e3`, `812345678n`.
//!
//! Format: <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

/// A quantity in base units: cores, bytes or a count. What is no quantity is `None`, never 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(in crate::collectors::kubernetes) struct Quantity(pub(in crate::collectors::kubernetes) Option<f64>);

/// Parts of a unit. What is divided by a whole number is the nearest to what was written, so that `1600m` equals `1.6`.
const PARTS: [(&str, f64); 4] = [("n", 1e9), ("u", 1e6), ("µ", 1e6), ("m", 1e3)];

const SUFFIXES: [(&str, f64); 12] = [
    ("Ki", 1024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// A quantity from its text; `None` for what is none, negative or beyond every machine.
pub(in crate::collectors::kubernetes) fn parse(text: &str) -> Option<f64> {
    let ends = |suffixes: &[(&str, f64)]| suffixes.iter().find_map(|(suffix, by)| Some((text.strip_suffix(suffix)?, *by)));
    let (number, factor, parts) = match (ends(&PARTS), ends(&SUFFIXES)) {
        (Some((number, parts)), _) => (number, 1.0, parts),
        (None, Some((number, factor))) => (number, factor, 1.0),
        (None, None) => (text, 1.0, 1.0),
    };
    // Rust also reads "inf" and "nan", which the API does not write.
    let digits = number.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '+'));
    let value = digits.then(|| number.parse::<f64>().ok()).flatten()? * factor / parts;
    (0.0..1e24).contains(&value).then_some(value)
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_str<E>(self, text: &str) -> Result<Quantity, E> {
                Ok(Quantity(parse(text)))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(Some(number as f64)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Quantity, E> {
                Ok(Quantity((number >= 0).then_some(number as f64)))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Quantity, E> {
                Ok(Quantity((0.0..1e24).contains(&number).then_some(number)))
            }

            fn visit_unit<E>(self) -> Result<Quantity, E> {
                Ok(Quantity(None))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix_is_read_and_nonsense_is_not_zero() {
        let good = [
            ("0", 0.0),
            ("4", 4.0),
            ("250m", 0.25),
            ("812345678n", 0.812_345_678),
            ("5u", 5e-6),
            ("1k", 1e3),
            ("2M", 2e6),
            ("1.5G", 1.5e9),
            ("3T", 3e12),
            ("1P", 1e15),
            ("1E", 1e18),
            ("1e3", 1e3),
            ("1E3", 1e3),
            ("1Ki", 1024.0),
            ("47233297124", 47_233_297_124.0),
            ("31457280Ki", 31_457_280.0 * 1024.0),
            ("1.5Gi", 1.5 * 1_073_741_824.0),
            (".5", 0.5),
            ("+2", 2.0),
        ];
        for (text, value) in good {
            let read = parse(text).unwrap_or_else(|| panic!("{text}"));
            assert!((read - value).abs() <= value * 1e-12, "{text}: {read}");
        }
        for text in ["", "Gi", "-1", "inf", "NaN", "ten", "1 Gi", "1gi", "9999999999999999999Ei", "1e400"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_and_null_are_taken_as_well() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json).unwrap().0;
        assert_eq!((read("2"), read("\"2\""), read("0.5"), read("null"), read("-3")), (Some(2.0), Some(2.0), Some(0.5), None, None));
    }

    #[test]
    fn fuzz_quantities() {
        crate::fuzz::survive_text(&["100m", "1.5Gi", "12e6", "5k"], |text| {
            if let Some(amount) = parse(text) {
                assert!(amount.is_finite(), "{text}");
            }
        });
    }
}
