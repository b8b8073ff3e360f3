//! Where the items of lists stood before others were cut out: a problem is told at the place where a
//! person finds it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What was cut out of the settings.
#[derive(Default)]
pub(super) struct Origins {
    /// The settings before anything was.
    whole: Option<Value>,
    /// Of each list that lost an item, by its first path: where those that are left stood.
    left: BTreeMap<String, Vec<usize>>,
}

impl Origins {
    /// Keeps the settings as they are now, unless that was done before.
    pub(super) fn keep(&mut self, settings: &Value) {
        self.whole.get_or_insert_with(|| settings.clone());
    }

    /// The settings before anything was cut out of them, which they are `now` if nothing was.
    pub(super) fn whole<'a>(&'a self, now: &'a Value) -> &'a Value {
        self.whole.as_ref().unwrap_or(now)
    }

    /// An item is taken from a list of so many, which has this path now.
    pub(super) fn removed(&mut self, list: &str, length: usize, index: usize) {
        let left = self.left.entry(self.path(list)).or_insert_with(|| (0..length).collect());
        if index < left.len() {
            left.remove(index);
        }
    }

    /// The first path of what has this one now.
    pub(super) fn path(&self, now: &str) -> String {
        let (mut first, mut rest) = (String::new(), now);
        while let Some((before, (inside, after))) = rest.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?))) {
            first.push_str(before);
            let stood = |index: usize| self.left.get(&first).and_then(|left| left.get(index).copied()).unwrap_or(index);
            let inside = inside.parse().map_or_else(|_| inside.to_owned(), |index| stood(index).to_string());
            first = format!("{first}[{inside}]");
            rest = after;
        }
        first + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_found_where_it_stood() {
        let mut origins = Origins::default();
        origins.removed("a.b", 4, 1);
        origins.removed("a.b", 3, 0);
        // The first that is left was the third, and loses the second of its own.
        origins.removed("a.b[0].c", 3, 1);
        for (now, first) in [("a.b[0].x", "a.b[2].x"), ("a.b[1]", "a.b[3]"), ("a.b[0].c[1].d", "a.b[2].c[2].d"), ("a.c[1]", "a.c[1]"), ("a[x", "a[x"), ("", "")]
        {
            assert_eq!(origins.path(now), first);
        }
    }
}
