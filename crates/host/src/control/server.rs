//! The shim's end: the socket.

use std::os::fd::AsRawFd;

use tokio::net::{UnixListener, UnixStream};

use crate::error::{Error, Result};
use crate::state::{Dir, SOCKET};

/// A control socket that listens.
pub(crate) struct Server {
    listener: UnixListener,
}

impl Server {
    /// Makes the socket in a sandbox's directory. The address goes through a descriptor: a
    /// path may be longer than the 107 bytes that an address takes.
    pub(crate) fn bind(dir: &Dir) -> Result<Self> {
        let path = format!("/proc/self/fd/{}/{SOCKET}", dir.fd().as_raw_fd());
        let listener = UnixListener::bind(path)
            .map_err(|error| Error::state("create", dir.path().join(SOCKET), error))?;
        Ok(Self { listener })
    }

    /// Waits for a connection of the same user or root. Cancel safe.
    pub(crate) async fn accept(&self) -> UnixStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if is_allowed(&stream) => return stream,
                // The directory keeps others out already; the kernel's word is the second wall.
                Ok(_) => {}
                // Out of descriptors: those who wait are served when some are free.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }
}

fn is_allowed(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}
