//! What of a command's output may reach a terminal that a person looks at.
//!
//! Whatever a terminal is sent it obeys: it puts text on the clipboard, changes its title,
//! fetches files, and types answers to questions as if the user had typed them. Output that
//! is not for a terminal of the command's own keeps its text, its colours and the movements
//! that progress bars make, and loses everything else. In a terminal of its own a command may
//! draw as it likes; it only loses what reaches beyond the screen. Files and pipes get every
//! byte.
//!
//! A library takes the stream apart. A sequence is held until it is whole, and passes as it
//! was written or not at all; so one that never ends swallows nothing that follows the run.

use vte::{Params, Parser, Perform};

/// Which sequences pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The command believes that it writes to a pipe.
    Text,
    /// The command has a terminal of its own.
    Drawing,
}

/// Longest sequence that is held; a longer one is dropped.
const MAX_HELD: usize = 4096;
const ESC: u8 = 0x1b;

/// Operating system commands that only change what is drawn: colours, and marks of prompts.
/// Not among them: titles (0 to 2), the clipboard (52), links whose text and target differ
/// (8), notifications and files (9, 99, 777, 1337).
const DRAWING_OSC: [&[u8]; 12] = [
    b"4", b"10", b"11", b"12", b"17", b"19", b"104", b"110", b"111", b"112", b"117", b"133",
];

/// A stream on its way to a terminal.
pub struct Screen {
    parser: Parser,
    held: Vec<u8>,
    judge: Judge,
}

/// What the parser told of the last byte.
struct Judge {
    rules: Rules,
    out: Vec<u8>,
    /// A sequence is whole: whether it passes.
    whole: Option<bool>,
    /// The byte stood by itself: it is no part of a sequence.
    single: bool,
    /// A device control string goes on: whether it passes.
    device: Option<bool>,
}

impl Screen {
    /// A new stream.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            parser: Parser::new(),
            held: Vec::new(),
            judge: Judge {
                rules,
                out: Vec::new(),
                whole: None,
                single: false,
                device: None,
            },
        }
    }

    /// The next bytes of the stream: those that may be shown.
    pub fn filter(&mut self, bytes: &[u8]) -> Vec<u8> {
        for byte in bytes {
            self.take(*byte);
        }
        std::mem::take(&mut self.judge.out)
    }

    fn take(&mut self, byte: u8) {
        (self.judge.whole, self.judge.single) = (None, false);
        self.parser.advance(&mut self.judge, &[byte]);
        // The one byte that ends a string also begins the next sequence.
        if !self.judge.single && byte != ESC && self.held.len() <= MAX_HELD {
            self.held.push(byte);
        }
        if let Some(passes) = self.judge.whole {
            // Some terminals take bytes from 0x80 up for controls, inside of a sequence, too.
            if passes && self.held.len() <= MAX_HELD && self.held.is_ascii() {
                self.judge.out.append(&mut self.held);
            }
            self.held.clear();
        }
        if byte == ESC {
            self.held.clear();
            self.held.push(ESC);
        } else if self.judge.single && matches!(byte, 0x18 | 0x1a) {
            // Cancel and substitute end a sequence before its end.
            self.held.clear();
        }
    }
}

impl Judge {
    fn draws(&self) -> bool {
        self.rules == Rules::Drawing
    }
}

