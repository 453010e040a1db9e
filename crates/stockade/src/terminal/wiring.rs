//! Whether a command gets a terminal and standard input: a decision from facts.

use rustix::process::getpgrp;
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::{isatty, tcgetpgrp};

/// What the launcher's standard streams are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Standard input is a terminal.
    pub stdin: bool,
    /// Standard output is a terminal.
    pub stdout: bool,
    /// Standard error is a terminal.
    pub stderr: bool,
    /// Standard input is a terminal and we are its foreground job: reading does not stop us.
    pub foreground: bool,
}

/// What the flags say of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Nothing: decide.
    Auto,
    /// `-t`
    Pty,
    /// `-T`
    NoPty,
}

/// The decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wiring {
    /// The command gets a terminal of its own.
    pub pty: bool,
    /// Standard input is forwarded.
    pub stdin: bool,
    /// The user's terminal is put into raw mode: keys go to the command unchanged.
    pub raw: bool,
}

impl Facts {
    /// Looks at this process.
    pub fn survey() -> Self {
        let is_terminal = isatty(stdin());
        Self {
            stdin: is_terminal,
            stdout: isatty(stdout()),
            stderr: isatty(stderr()),
            foreground: is_terminal && tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp()),
        }
    }
}

impl Wiring {
    /// Interactive use works without flags; a redirected stream is never mixed with another
    /// by a terminal that nobody asked for; a background job never reads the terminal.
    pub fn decide(facts: Facts, wish: Wish, interactive: bool) -> Self {
        let pty = match wish {
            Wish::Pty => true,
            Wish::NoPty => false,
            Wish::Auto => facts.stdin && facts.stdout && facts.stderr && facts.foreground,
        };
        let raw = pty && facts.foreground;
        let stdin = interactive || !facts.stdin || raw;
        Self { pty, stdin, raw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: Facts = Facts {
        stdin: true,
        stdout: true,
        stderr: true,
        foreground: true,
    };
    const PIPES: Facts = Facts {
        stdin: false,
        stdout: false,
        stderr: false,
        foreground: false,
    };

    fn decide(facts: Facts, wish: Wish) -> (bool, bool, bool) {
        let wiring = Wiring::decide(facts, wish, false);
        (wiring.pty, wiring.stdin, wiring.raw)
    }

    #[test]
    fn at_a_terminal_the_command_gets_one() {
        assert_eq!(decide(TERMINAL, Wish::Auto), (true, true, true));
    }

    #[test]
    fn pipes_are_forwarded_as_they_are() {
        assert_eq!(decide(PIPES, Wish::Auto), (false, true, false));
    }

    #[test]
    fn a_redirected_error_stream_is_not_mixed_into_the_output() {
        assert_eq!(
            decide(
                Facts {
                    stderr: false,
                    ..TERMINAL
                },
                Wish::Auto
            ),
            (false, false, false)
        );
    }

    #[test]
    fn a_background_job_does_not_touch_the_terminal() {
        let facts = Facts {
            foreground: false,
            ..TERMINAL
        };
        assert_eq!(decide(facts, Wish::Auto), (false, false, false));
        assert_eq!(decide(facts, Wish::Pty), (true, false, false));
    }

    #[test]
    fn without_a_pty_a_terminal_is_read_only_when_asked() {
        assert_eq!(decide(TERMINAL, Wish::NoPty), (false, false, false));
        assert!(Wiring::decide(TERMINAL, Wish::NoPty, true).stdin);
    }

    #[test]
    fn a_pty_on_demand_takes_piped_input() {
        assert_eq!(decide(PIPES, Wish::Pty), (true, true, false));
    }
}
