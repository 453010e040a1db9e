//! A terminal for tests: a pty with a program at its other end, and the screen that a
//! person would see.

use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Much longer than anything takes: a loaded machine only makes a test slow, never wrong.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Terminal {
    master: OwnedFd,
    child: Child,
    screen: vt100::Parser,
    /// All that came, as it came.
    pub received: Vec<u8>,
}

impl Terminal {
    /// Starts a program with a controlling terminal of 24 lines and 80 columns.
    pub fn start(program: &Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("grantpt");
        unlockpt(&master).expect("unlockpt");
        let name = ptsname(&master, Vec::new()).expect("ptsname");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave =
            || Stdio::from(rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("the pty's end"));
        tcsetwinsize(&master, size(24, 80)).expect("a size");
        // `setsid --ctty` makes its standard input the controlling terminal.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(program.get_program())
            .args(program.get_args());
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(directory) = program.get_current_dir() {
            command.current_dir(directory);
        }
        let child = command
            .stdin(slave())
            .stdout(slave())
            .stderr(slave())
            .spawn()
            .expect("setsid of util-linux");
        Self {
            master,
            child,
            screen: vt100::Parser::new(24, 80, 1000),
            received: Vec::new(),
        }
    }

    /// Types keys.
    pub fn keys(&mut self, keys: &str) {
        let mut rest = keys.as_bytes();
        while !rest.is_empty() {
            let count = rustix::io::write(&self.master, rest).expect("the terminal takes keys");
            rest = &rest[count..];
        }
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, rows: u16, columns: u16) {
        tcsetwinsize(&self.master, size(rows, columns)).expect("a size");
        self.screen.screen_mut().set_size(rows, columns);
    }

    /// Waits until the screen shows a text.
    pub fn expect(&mut self, text: &str) {
        let found = self.until(|screen| screen.contains(text));
        assert!(
            found,
            "{text:?} did not appear; the screen shows:\n{}",
            self.screen.screen().contents()
        );
    }

    /// Waits for the end; returns the exit code.
    pub fn end(&mut self) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            // Reading on: a program that writes to a full terminal would never end.
            self.take(Duration::from_millis(20));
            if let Some(status) = self.child.try_wait().expect("a child") {
                while self.take(Duration::ZERO) {}
                return status.code().expect("no signal");
            }
        }
        panic!(
            "it did not end; the screen shows:\n{}",
            self.screen.screen().contents()
        );
    }

    /// What the screen shows now.
    pub fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// True if the line discipline echoes and edits, as a shell expects to find it.
    pub fn is_cooked(&self) -> bool {
        use rustix::termios::{LocalModes, tcgetattr};
        let modes = tcgetattr(&self.master).expect("a terminal").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// Waits until a condition holds.
    pub fn wait_for(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(self) {
            assert!(
                Instant::now() < deadline,
                "{what}: not reached; the screen shows:\n{}",
                self.contents()
            );
            self.take(Duration::from_millis(20));
        }
    }

    fn until(&mut self, condition: impl Fn(&str) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if condition(&self.screen.screen().contents()) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            if !self.take(Duration::from_millis(200)) && self.child.try_wait().expect("a child").is_some() {
                return condition(&self.screen.screen().contents());
            }
        }
    }

    /// Takes what was written within a time; false if nothing was.
    fn take(&mut self, within: Duration) -> bool {
        let timeout = Timespec::try_from(within).expect("a short time");
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).expect("poll") == 0 {
            return false;
        }
        let mut buffer = [0u8; 4096];
        match rustix::io::read(&self.master, &mut buffer).map_err(std::io::Error::from) {
            Ok(0) => false,
            Ok(count) => {
                self.screen.process(&buffer[..count]);
                self.received.extend_from_slice(&buffer[..count]);
                true
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => true,
            // EIO: nobody has the other end open.
            Err(_) => {
                std::thread::sleep(within.min(Duration::from_millis(5)));
                false
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}
