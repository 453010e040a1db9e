//! Copying between the host and a sandbox.

use std::path::{Path, PathBuf};

use stockade_host::copy::{Copied, Limits, into_sandbox, out_of_sandbox};
use stockade_host::state::check_name;

use super::{Result, sandboxes};

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A path of the host.
    Host(PathBuf),
    /// A path in a sandbox.
    Inside {
        /// Its name or id.
        sandbox: String,
        /// The path, absolute.
        path: PathBuf,
    },
}

impl Place {
    /// `NAME:/PATH` is inside; everything else is a path of the host, as is `./a:/b`.
    pub fn parse(text: &str) -> Self {
        match text.split_once(':') {
            // An id can name a sandbox as well, and is no name that a sandbox can be given.
            Some((sandbox, path))
                if path.starts_with('/') && (check_name(sandbox).is_ok() || is_plain(sandbox)) =>
            {
                Self::Inside {
                    sandbox: sandbox.to_owned(),
                    path: path.into(),
                }
            }
            _ => Self::Host(text.into()),
        }
    }
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Copies out of a sandbox.
///
/// # Errors
/// It does not run, or the source or destination cannot be used.
pub async fn out(sandbox: &str, from: &Path, to: &Path, limits: Limits) -> Result<Copied> {
    let mut files = sandboxes::connect(sandbox).await?.files();
    Ok(out_of_sandbox(&mut files, from, to, limits).await?)
}

/// Copies into a sandbox.
///
/// # Errors
/// It does not run, or the source or destination cannot be used.
pub async fn into(from: &Path, sandbox: &str, to: &Path, limits: Limits) -> Result<Copied> {
    let mut files = sandboxes::connect(sandbox).await?.files();
    Ok(into_sandbox(&mut files, from, to, limits).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_and_an_absolute_path_are_inside() {
        let inside = |text: &str| matches!(Place::parse(text), Place::Inside { .. });
        assert!(inside("web:/a") && inside("1ng2m2d94hka:/a"));
        for host in ["a", "./web:/a", "web:a", "/x:/y", ":/a", "a b:/c"] {
            assert!(!inside(host), "{host}");
        }
    }
}
