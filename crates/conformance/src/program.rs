//! Where the programs lie that the suite drives.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use stockade_probes::{Verdict, fail};

/// The program under test: `STOCKADE_BIN`, else the one that lies where cargo puts it, built
/// if there is none.
///
/// # Errors
/// There is none and it cannot be built.
pub fn stockade() -> Verdict<PathBuf> {
    if let Some(named) = std::env::var_os("STOCKADE_BIN") {
        let path = PathBuf::from(named);
        return if path.is_file() {
            Ok(path)
        } else {
            fail(format!("STOCKADE_BIN {}: no such file", path.display()))
        };
    }
    let own = std::env::current_exe()?;
    // target/TRIPLE/debug/deps/conformance-… -> target/TRIPLE/debug/stockade
    let Some(beside) = own
        .parent()
        .and_then(Path::parent)
        .map(|directory| directory.join("stockade"))
    else {
        return fail("set STOCKADE_BIN to the program under test");
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--quiet", "-p", "stockade"])
        .status();
    match built {
        Ok(status) if status.success() && beside.is_file() => Ok(beside),
        Ok(status) if beside.is_file() => fail(format!("cargo build -p stockade: {status}")),
        _ if beside.is_file() => Ok(beside),
        _ => fail(format!(
            "{} is missing; build it or set STOCKADE_BIN",
            beside.display()
        )),
    }
}

/// Copies this program under the name that makes it the payload.
///
/// # Errors
/// It cannot be written.
pub fn install(directory: &Path) -> Verdict<PathBuf> {
    let path = directory.join("attack");
    std::fs::copy("/proc/self/exe", &path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// A program of the host by its name.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let places = crate::world::HOST_PATH.split(':').map(Path::new);
    places.map(|place| place.join(name)).find(|path| path.is_file())
}

/// Programs of a small image.
const SMALL: [&str; 24] = [
    "sh", "cat", "cp", "echo", "env", "false", "head", "id", "kill", "ln", "ls", "mkdir", "mv", "rm", "seq",
    "setsid", "sleep", "stat", "tail", "test", "touch", "tr", "true", "wc",
];

/// Makes a root directory of a few programs, with their libraries and loader at their paths, and an /etc.
///
/// # Errors
/// A program is missing, or a file cannot be copied.
pub fn image(directory: PathBuf) -> Verdict<PathBuf> {
    std::fs::create_dir_all(directory.join("etc"))?;
    for name in SMALL {
        let Some(program) = find(name) else {
            return fail(format!("{name} is missing, for a small image"));
        };
        bring(&program, &directory.join("bin").join(name))?;
        let libraries = Command::new("ldd").arg(&program).output()?;
        for word in String::from_utf8_lossy(&libraries.stdout).split_whitespace() {
            let library = Path::new(word);
            if let Ok(below) = library.strip_prefix("/") {
                bring(library, &directory.join(below))?;
            }
        }
    }
    Ok(directory)
}

fn bring(file: &Path, to: &Path) -> Verdict {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if !to.exists() {
        std::fs::copy(file, to)?;
    }
    Ok(())
}
