//! What becomes of watches, which no check must notice.

use super::{Group, unnoticed};

pub(super) static GROUP: Group = Group {
    name: "watches",
    faults: &[
        unnoticed("watch-gone", "watches in us-west-2 end with 410 Gone"),
        unnoticed("watch-compacted", "etcd of us-west-2 is compacted again and again, so that watches must list anew"),
        unnoticed("watch-close", "watches in us-west-2 close at once"),
    ],
};
