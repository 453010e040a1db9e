//! Variables in compose files: `$NAME`, `${NAME:-default}` and its kin.

use std::collections::BTreeMap;

/// A text after its variables were put in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// Where a value is not known, the variable stands as it was written.
    pub text: String,
    /// The variables whose values are not known.
    pub missing: Vec<String>,
    /// The variables for which the file's own default was taken.
    pub defaulted: Vec<String>,
}

/// How often a default may hold another variable.
const MAX_NESTING: usize = 8;

/// Puts variables in.
pub(crate) fn fill(text: &str, values: &BTreeMap<String, String>) -> Filled {
    let mut filled = Filled {
        text: String::new(),
        missing: Vec::new(),
        defaulted: Vec::new(),
    };
    let written = fill_into(text, values, &mut filled, 0);
    filled.text = written;
    filled
}

fn fill_into(text: &str, values: &BTreeMap<String, String>, filled: &mut Filled, nesting: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('$') {
            out.push('$');
            rest = more;
        } else if let Some((inside, more)) = after.strip_prefix('{').and_then(braced) {
            out.push_str(&one(inside, values, filled, nesting));
            rest = more;
        } else {
            let end = name_end(after);
            if end == 0 {
                out.push('$');
            } else {
                out.push_str(&one(&after[..end], values, filled, nesting));
            }
            rest = &after[end..];
        }
    }
    out.push_str(rest);
    out
}

/// What is before the brace that closes, and what is after it.
fn braced(text: &str) -> Option<(&str, &str)> {
    let mut open = 1usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

fn name_end(text: &str) -> usize {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    if text.starts_with(|letter: char| letter.is_ascii_digit()) {
        return 0;
    }
    text.find(|letter| !is_part(letter)).unwrap_or(text.len())
}

/// The value of what stands between the braces.
fn one(inside: &str, values: &BTreeMap<String, String>, filled: &mut Filled, nesting: usize) -> String {
    let (name, operation) = inside.split_at(name_end(inside));
    let value = values.get(name);
    let is_empty = value.is_none_or(String::is_empty);
    let mut other = |text: &str| {
        if nesting >= MAX_NESTING {
            filled.missing.push(name.to_owned());
            return format!("${{{inside}}}");
        }
        fill_into(text, values, filled, nesting + 1)
    };
    let known = |value: Option<&String>| value.cloned().unwrap_or_default();
    if let Some(default) = operation.strip_prefix(":-") {
        if !is_empty {
            return known(value);
        }
        let text = other(default);
        filled.defaulted.push(name.to_owned());
        return text;
    }
    if let Some(default) = operation.strip_prefix('-') {
        if value.is_some() {
            return known(value);
        }
        let text = other(default);
        filled.defaulted.push(name.to_owned());
        return text;
    }
    if let (Some(text), Some(_)) = (
        operation.strip_prefix(":+").or(operation.strip_prefix('+')),
        value,
    ) {
        return if is_empty && operation.starts_with(':') {
            String::new()
        } else {
            other(text)
        };
    }
    let is_plain = operation.is_empty() || operation.starts_with('?') || operation.starts_with(":?");
    if let (Some(value), true) = (value, is_plain && !name.is_empty()) {
        return value.clone();
    }
    // Where the project lies and whose home it is means the same everywhere.
    match name {
        "PWD" if is_plain => ".".to_owned(),
        "HOME" if is_plain => "~".to_owned(),
        _ => {
            filled.missing.push(name.to_owned());
            format!("${{{inside}}}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Filled {
        let values = [("A", "a"), ("EMPTY", "")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned()));
        fill(text, &BTreeMap::from(values))
    }

    #[test]
    fn every_form_has_its_meaning() {
        let cases = [
            ("$A-${A}", "a-a"),
            ("$$A", "$A"),
            ("${B:-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${B:-${A}}", "a"),
            ("${A:?needed}", "a"),
            ("${A:+yes}${EMPTY:+no}${EMPTY+set}", "yesset"),
            ("${PWD}/x $HOME", "./x ~"),
            ("cost $5 ${", "cost $5 ${"),
        ];
        for (text, value) in cases {
            assert_eq!(filled(text).text, value, "{text}");
            assert!(filled(text).missing.is_empty(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_stays_and_is_told() {
        let one = filled("/x/${B}/${C:?no}");
        assert_eq!(one.text, "/x/${B}/${C:?no}");
        assert_eq!(one.missing, ["B", "C"]);
        assert_eq!(filled("${B+x}").missing, ["B"], "whether it is set is not known");
        assert_eq!(filled("${B-x}").defaulted, ["B"]);
    }
}
