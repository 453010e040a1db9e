//! The new process between the fork and the program. It runs our code, with all that the
//! guest has in memory, so it has to become harmless before the program is there.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use stockade_linux::rlimits;
use stockade_wire::{ExecFailure, ExecId, ExecRequest, FailureKind, ToHost};

use super::reports::{failure, report};
use crate::confine::Walls;
use crate::sys;
use crate::text::shown;

/// Where a program is looked for if the command's environment has no `PATH`.
const DEFAULT_PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// Code of a process that did not become its program; nobody but the guest sees it.
const NOT_STARTED: i32 = 127;

/// What becomes standard input, output and error.
pub enum Stdio<'a> {
    /// Three pipes.
    Pipes {
        stdin: BorrowedFd<'a>,
        stdout: BorrowedFd<'a>,
        stderr: BorrowedFd<'a>,
    },
    /// A terminal, of whose session this process is not the leader.
    Terminal(BorrowedFd<'a>),
}

/// Becomes the command, or reports on `status` why not. `status` closes by the exec itself.
pub fn run(request: &ExecRequest, walls: &Walls, stdio: &Stdio<'_>, status: BorrowedFd<'_>) -> ! {
    if let Err(failure) = attach(request.id, stdio).and_then(|()| prepare(request, walls)) {
        report(status, &ToHost::ExecFailed(failure));
        sys::exit_now(NOT_STARTED)
    }
    // Last, so that nothing that was opened on the way here reaches the program.
    match sys::keep_only([status]) {
        Ok([status]) => report(status.as_fd(), &ToHost::ExecFailed(execute(request))),
        Err(error) => report(
            status,
            &ToHost::ExecFailed(other(request.id, "close descriptors", &error)),
        ),
    }
    sys::exit_now(NOT_STARTED)
}

/// Own session or foreground group, and the three standard descriptors.
fn attach(exec: ExecId, stdio: &Stdio<'_>) -> Result<(), ExecFailure> {
    let failed = |what: &'static str| move |errno: Errno| other(exec, what, &errno.into());
    let (stdin, stdout, stderr) = match stdio {
        Stdio::Pipes {
            stdin,
            stdout,
            stderr,
        } => {
            rustix::process::setsid().map_err(failed("make a session"))?;
            (stdin, stdout, stderr)
        }
        Stdio::Terminal(terminal) => {
            rustix::process::setpgid(None, None).map_err(failed("make a process group"))?;
            // Who moves the foreground from outside of it is stopped, unless it is deaf to
            // that, as the leader has made itself.
            rustix::termios::tcsetpgrp(terminal, rustix::process::getpid())
                .map_err(failed("take the terminal's foreground"))?;
            (terminal, terminal, terminal)
        }
    };
    rustix::stdio::dup2_stdin(stdin).map_err(failed("set standard input"))?;
    rustix::stdio::dup2_stdout(stdout).map_err(failed("set standard output"))?;
    rustix::stdio::dup2_stderr(stderr).map_err(failed("set standard error"))
}

/// Takes the posture that the program starts with.
fn prepare(request: &ExecRequest, walls: &Walls) -> Result<(), ExecFailure> {
    let exec = request.id;
    enter_directory(request)?;
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    rlimits::apply_workload().map_err(|error| {
        failure(
            exec,
            FailureKind::Refused,
            Some(error.source.raw_os_error()),
            format!("refused to start a command: {error}"),
        )
    })?;
    // The guest and the leader have left all other signals at their defaults.
    for signal in super::leader::IGNORED.into_iter().chain([libc::SIGPIPE]) {
        sys::default_signal(signal);
    }
    walls.nest().map_err(|why| {
        failure(
            exec,
            FailureKind::Refused,
            None,
            format!("refused to start a command: {why}"),
        )
    })?;
    sys::set_blocked_signals(&[]).map_err(|error| other(exec, "unblock signals", &error))
}

