//! Text from outside, made harmless for a terminal. File names and arguments are written by
//! whoever is inside: escape sequences could rewrite the screen, and marks that turn the
//! direction of text could make one name look like another.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter, Write};
use std::os::unix::ffi::OsStrExt;

/// Shows a name with everything unprintable escaped.
pub struct Shown<'a>(pub &'a OsStr);

impl<'a> Shown<'a> {
    /// Shows anything that is like a string.
    pub fn new(text: &'a (impl AsRef<OsStr> + ?Sized)) -> Self {
        Self(text.as_ref())
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.as_bytes().utf8_chunks() {
            for letter in chunk.valid().chars() {
                match letter {
                    '\n' => out.write_str("\\n")?,
                    '\t' => out.write_str("\\t")?,
                    '\r' => out.write_str("\\r")?,
                    '\\' => out.write_str("\\\\")?,
                    letter if is_harmful(letter) => write!(out, "{}", letter.escape_unicode())?,
                    letter => out.write_char(letter)?,
                }
            }
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Text of several lines that may quote what others wrote (names, what a guest says), made
/// harmless. Only the first line begins at the margin: no other can pass for one of ours.
pub fn harmless(text: &str) -> String {
    let mut lines = text.lines();
    let mut shown = escape(lines.next().unwrap_or_default());
    let rest: Vec<String> = lines.map(escape).collect();
    let margin = if rest.iter().all(|line| line.starts_with("  ")) {
        ""
    } else {
        "  "
    };
    for line in rest {
        shown.push('\n');
        shown.push_str(margin);
        shown.push_str(&line);
    }
    shown
}

fn escape(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for letter in line.chars() {
        if is_harmful(letter) {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A line of a file, made harmless; tabs stay.
pub fn escape_line(line: &[u8]) -> String {
    let mut shown = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter != '\t' && is_harmful(letter) {
                shown.extend(letter.escape_unicode());
            } else {
                shown.push(letter);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// Controls (C0, DEL, C1), marks of text direction, invisible characters, line separators.
fn is_harmful(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A command as one could type it, made harmless.
pub fn command_text(words: &[OsString]) -> String {
    let mut text = String::new();
    for word in words {
        if !text.is_empty() {
            text.push(' ');
        }
        let shown = Shown(word).to_string();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^".contains(&byte) || byte >= 0x80;
        if !shown.is_empty() && shown.bytes().all(plain) {
            text.push_str(&shown);
        } else {
            let _ = write!(text, "'{}'", shown.replace('\'', "'\\''"));
        }
    }
    text
}

/// At most `limit` characters of a text.
pub fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// As much of a line as fits into some columns of a terminal; wide letters are taken for two.
pub fn cut(line: &str, columns: usize) -> String {
    let mut used = 0;
    let fits = |letter: &char| {
        // Beyond the scripts of Europe and the Near East a letter may be wide.
        used += if *letter < '\u{1100}' { 1 } else { 2 };
        used <= columns
    };
    line.chars().take_while(fits).collect()
}

/// An age as people say it: `12s`, `5m`, `3h`, `2d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        let name = OsStr::from_bytes(b"a\x1b[2Jb\n\xff\xc2\x9bc");
        assert_eq!(Shown(name).to_string(), "a\\u{1b}[2Jb\\n\\xff\\u{9b}c");
    }

    #[test]
    fn only_the_first_line_of_a_text_begins_at_the_margin() {
        assert_eq!(harmless("a\nstockade: all is well"), "a\n  stockade: all is well");
        assert_eq!(harmless("a\n    fix: b"), "a\n    fix: b");
    }

    #[test]
    fn quotes_in_a_text_do_not_reach_the_terminal_raw() {
        assert_eq!(harmless("no \u{1b}[31m\rhere"), "no \\u{1b}[31m\\u{d}here");
    }

    #[test]
    fn text_direction_cannot_be_turned() {
        assert_eq!(Shown::new("txt\u{202e}exe").to_string(), "txt\\u{202e}exe");
    }

    #[test]
    fn ordinary_names_of_any_script_stay() {
        assert_eq!(Shown::new("été 文件.rs").to_string(), "été 文件.rs");
    }

    #[test]
    fn a_literal_escape_differs_from_an_escaped_one() {
        assert_eq!(Shown::new("\\n").to_string(), "\\\\n");
    }

    #[test]
    fn commands_are_quoted_where_a_shell_would_split() {
        let words = ["sh", "-c", "echo it's", ""].map(OsString::from);
        assert_eq!(command_text(&words), "sh -c 'echo it'\\''s' ''");
    }

    #[test]
    fn ages_have_one_unit() {
        assert_eq!(
            [age(5), age(65), age(7300), age(200_000)],
            ["5s", "1m", "2h", "2d"]
        );
    }
}
