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
    /// The check itself did not work: its control shows nothing, or it could not be made.
    Broken(String),
}

impl Stop {
    /// Says what was being checked.
    #[must_use]
    pub fn about(self, what: &str) -> Self {
        match self {
            Self::Failed(why) => Self::Failed(format!("{what}: {why}")),
            Self::Broken(why) => Self::Broken(format!("{what}: {why}")),
            skipped @ Self::Skipped(_) => skipped,
        }
    }

    /// Why, whatever it shows.
    #[must_use]
    pub fn why(self) -> String {
        match self {
            Self::Failed(why) | Self::Skipped(why) | Self::Broken(why) => why,
        }
    }
}

impl<E: std::error::Error> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Broken(error.to_string())
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

/// Ends a check that itself did not work.
///
/// # Errors
/// Always.
pub fn broken<T>(why: impl Into<String>) -> Verdict<T> {
    Err(Stop::Broken(why.into()))
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

/// Ends a check that itself did not work, unless a condition holds: of a control, and of an attack
/// that must have run.
#[macro_export]
macro_rules! ensure_sound {
    ($holds:expr, $($message:tt)+) => {
        if !$holds {
            return $crate::broken(format!($($message)+));
        }
    };
}
