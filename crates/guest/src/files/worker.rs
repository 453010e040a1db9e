//! The file worker: reads a request, does it, answers, until its socket ends.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::Mode;
use rustix::io::Errno;
use stockade_linux::rlimits;
use stockade_wire::limits::CHUNK;
use stockade_wire::{Decoder, FileReply, FileRequest, encode};

use super::operations::perform;
use crate::confine::Walls;
use crate::sys;
use crate::tree::Trees;

/// Becomes the worker. Without its walls it does nothing: the guest then says that the
/// process has ended.
pub fn run(walls: Walls, socket: OwnedFd) -> ! {
    // Without a name of its own it would look like a second guest.
    let _ = rustix::thread::set_name(c"stockade-files");
    let kept = sys::keep_only([socket.as_fd()]);
    // Its number is closed or another's by now.
    std::mem::forget(socket);
    if let Ok([socket]) = kept
        && sys::set_blocked_signals(&[]).is_ok()
        && rlimits::apply_workload().is_ok()
        && walls.nest().is_ok()
    {
        // The host names the permissions of what it makes.
        rustix::process::umask(Mode::empty());
        work(&socket);
    }
    sys::exit_now(0)
}

fn work(socket: &OwnedFd) {
    let mut decoder = Decoder::<FileRequest>::new();
    let mut scratch = vec![0; CHUNK];
    let mut frame = Vec::new();
    let mut trees = Trees::default();
    loop {
        let count = match rustix::io::read(socket, &mut scratch[..]) {
            Ok(0) => return,
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(_) => return,
        };
        let mut input = scratch.get(..count).unwrap_or_default();
        while let Ok(Some(request)) = decoder.next(&mut input) {
            frame.clear();
            let reply = FileReply {
                id: request.id,
                result: perform(&request, &mut trees),
            };
            if encode(&reply, &mut frame).is_err() || write_all(socket, &frame).is_err() {
                return;
            }
        }
    }
}

fn write_all(socket: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(socket, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
