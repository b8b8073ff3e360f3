//! The colours of the page: those of the table that the boards use too, dark or light enough to be read as text.

use std::fmt::Write as _;
use std::sync::LazyLock;

use crate::meaning::{self, Meaning};

/// What a page is drawn on, what its text is darkened or lightened with, and how much of a colour tints a ground.
struct Theme {
    ground: &'static str,
    towards: &'static str,
    tint: u32,
}

/// The grounds are those of `page.css`.
const LIGHT: Theme = Theme { ground: "#fbfbfa", towards: "#000000", tint: 12 };
const DARK: Theme = Theme { ground: "#121315", towards: "#ffffff", tint: 18 };

/// WCAG asks for 4.5; a wall is read from afar.
const CONTRAST: f64 = 5.5;

/// The variables of the style, by meaning: `--bad` to write with, `--bad-tint` to write on.
pub(super) static VARIABLES: LazyLock<String> =
    LazyLock::new(|| format!("{}@media (prefers-color-scheme: dark) {{ {} }}", variables(&LIGHT), variables(&DARK)));

/// A colour to write with on light ground, and to write on in white.
pub(super) fn ink(meaning: Meaning) -> String {
    LIGHT.ink(meaning)
}

fn variables(theme: &Theme) -> String {
    let mut out = String::from(":root {");
    for meaning in Meaning::ALL {
        let name = meaning.word().replace(' ', "-");
        let _ = write!(out, " --{name}: {}; --{name}-tint: {};", theme.ink(meaning), theme.tint(meaning));
    }
    out.push_str(" }");
    out
}

impl Theme {
    fn tint(&self, meaning: Meaning) -> String {
        meaning::mixed(self.ground, meaning.colour(), self.tint)
    }

    /// As much of the colour as can be read on its own tint.
    fn ink(&self, meaning: Meaning) -> String {
        let tint = self.tint(meaning);
        let shades = (0..=20).map(|step| meaning::mixed(meaning.colour(), self.towards, step * 5));
        shades.into_iter().find(|shade| meaning::contrast(shade, &tint) >= CONTRAST).unwrap_or_else(|| self.towards.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_colour_can_be_read_on_every_ground_it_stands_on() {
        let style = super::super::STYLE;
        for (theme, card) in [(LIGHT, "#ffffff"), (DARK, "#1a1c1f")] {
            assert!(style.contains(&format!("--bg: {};", theme.ground)));
            for meaning in Meaning::ALL {
                for ground in [theme.ground, card, &theme.tint(meaning)] {
                    let contrast = meaning::contrast(&theme.ink(meaning), ground);
                    assert!(contrast >= 4.5, "{meaning:?} on {ground}: {contrast:.1}");
                }
            }
        }
        assert_eq!(VARIABLES.matches("--bad: #").count(), 2, "{}", *VARIABLES);
    }
}
