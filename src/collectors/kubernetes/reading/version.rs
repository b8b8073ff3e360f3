//! Kubernetes versions and how far they are apart.

/// Major and minor of `v1.31.2-eks-7f9249a` or `1.31+`.
pub(in crate::collectors::kubernetes) fn minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.strip_prefix('v').unwrap_or(version).split('.');
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?;
    let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
    Some((major, minor[..digits].parse().ok()?))
}

/// Minor versions that `other` is behind `server`; negative when it is ahead. `None` across majors
/// and where one is no version.
pub(in crate::collectors::kubernetes) fn behind(server: &str, other: &str) -> Option<i64> {
    let ((major, own), (other_major, other)) = (minor(server)?, minor(other)?);
    (major == other_major).then(|| i64::from(own) - i64::from(other))
}

/// Whether a version is what `expected` says, as far as that goes: `1.33` takes every patch of it.
pub(in crate::collectors::kubernetes) fn is(version: &str, expected: &str) -> bool {
    let bare = |text: &'_ str| text.strip_prefix('v').unwrap_or(text).to_owned();
    bare(version).strip_prefix(&bare(expected)).is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_every_distribution_writes_them() {
        for (version, read) in
            [("v1.31.2-eks-7f9249a", Some((1, 31))), ("1.31+", Some((1, 31))), ("v1.33.4+k3s1", Some((1, 33))), ("v1", None), ("", None), ("vX.3", None)]
        {
            assert_eq!(minor(version), read, "{version}");
        }
        assert_eq!(behind("v1.33.4", "v1.30.9"), Some(3));
        assert_eq!(behind("v1.33.4", "v1.34.0"), Some(-1));
        assert_eq!(behind("v1.33.4", "v2.0.0"), None);
    }

    #[test]
    fn an_expected_version_is_compared_as_far_as_it_goes() {
        for (expected, same) in
            [("1.33", true), ("v1.33.4", true), ("v1.33.4-eks-1", true), ("1.3", false), ("1.34", false), ("v1.33.40", false), ("1.33.", false)]
        {
            assert_eq!(is("v1.33.4-eks-1", expected), same, "{expected}");
        }
    }
}
