//! The skips that are permitted, as a file: one that is not in it fails, so that nothing stops
//! being checked unnoticed.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::tree::Tree;
use crate::user;

/// The steps in which tests run as another user than the caller.
const OF_ANOTHER_USER: [&str; 2] = ["user", "battery-user"];

/// Where they stand.
const FILE: &str = "xtask/skips.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    skip: Vec<Permitted>,
}

/// Tests that may be skipped for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permitted {
    /// What the test says; `*` stands for any text.
    reason: String,
    /// For whom.
    user: Who,
    /// Which tests; `*` stands for any text.
    tests: Vec<String>,
}

/// Who runs the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Who {
    Root,
    User,
    Both,
}

/// Reads the file.
pub fn read(tree: &Tree) -> Result<Vec<Permitted>> {
    parse(&tree.read(FILE.as_ref())?)
}

fn parse(text: &str) -> Result<Vec<Permitted>> {
    let file: File = toml::from_str(text).context(FILE)?;
    Ok(file.skip)
}

/// What to say of those that are not in it; each skip is `name: reason`.
pub fn new_ones(permitted: &[Permitted], step: &str, skips: &[String]) -> Vec<String> {
    let who = if user::is_root() && !OF_ANOTHER_USER.contains(&step) {
        Who::Root
    } else {
        Who::User
    };
    let new = skips.iter().filter(|skip| !is_permitted(permitted, who, skip));
    new.map(|skip| format!("a skip that {FILE} does not permit: {skip}"))
        .collect()
}

fn is_permitted(permitted: &[Permitted], who: Who, skip: &str) -> bool {
    let Some((name, reason)) = skip.split_once(": ") else {
        return false;
    };
    permitted.iter().any(|entry| {
        (entry.user == Who::Both || entry.user == who)
            && matches(&entry.reason, reason)
            && entry.tests.iter().any(|test| matches(test, name))
    })
}

/// Whether a text is as a pattern says.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "[[skip]]\nuser = \"user\"\nreason = \"it needs root*\"\ntests = [\"*::files::FS08\", \"own\"]\n";

    #[test]
    fn a_star_is_any_text() {
        for (pattern, text, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "abd", false),
            ("abc", "abcd", false),
            ("*::x", "native::x", true),
            ("a*b*c", "a-b-b-c", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_skip_is_permitted_for_its_test_its_reason_and_its_user() {
        let permitted = parse(TEXT).unwrap();
        let is = |who, skip| is_permitted(&permitted, who, skip);
        assert!(is(Who::User, "native::files::FS08: it needs root: exit 1"));
        assert!(is(Who::User, "own: it needs root"));
        assert!(!is(Who::User, "native::files::FS09: it needs root"));
        assert!(!is(Who::User, "native::files::FS08: another reason"));
        assert!(!is(Who::Root, "native::files::FS08: it needs root"));
    }

    #[test]
    fn what_is_not_permitted_is_named_with_the_file() {
        let new = new_ones(&[], "tests", &["a: b".to_owned()]);
        assert_eq!(new, ["a skip that xtask/skips.toml does not permit: a: b"]);
    }
}
