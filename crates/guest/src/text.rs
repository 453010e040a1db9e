//! Texts for people.

/// Cuts a text to at most `limit` bytes, between two characters.
pub fn bounded(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end = end.saturating_sub(1);
        }
        text.truncate(end);
    }
    text
}

/// Bytes that may come from anywhere, so that they can be shown on a terminal.
pub fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for character in String::from_utf8_lossy(bytes).chars() {
        if character.is_control() {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    // A text is cut between characters, or not at all.
    #[test]
    fn cuts_between_characters() {
        assert_eq!(bounded("aéé".to_owned(), 4), "aé");
        assert_eq!(bounded("aéé".to_owned(), 5), "aéé");
    }

    // Control characters of a name do not reach a terminal.
    #[test]
    fn shows_control_characters() {
        assert_eq!(shown("é\x1b[2J".as_bytes()), "é\\u{1b}[2J");
    }
}
