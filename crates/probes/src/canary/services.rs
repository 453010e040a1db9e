//! Sockets where programs of a desktop and of the system look for them, and the variables that lead there.

use std::net::{Ipv4Addr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::PathBuf;

use super::token;
use crate::host;
use crate::verdict::Verdict;
use crate::wall::Field;

/// What programs look for.
pub struct Kind {
    /// Sockets by path, below a directory of the probe's own.
    pub paths: &'static [&'static str],
    /// An abstract socket whose name begins like this.
    pub abstract_name: Option<&'static str>,
    /// A display, which also has a port: its number is the display's.
    pub display: bool,
    /// Variables by which programs are told: each holds the random value.
    pub variables: &'static [&'static str],
}

/// Listening sockets of one kind. Nobody answers.
pub struct Services {
    unix: Vec<(String, UnixListener)>,
    port: Option<TcpListener>,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    token: String,
    place: PathBuf,
}

/// X is served at this port and the following ones.
const FIRST_DISPLAY_PORT: u16 = 6000;

impl Services {
    /// Begins to listen: below /run as root, else in the ground.
    ///
    /// # Errors
    /// A name cannot be bound.
    pub fn plant(field: &Field, kind: &Kind) -> Verdict<Self> {
        let number = field.ground.number();
        let name = format!("stockade-probe-{}-{number}", std::process::id());
        let place = if host::is_root() {
            PathBuf::from("/run").join(name)
        } else {
            field.ground.path("run").join(name)
        };
        let token = token()?;
        let mut this = Self {
            unix: Vec::new(),
            port: None,
            arguments: Vec::new(),
            variables: Vec::new(),
            token: token.clone(),
            place,
        };
        for path in kind.paths {
            let path = this.place.join(path);
            if let Some(parent) = path.parent() {
                std::fs::create_dir_all(parent)?;
            }
            this.listen(
                format!("unix:{}", path.display()),
                &SocketAddr::from_pathname(&path)?,
            )?;
        }
        let mut display = String::new();
        if kind.display {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            display = port.saturating_sub(FIRST_DISPLAY_PORT).to_string();
            this.arguments.push(format!("tcp:{port}"));
            this.port = Some(listener);
        }
        if let Some(name) = kind.abstract_name {
            let name = match kind.display {
                true => format!("{name}{display}"),
                false => format!("{name}{}", &token[7..23]),
            };
            this.listen(
                format!("abstract:{name}"),
                &SocketAddr::from_abstract_name(&name)?,
            )?;
        }
        for name in kind.variables {
            this.arguments.push(format!("variable:{name}"));
            this.variables
                .push(((*name).to_owned(), format!("/none/{token}")));
        }
        Ok(this)
    }

    fn listen(&mut self, name: String, address: &SocketAddr) -> Verdict {
        let listener = UnixListener::bind_addr(address)?;
        listener.set_nonblocking(true)?;
        self.arguments.push(name.clone());
        self.unix.push((name, listener));
        Ok(())
    }

    /// What an attack is given: never the random value.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }

    /// Variables of whoever starts the sandbox.
    #[must_use]
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone()
    }

    /// The sockets that somebody connected to, and the variables if their value was read.
    #[must_use]
    pub fn reached(&self, output: &str) -> Vec<String> {
        let unix = self
            .unix
            .iter()
            .filter(|(_, listener)| listener.accept().is_ok())
            .map(|(name, _)| name.clone());
        let port = self
            .port
            .iter()
            .filter(|listener| listener.accept().is_ok())
            .map(|_| "its port".to_owned());
        let told = output.contains(&self.token).then(|| "its variables".to_owned());
        unix.chain(port).chain(told).collect()
    }

    /// What there is to reach.
    #[must_use]
    pub fn count(&self) -> usize {
        self.unix.len() + usize::from(self.port.is_some()) + usize::from(!self.variables.is_empty())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.place);
    }
}
