//! Places that are somewhere else than the host believes: a sandbox without mounts cannot have a
//! copy of the workspace, or a home of its own, at the path of the original. The host names the
//! places of the file view; here they become real ones, in what says where to go. Arguments of
//! commands stay as they are.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use stockade_linux::ops::Moved;
use stockade_wire::{
    ASKS_VARIABLE, ByteStrings, ExecRequest, FileOperation, FileRequest, GuestPath, WireError,
};

/// Variables whose whole value is a place.
const PLACES: [&[u8]; 11] = [
    ASKS_VARIABLE.as_bytes(),
    b"HOME",
    b"PWD",
    b"OLDPWD",
    b"TMPDIR",
    b"TMP",
    b"TEMP",
    b"XDG_CACHE_HOME",
    b"XDG_CONFIG_HOME",
    b"XDG_DATA_HOME",
    b"XDG_STATE_HOME",
];

/// Where programs make temporary files unless a variable says otherwise.
const TEMPORARY: &str = "/tmp";
const TEMPORARY_VARIABLE: &[u8] = b"TMPDIR";

/// The places.
pub struct Places(Vec<Moved>);

impl Places {
    /// None for sandboxes that have all at its own path.
    pub fn new(mut moved: Vec<Moved>) -> Self {
        // The deepest place that holds a path decides.
        moved.sort_by_key(|one| std::cmp::Reverse(one.from.as_os_str().len()));
        Self(moved)
    }

    /// A command that starts where its directory really is.
    pub fn command(&self, mut request: ExecRequest) -> Result<ExecRequest, WireError> {
        if self.0.is_empty() {
            return Ok(request);
        }
        request.cwd = self.path(request.cwd)?;
        let mut variables: Vec<Vec<u8>> = request.env.iter().map(|one| self.variable(one)).collect();
        if let Some(temporary) = self.real(Path::new(TEMPORARY))
            && !variables
                .iter()
                .any(|one| value_of(one, TEMPORARY_VARIABLE).is_some())
        {
            let value = temporary.into_os_string().into_vec();
            variables.push([TEMPORARY_VARIABLE, b"=", &value].concat());
        }
        request.env = ByteStrings::new(variables)?;
        Ok(request)
    }

    /// A request for the file that is really meant.
    pub fn file(&self, mut request: FileRequest) -> Result<FileRequest, WireError> {
        if self.0.is_empty() {
            return Ok(request);
        }
        request.path = self.path(request.path)?;
        if let FileOperation::Rename { to } = request.operation {
            request.operation = FileOperation::Rename { to: self.path(to)? };
        }
        Ok(request)
    }

    fn variable(&self, variable: &[u8]) -> Vec<u8> {
        for name in PLACES {
            if let Some(value) = value_of(variable, name)
                && let Some(real) = self.real(Path::new(std::ffi::OsStr::from_bytes(value)))
            {
                return [name, b"=", real.as_os_str().as_bytes()].concat();
            }
        }
        variable.to_vec()
    }

    fn path(&self, path: GuestPath) -> Result<GuestPath, WireError> {
        let named = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        match self.real(named) {
            Some(real) => GuestPath::new(real.into_os_string().into_vec()),
            None => Ok(path),
        }
    }

    /// Where a place of the view is.
    pub fn place(&self, path: &Path) -> PathBuf {
        self.real(path).unwrap_or_else(|| path.to_owned())
    }

    fn real(&self, path: &Path) -> Option<PathBuf> {
        self.0.iter().find_map(|one| {
            let rest = path.strip_prefix(&one.from).ok()?;
            Some(if rest.as_os_str().is_empty() {
                one.to.clone()
            } else {
                one.to.join(rest)
            })
        })
    }
}

fn value_of<'v>(variable: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    variable.strip_prefix(name)?.strip_prefix(b"=")
}

#[cfg(test)]
mod tests {
    use stockade_wire::ExecId;

    use super::*;

    fn places() -> Places {
        let moved = [
            ("/home/u", "/state/home"),
            ("/home/u/project", "/state/copy"),
            ("/home/u/tools", "/home/u/tools"),
            ("/tmp", "/state/tmp"),
        ];
        Places::new(
            moved
                .map(|(from, to)| Moved {
                    from: from.into(),
                    to: to.into(),
                })
                .to_vec(),
        )
    }

    fn command(cwd: &str, env: &[&str]) -> (String, Vec<String>) {
        let request = ExecRequest {
            id: ExecId(1),
            argv: ByteStrings::new(["/home/u/x"]).unwrap(),
            env: ByteStrings::new(env).unwrap(),
            cwd: GuestPath::new(cwd).unwrap(),
            tty: None,
            stdin: false,
        };
        let request = places().command(request).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(text(request.argv.iter().next().unwrap()), "/home/u/x");
        (
            text(request.cwd.as_bytes()),
            request.env.iter().map(text).collect(),
        )
    }

    #[test]
    fn the_deepest_place_decides() {
        assert_eq!(command("/home/u/project/src", &[]).0, "/state/copy/src");
        assert_eq!(command("/home/u/tools/bin", &[]).0, "/home/u/tools/bin");
        assert_eq!(command("/home/u/other", &[]).0, "/state/home/other");
        assert_eq!(command("/usr", &[]).0, "/usr");
        assert_eq!(command("/home/user", &[]).0, "/home/user");
    }

    #[test]
    fn variables_that_are_places_follow_and_others_stay() {
        let (_, env) = command("/", &["HOME=/home/u", "PATH=/home/u/bin:/bin", "NOTE=/tmp"]);
        assert_eq!(
            env,
            [
                "HOME=/state/home",
                "PATH=/home/u/bin:/bin",
                "NOTE=/tmp",
                "TMPDIR=/state/tmp"
            ]
        );
        let (_, env) = command("/", &["TMPDIR=/tmp/x"]);
        assert_eq!(env, ["TMPDIR=/state/tmp/x"]);
    }
}
