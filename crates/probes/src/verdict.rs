//! How a check ends.

/// How a check ended: it held, or why not.
pub type Verdict<T = ()> = Result<T, Stop>;

/// Why a check did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was checked and does not hold.
    Failed(String),
    /// It could not be checked here; never a pass.
    Skipped(String),
}

impl Stop {
    /// Says what was being checked.
    #[must_use]
    pub fn about(self, what: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{what}: {why}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Ends a check as not held.
///
/// # Errors
/// Always.
pub fn fail<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Failed(why.into()))
}

/// Ends a check as not checked.
///
/// # Errors
/// Always.
pub fn skip<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Skipped(why.into()))
}

/// Fails with a message unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return $crate::fail(format!($($message)+));
        }
    };
}
