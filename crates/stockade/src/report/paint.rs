//! Colour, only where a person sees it.

use rustix::termios::isatty;

/// Whether to colour, for one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For what no terminal shows: a page, a file or a test.
    pub const OFF: Self = Self { on: false };

    /// For standard output.
    pub fn stdout() -> Self {
        Self {
            on: allowed() && isatty(rustix::stdio::stdout()),
        }
    }

    /// For text that is cut to a width, which colours would count in.
    pub fn plain() -> Self {
        Self { on: false }
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self {
            on: allowed() && isatty(rustix::stdio::stderr()),
        }
    }

    /// A heading.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What went wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What is missing or deserves a look.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// What stands.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// Where something is.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// no-color.org: any value but the empty one turns colours off. bixense.com/clicolors: so does
/// CLICOLOR=0; that colours be forced into a pipe is not offered.
fn allowed() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("CLICOLOR").is_none_or(|value| value != "0")
        && std::env::var_os("TERM").is_none_or(|value| value != "dumb")
}