impl Perform for Judge {
    fn print(&mut self, character: char) {
        self.single = true;
        // Controls of one character (C1) begin the same sequences as those with an escape.
        if !matches!(character, '\u{7f}'..='\u{9f}') {
            let mut buffer = [0; 4];
            self.out
                .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
    }

    fn execute(&mut self, byte: u8) {
        self.single = true;
        // Bell, backspace, tab, line feeds, return. Not: an enquiry, which is answered, and
        // what C1 controls begin.
        let shifts = matches!(byte, 0x0e | 0x0f) && self.draws();
        if matches!(byte, 0x07..=0x0d) || shifts {
            self.out.push(byte);
        }
    }

    fn hook(&mut self, _: &Params, intermediates: &[u8], ignore: bool, action: char) {
        // `$ q` asks for settings, which are answered in words that the question chooses.
        let passes = self.draws() && !ignore && !(intermediates == b"$" && action == 'q');
        self.device = Some(passes);
        self.whole = Some(passes);
    }

    fn put(&mut self, _: u8) {
        self.whole = self.device;
    }

    fn unhook(&mut self) {
        self.whole = self.device.take();
    }

    fn osc_dispatch(&mut self, params: &[&[u8]], _: bool) {
        let is_drawing = params.first().is_some_and(|first| DRAWING_OSC.contains(first));
        self.whole = Some(self.draws() && is_drawing);
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], ignore: bool, action: char) {
        let first = params.iter().next().and_then(|param| param.first()).copied();
        self.whole = Some(match self.rules {
            // 20 and 21 answer with a title, which the command could have chosen.
            Rules::Drawing => !(ignore || action == 't' && matches!(first, Some(20 | 21))),
            Rules::Text => match intermediates {
                b"" => !ignore && matches!(action, 'm' | 'A'..='H' | 'J' | 'K' | 'd' | 'f' | 's' | 'u'),
                b"?" => !ignore && first == Some(25) && matches!(action, 'h' | 'l'),
                _ => false,
            },
        });
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], ignore: bool, byte: u8) {
        let saves = intermediates.is_empty() && matches!(byte, b'7' | b'8');
        self.whole = Some(!ignore && (self.draws() || saves));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(rules: Rules, text: &str) -> String {
        String::from_utf8(Screen::new(rules).filter(text.as_bytes())).expect("UTF-8")
    }

    #[test]
    fn text_colours_and_progress_bars_stay() {
        for text in [
            "plain\r\nnext\ttab\x08",
            "\x1b[1;31mred\x1b[0m",
            "\x1b[38;2;1;2;3mexact\x1b[38:5:9mcolons\x1b[m",
            "\r\x1b[2K50 %\x1b[1A\x1b[?25l\x1b[?25h",
            "größer → 漢字 🦀",
        ] {
            assert_eq!(shown(Rules::Text, text), text, "{text:?}");
            assert_eq!(shown(Rules::Drawing, text), text, "{text:?}");
        }
    }

    #[test]
    fn what_reaches_beyond_the_screen_is_dropped_everywhere() {
        for text in [
            "\x1b]52;c;cm0gLXJmIC8=\x07",
            "\x1b]52;c;cm0gLXJmIC8=\x1b\\",
            "\x1b]0;title\x07",
            "\x1b]2;title\x1b\\",
            "\x1b]8;;https://evil.example\x1b\\",
            "\x1b]1337;File=name=YQ==:AAAA\x07",
            "\x1b]777;notify;a;b\x07",
            "\x1bP$qm\x1b\\",
            "\x1b[21t",
            "\x05",
            "\x1b_Gapplication\x1b\\",
            "\u{9d}",
            "\u{9b}",
        ] {
            for rules in [Rules::Text, Rules::Drawing] {
                let all = format!("a{text}b");
                let left = shown(rules, &all).replace("\x1b\\", "");
                assert!(left == "ab" || left == "a", "{text:?} {rules:?}: {left:?}");
            }
        }
    }

    #[test]
    fn questions_to_the_terminal_are_asked_only_by_who_has_one() {
        for text in [
            "\x1b[c",
            "\x1b[6n",
            "\x1b[?1049h",
            "\x1bP+q544e\x1b\\",
            "\x1b]11;?\x07",
            "\x1bc",
        ] {
            assert_eq!(shown(Rules::Text, text), "", "{text:?}");
            assert_eq!(shown(Rules::Drawing, text), text, "{text:?}");
        }
    }

    #[test]
    fn an_unfinished_sequence_is_not_shown() {
        for text in ["\x1b", "\x1b]0;no end", "\x1b[38;5", "\x1bP1$r"] {
            assert_eq!(shown(Rules::Text, &format!("before{text}")), "before", "{text:?}");
        }
    }

    #[test]
    fn controls_of_one_byte_are_no_way_around() {
        let mut screen = Screen::new(Rules::Text);
        let shown = screen.filter(b"a\x9d52;c;AAAA\x9c\x9b21tb");
        assert!(!shown.iter().any(|byte| matches!(byte, 0x9b..=0x9d)) || std::str::from_utf8(&shown).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_shown_as_text_holds_no_string_and_stays_as_it_is(bytes: Vec<u8>) {
            let shown = Screen::new(Rules::Text).filter(&bytes);
            prop_assert!(!shown.windows(2).any(|two| two[0] == ESC && b"]P_^X".contains(&two[1])));
            prop_assert!(std::str::from_utf8(&shown).is_ok());
            prop_assert_eq!(Screen::new(Rules::Text).filter(&shown), shown);
        }

        #[test]
        fn where_a_stream_is_cut_makes_no_difference(text in "(\x1b|\\[|\\]|P|m|;|5|2|a|\x07|ü|\\\\){0,40}", cut in 0_usize..40) {
            let bytes = text.as_bytes();
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            for rules in [Rules::Text, Rules::Drawing] {
                let mut screen = Screen::new(rules);
                let parts = [screen.filter(one), screen.filter(two)].concat();
                prop_assert_eq!(parts, Screen::new(rules).filter(bytes));
            }
        }
    }
}
