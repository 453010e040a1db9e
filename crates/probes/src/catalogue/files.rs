//! Files of the host.

use std::path::{Path, PathBuf};

use stockade_domain::ControlKind;

use crate::canary::{Canary, FileCanary, Proof, Seen, TreeCanary, token};
use crate::denial::{Denial, arguments, held};
use crate::{Field, Probe, Setting, Severity, Verdict, ensure, ensure_sound, host, skip};

/// A read-only bind of the own, which root of its own namespace may change.
const OWN_BIND: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "sh",
    "-c",
    "for last; do :; done; mount --bind \"$last\" \"$last\" && mount -o remount,bind,ro \"$last\" && exec \"$0\" \"$@\"",
];
const NO_NAMESPACES: &str = "ordinary users cannot make namespaces here";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "FS03",
        Severity::Critical,
        "a file outside the view, by its absolute path",
        Denial::new("FS03", FileCanary::outside_view),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS04",
        Severity::Critical,
        "a file outside the view, by climbing",
        Denial::new("FS04", FileCanary::outside_view),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS05",
        Severity::Critical,
        "a file outside the view, through links in the workspace",
        Denial::new("FS05", FileCanary::outside_view),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS06",
        Severity::High,
        "a hard link to a file of the host",
        Denial::new("FS06", FileCanary::outside_view),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS07",
        Severity::Critical,
        "a file of the host through /proc/PID/{root,cwd,fd}",
        Denial::new("FS07", FileCanary::outside_view),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "FS08",
        Severity::Critical,
        "a file of the host by its handle",
        by_handle,
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS09",
        Severity::High,
        "every way of changing a tree that is shown read-only",
        Denial::new("FS09", TreeCanary::shown_read_only),
    )
    .needs(&[ControlKind::FilesUnreadable, ControlKind::MetadataProtected]),
    Probe::denial(
        "FS09-workspace",
        Severity::High,
        "every way of changing a read-only workspace",
        Denial::new("FS09", TreeCanary::read_only_workspace),
    )
    .needs(&[ControlKind::WorkspaceReadOnly, ControlKind::MetadataProtected]),
    Probe::question(
        "FS09-system",
        Severity::High,
        "creating files in the system's directories",
        system_directories,
    )
    .needs(&[ControlKind::SystemReadOnly]),
    Probe::denial(
        "FS10",
        Severity::High,
        "taking the protection off a read-only mount",
        Denial::new("FS10", TreeCanary::shown_read_only)
            .wrapped(OWN_BIND)
            .control_if(NO_NAMESPACES),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::denial(
        "FS11",
        Severity::Medium,
        "files of procfs and sysfs that tell about the host",
        Denial::new("FS11", Proof::plant),
    )
    .needs(&[ControlKind::KernelKnobsProtected]),
    Probe::denial(
        "FS13",
        Severity::High,
        "attributes and special files that mean something to overlay",
        Denial::new("FS13", TreeCanary::copy_on_write),
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Probe::denial(
        "FS17",
        Severity::Critical,
        "keys and tokens in the home directory",
        Denial::new("FS03", credentials),
    )
    .needs(&[ControlKind::HomeHidden]),
    Probe::denial(
        "FS18",
        Severity::High,
        "files in directories that all users have",
        Denial::new("FS03", shared_places),
    )
    .needs(&[ControlKind::FilesUnreadable]),
];

/// Several files: one that is reached is enough.
struct Files(Vec<FileCanary>);

impl Canary for Files {
    fn outside(&self) -> Vec<String> {
        self.0.iter().flat_map(Canary::outside).collect()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        self.0.iter_mut().find_map(|file| file.reached(seen))
    }
}

fn credentials(field: &Field) -> Verdict<Box<dyn Canary>> {
    const PLACES: [&str; 13] = [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".kube/config",
        ".docker/config.json",
        ".config/gcloud/credentials.db",
        ".netrc",
        ".git-credentials",
        ".npmrc",
        ".claude/.credentials.json",
        ".codex/auth.json",
        ".bash_history",
        ".gnupg/private",
        "Documents/file",
    ];
    let files: Verdict<Vec<_>> = PLACES
        .iter()
        .map(|place| FileCanary::at(field, &format!("home/{place}")))
        .collect();
    Ok(Box::new(Files(files?)))
}

fn shared_places(_: &Field) -> Verdict<Box<dyn Canary>> {
    const PLACES: [&str; 11] = [
        "/var/log", "/var/lib", "/var/tmp", "/boot", "/root", "/home", "/srv", "/mnt", "/tmp", "/dev/shm",
        "/run",
    ];
    let name = format!(".stockade-{}", &token()?[7..]);
    let files = PLACES
        .iter()
        .filter_map(|place| FileCanary::on_host(Path::new(place).join(&name)).ok());
    Ok(Box::new(Files(files.collect())))
}

fn by_handle(field: &Field) -> Verdict {
    let mut canary = FileCanary::at(field, "outside/secret")?;
    let handle = field
        .ground
        .outside(&[], &[], &arguments("handle", canary.outside()))?
        .text();
    let Some(handle) = handle.lines().next().filter(|line| line.len() > 8) else {
        return skip("the file system gives no handles");
    };
    let words = arguments("FS08", vec![handle.to_owned()]);
    let outside = field.ground.outside(&[], &[], &words)?;
    if canary
        .reached(&Seen {
            output: outside.text(),
        })
        .is_none()
    {
        return skip("inconclusive: opening by handle needs root");
    }
    let mut canary = FileCanary::at(field, "outside/secret")?;
    held(
        "FS08",
        &field.wall.attack(&Setting::default(), &words)?,
        &mut canary,
    )
}

fn system_directories(field: &Field) -> Verdict {
    let name = format!(".stockade-{}", &token()?[7..]);
    let own = field.ground.path("outside").display().to_string();
    let control = field
        .ground
        .outside(&[], &[], &["system-write".into(), name.clone(), own])?;
    ensure_sound!(
        control.text().contains("REACHED"),
        "the control wrote nothing: {}",
        control.all()
    );
    let directories: Vec<String> = [
        "/",
        "/usr",
        "/usr/bin",
        "/usr/lib",
        "/usr/local/bin",
        "/etc",
        "/bin",
        "/lib",
        "/sbin",
        "/var",
        "/proc",
        "/sys",
        "/dev",
        "/home",
    ]
    .map(str::to_owned)
    .to_vec();
    let words = [vec!["system-write".to_owned(), name.clone()], directories.clone()].concat();
    let inside = field.wall.attack(&Setting::default(), &words)?;
    ensure_sound!(
        inside.text().lines().any(|line| line == "DONE"),
        "it did not run to its end: {}",
        inside.all()
    );
    ensure!(!inside.text().contains("REACHED"), "{}", inside.all());
    let found: Vec<PathBuf> = directories
        .iter()
        .map(|directory| Path::new(directory).join(&name))
        .filter(|path| path.exists())
        .collect();
    ensure!(
        found.is_empty() || !host::is_root(),
        "on the host there is {found:?}"
    );
    Ok(())
}
