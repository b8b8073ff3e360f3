//! The closed lists of what a state set may say. A list is an enum, so a state that is not declared does not
//! compile, and its words stand once.

use super::Sample;

/// A closed list of states, which `states!` declares.
pub trait States: Copy + PartialEq + Send + Sync + 'static {
    /// Every state, in label order.
    const ALL: &'static [Self];
    /// Their label values.
    const WORDS: &'static [&'static str];
    /// What people read for a state with which all is well, where its word alone is no sentence.
    const SAYINGS: &'static [(&'static str, &'static str)];

    /// The state that a sample of such a set is in.
    fn of(sample: &Sample) -> Option<Self> {
        let word = sample.state()?;
        Self::ALL.iter().zip(Self::WORDS).find(|(_, own)| **own == word).map(|(state, _)| *state)
    }
}

/// Declares a list of states as an enum: each with its word and, where that alone is no sentence, what people read
/// for it. The order is that of the labels; where another one counts for comparing, each state has its rank.
macro_rules! states {
    (
        $(#[$doc:meta])* $scope:vis enum $set:ident {
            $($(#[$about:meta])* $state:ident $(= $rank:literal)? => $word:literal $(: $saying:literal)?),+ $(,)?
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        $scope enum $set {
            $($(#[$about])* $state $(= $rank)?),+
        }

        impl $set {
            /// The label value.
            $scope const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$state => $word),+
                }
            }
        }

        impl $crate::metric::States for $set {
            const ALL: &'static [Self] = &[$(Self::$state),+];
            const WORDS: &'static [&'static str] = &[$(Self::$state.as_str()),+];
            const SAYINGS: &'static [(&'static str, &'static str)] = &[$($((Self::$state.as_str(), $saying),)?)+];
        }
    };
}
pub(crate) use states;