/// Goes to the directory and checks that it is inside: a directory that was left open
/// outside of the root would be a way out.
fn enter_directory(request: &ExecRequest) -> Result<(), ExecFailure> {
    let path = request.cwd.as_bytes();
    let bad = |errno: Option<Errno>, why: &str| {
        let text = format!("cannot start in {}: {why}", shown(path));
        failure(
            request.id,
            FailureKind::BadCwd,
            errno.map(Errno::raw_os_error),
            text,
        )
    };
    rustix::process::chdir(path).map_err(|errno| bad(Some(errno), &error_text(errno)))?;
    match rustix::process::getcwd(Vec::new()) {
        Ok(cwd) if cwd.as_bytes().first() == Some(&b'/') => Ok(()),
        Ok(_) => Err(bad(None, "it is outside of the sandbox's root")),
        Err(errno) => Err(bad(Some(errno), &error_text(errno))),
    }
}

/// Executes the program, looking for it as a shell would.
fn execute(request: &ExecRequest) -> ExecFailure {
    let Some(program) = request.argv.iter().next().filter(|program| !program.is_empty()) else {
        return failure(request.id, FailureKind::NotFound, None, "the command is empty");
    };
    if program.contains(&b'/') {
        return attempt(request, program.to_vec());
    }
    let path = request
        .env
        .iter()
        .find_map(|variable| variable.strip_prefix(b"PATH="))
        .unwrap_or(DEFAULT_PATH);
    let mut found: Option<ExecFailure> = None;
    for directory in path.split(|byte| *byte == b':') {
        let mut candidate = if directory.is_empty() {
            b".".to_vec()
        } else {
            directory.to_vec()
        };
        candidate.push(b'/');
        candidate.extend_from_slice(program);
        let failure = attempt(request, candidate);
        if failure.kind != FailureKind::NotFound {
            found.get_or_insert(failure);
        }
    }
    found.unwrap_or_else(|| {
        let text = format!("no program {} in PATH={}", shown(program), shown(path));
        failure(request.id, FailureKind::NotFound, Some(libc::ENOENT), text)
    })
}

/// Executes one file. Returns only if that failed.
fn attempt(request: &ExecRequest, path: Vec<u8>) -> ExecFailure {
    let name = shown(&path);
    let Ok(path) = CString::new(path) else {
        return failure(
            request.id,
            FailureKind::NotFound,
            None,
            format!("no program {name}"),
        );
    };
    let error = sys::execute(&path, &request.argv, &request.env);
    let errno = error.raw_os_error();
    let not_executable = |why: &str| {
        failure(
            request.id,
            FailureKind::NotExecutable,
            errno,
            format!("cannot execute {name}: {why}"),
        )
    };
    match errno {
        Some(libc::ENOENT) if rustix::fs::access(&path, rustix::fs::Access::EXISTS).is_ok() => {
            not_executable(
                "the program that has to run it (the one in its #! line, or its dynamic loader) does not exist in the sandbox",
            )
        }
        Some(libc::ENOENT | libc::ENOTDIR) => failure(
            request.id,
            FailureKind::NotFound,
            errno,
            format!("no program {name}"),
        ),
        Some(libc::EACCES) => not_executable("permission denied"),
        Some(libc::EPERM) => not_executable("not permitted"),
        Some(libc::ENOEXEC) => {
            not_executable("it is neither a program for this machine nor a script with a #! line")
        }
        Some(libc::E2BIG) => failure(
            request.id,
            FailureKind::Other,
            errno,
            format!("cannot execute {name}: its arguments and environment are longer than the kernel allows"),
        ),
        _ => failure(
            request.id,
            FailureKind::Other,
            errno,
            format!("cannot execute {name}: {error}"),
        ),
    }
}

fn other(exec: ExecId, what: &str, error: &std::io::Error) -> ExecFailure {
    failure(
        exec,
        FailureKind::Other,
        error.raw_os_error(),
        format!("cannot start a command: {what}: {error}"),
    )
}

fn error_text(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}
