//! Notes on sandboxes: `KEY=VALUE`.

use std::str::FromStr;

const MAX_KEY: usize = 63;
const MAX_VALUE: usize = 256;

/// A note on a sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// What it is about.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// What is looked for: a key, or a key with just this value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFilter {
    /// The key.
    pub key: String,
    /// The value; none takes any.
    pub value: Option<String>,
}

/// A text that is no label.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write KEY=VALUE: a key of up to 63 letters, digits, dots, dashes, underscores and slashes, and up to 256 bytes of printable text"
)]
pub struct LabelError;

impl FromStr for Label {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let (key, value) = text.split_once('=').ok_or(LabelError)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
        let key_fits = (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(is_plain);
        let value_fits = value.len() <= MAX_VALUE && !value.chars().any(char::is_control);
        if !key_fits || !value_fits {
            return Err(LabelError);
        }
        Ok(Self {
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

impl FromStr for LabelFilter {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let whole = if text.contains('=') {
            text.to_owned()
        } else {
            format!("{text}=")
        };
        let Label { key, value } = whole.parse()?;
        Ok(Self {
            key,
            value: text.contains('=').then_some(value),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_what_a_key_may_not() {
        let label: Label = "team/name=a b=é".parse().expect("a label");
        assert_eq!((label.key.as_str(), label.value.as_str()), ("team/name", "a b=é"));
    }

    #[test]
    fn what_could_trick_a_terminal_is_refused() {
        for wrong in ["", "a", "=b", "a b=c", "a=\u{1b}[2J", "a=b\nc"] {
            assert_eq!(wrong.parse::<Label>(), Err(LabelError), "{wrong:?}");
        }
    }

    #[test]
    fn a_filter_takes_any_value_or_just_one() {
        let filter = |text: &str| text.parse::<LabelFilter>().map(|filter| filter.value);
        assert_eq!(filter("a"), Ok(None));
        assert_eq!(filter("a="), Ok(Some(String::new())));
        assert_eq!(filter("a=b"), Ok(Some("b".to_owned())));
    }
}
