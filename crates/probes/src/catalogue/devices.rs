//! Device nodes, and what is mounted.

use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use stockade_domain::ControlKind;

use super::privileges::OWN_NAMESPACES;
use super::running::own_name;
use crate::canary::{Canary, Proof, Seen, token};
use crate::denial::{DONE, Denial, arguments};
use crate::finished::finish;
use crate::{Field, Probe, Setting, Severity, Verdict, ensure, ensure_sound, host, skip};

const ROOT: &str = "it needs root";

pub const ALL: &[Probe] = &[
    Probe::denial(
        "DV01",
        Severity::Critical,
        "device nodes of the host",
        Denial::new("DV01", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::denial(
        "DV02",
        Severity::Critical,
        "new device nodes",
        Denial::new("DV02", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::question(
        "DV03",
        Severity::Medium,
        "/dev has only what is harmless",
        devices,
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::denial(
        "DV05",
        Severity::High,
        "loop devices and swap space",
        Denial::new("DV05", Proof::plant).control_if(ROOT),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::question(
        "DV06",
        Severity::High,
        "mounts of the host that come later, and mounts of the sandbox, on the other side",
        propagation,
    )
    .needs(&[ControlKind::FilesUnreadable])
    .small(),
    Probe::denial(
        "DV07",
        Severity::Medium,
        "screens, input, cameras and sound",
        Denial::new("DV07", Media::plant),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::question(
        "DV08",
        Severity::Medium,
        "files in the memory that all programs share",
        shared_memory,
    )
    .needs(&[ControlKind::IpcPrivate]),
    Probe::denial(
        "DV09",
        Severity::Medium,
        "file systems that a program serves",
        Denial::new("DV09", Proof::plant)
            .wrapped(OWN_NAMESPACES)
            .control_if("the kernel has no fuse here, or ordinary users cannot make namespaces"),
    )
    .needs(&[ControlKind::Privileges]),
    Probe::denial(
        "DV10",
        Severity::High,
        "terminals and screens of the host",
        Denial::new("DV10", Terminal::plant),
    )
    .needs(&[ControlKind::DevicesHidden]),
    Probe::denial(
        "DV10-names",
        Severity::Low,
        "the names of the host's terminals",
        Denial::new("DV10-names", Terminal::plant),
    )
    .needs(&[ControlKind::DevicesHidden, ControlKind::NamesHidden]),
];

fn devices(field: &Field) -> Verdict {
    const HARMLESS: [&str; 14] = [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
        "tty", "urandom",
    ];
    let control = field
        .ground
        .outside(&[], &[], &["nodes".into()])?
        .expect(0)?
        .text();
    let strangers = |text: &str| -> Vec<String> {
        text.lines()
            .next()
            .unwrap_or_default()
            .split(' ')
            .filter(|name| *name != "zero" && !HARMLESS.contains(name))
            .map(str::to_owned)
            .collect()
    };
    let inside = field
        .wall
        .attack(&Setting::default(), &["nodes".into()])?
        .expect(0)?
        .text();
    ensure!(strangers(&inside).is_empty(), "{:?}", strangers(&inside));
    ensure_sound!(
        inside.contains("null") && inside.contains("urandom"),
        "the harmless ones are missing: {inside}"
    );
    // The control: the same listing outside names more, on any host but one made for this.
    if strangers(&control).is_empty() {
        return skip("inconclusive: the host's /dev has nothing else either");
    }
    Ok(())
}

/// A host with such devices, made for it: each is the zero device in a /dev that only this launcher has.
struct Media(Proof);

const WITH_MEDIA: &str = r#"
set -e
own=$(mktemp -d)
mount -t tmpfs none "$own"
for name in null zero full random urandom tty; do cp -a "/dev/$name" "$own/"; done
mkdir "$own/pts" "$own/shm" "$own/mqueue" "$own/dri" "$own/snd" "$own/input"
mount --bind /dev/pts "$own/pts"
ln -s pts/ptmx "$own/ptmx"
for name in dri/card0 dri/renderD128 kfd nvidia0 fb0 input/event0 hidraw0 video0 snd/controlC0; do
    mknod -m 666 "$own/$name" c 1 5
done
mount --move "$own" /dev
rmdir "$own"
exec "$@"
"#;

impl Media {
    fn plant(_: &Field) -> Verdict<Box<dyn Canary>> {
        if !host::is_root() {
            return skip("devices that a host may not have are made by root alone: it needs root");
        }
        Ok(Box::new(Self(Proof::new())))
    }
}

impl Canary for Media {
    fn outside(&self) -> Vec<String> {
        Vec::new()
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        self.0.reached(seen)
    }

    fn launcher(&self) -> Vec<String> {
        let words = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            WITH_MEDIA,
            "sh",
        ];
        words.map(str::to_owned).to_vec()
    }
}

/// A mode that lets everybody write, and that no terminal has by itself.
const MARK: u32 = 0o626;

/// A terminal of the host: whoever drives it sees what is written to it.
struct Terminal {
    driven_by: OwnedFd,
    path: String,
    proof: Proof,
}

impl Terminal {
    fn plant(_: &Field) -> Verdict<Box<dyn Canary>> {
        let driven_by = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&driven_by)?;
        unlockpt(&driven_by)?;
        let path = ptsname(&driven_by, Vec::new())?.to_string_lossy().into_owned();
        fcntl_setfl(&driven_by, OFlags::NONBLOCK)?;
        // What keeps others from it must be the wall, not that it is somebody else's.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(MARK))?;
        Ok(Box::new(Self {
            driven_by,
            path,
            proof: Proof::new(),
        }))
    }
}

impl Canary for Terminal {
    fn outside(&self) -> Vec<String> {
        vec![self.path.clone()]
    }

    fn reached(&mut self, seen: &Seen) -> Option<String> {
        let mut buffer = [0; 64];
        if rustix::io::read(&self.driven_by, &mut buffer).is_ok_and(|count| count > 0) {
            return Some(format!("{} was written to", self.path));
        }
        let mark = format!("{} has mode {MARK:o}", self.path);
        let told = seen.output.lines().find(|line| **line == mark);
        told.map(str::to_owned).or_else(|| self.proof.reached(seen))
    }
}

/// What is left there must not be there outside.
fn shared_memory(field: &Field) -> Verdict {
    let name = format!("stockade-{}", &token()?[7..]);
    let path = Path::new("/dev/shm").join(&name);
    let words = arguments("DV08", vec![name]);
    let left = |path: &Path| path.exists() && std::fs::remove_file(path).is_ok();
    let control = field.ground.outside(&[], &[], &words)?;
    if !left(&path) {
        return skip(format!(
            "inconclusive: outside nothing can be left there either: {}",
            control.all()
        ));
    }
    let inside = field.wall.attack(&Setting::default(), &words)?;
    ensure!(!left(&path), "{} was there outside", path.display());
    ensure_sound!(inside.text().contains(DONE), "{}", inside.all());
    Ok(())
}

/// A part of the view gets a mount when the sandbox runs already. All happens in mounts that only this
/// script has; what is peer of them is the control.
const PROPAGATED: &str = r#"
base=$1; program=$2; name=$3; shift 3
mount -t tmpfs none "$base" && mount --make-shared "$base" && mkdir -p "$base/shown/later" || exit 90
unshare --mount --propagation unchanged sh -c 'echo there > "$1"; exec sleep 50' sh "$base/peer" & peer=$!
until [ -s "$base/peer" ]; do sleep 0.02; done
mounts=$(cat /proc/self/mountinfo)
"$program" run -q -d --name "$name" --ro "$base/shown" "$@" -- sleep 50 || exit 91
[ "$mounts" = "$(cat /proc/self/mountinfo)" ] || echo "REACHED mounts of the sandbox are seen outside"
mount -t tmpfs none "$base/shown/later" || exit 92
[ "$mounts" = "$(cat /proc/self/mountinfo)" ] || echo "control: a mount is seen"
echo "$SECRET" > "$base/shown/later/file"
echo "control: $(nsenter --target "$peer" --mount cat "$base/shown/later/file")"
"$program" exec "$name" ls -d "$base/shown/later" && echo tried
echo "inside: $("$program" exec "$name" cat "$base/shown/later/file")"
"$program" rm --force "$name"
kill "$peer"
umount "$base/shown/later"
"#;

fn propagation(field: &Field) -> Verdict {
    if !host::is_root() {
        return skip("mounting on the host needs root");
    }
    let secret = token()?;
    let base = field
        .ground
        .path(&format!("outside/mounts-{}", field.ground.number()));
    std::fs::create_dir(&base)?;
    let mut command = field.ground.command(Path::new("unshare"));
    command
        .args([
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            PROPAGATED,
            "sh",
        ])
        .arg(&base)
        .arg(field.wall.program())
        .arg(own_name(field, "propagated"))
        .args(field.wall.flags())
        .env("SECRET", &secret);
    let finished = finish(command, Vec::new(), None)?;
    let text = finished.text();
    ensure_sound!(
        text.contains("control: a mount is seen") && text.contains(&format!("control: {secret}")),
        "the control saw no mount: {}",
        finished.all()
    );
    ensure_sound!(
        text.lines().any(|line| line == "tried") && text.contains("inside:"),
        "it was not tried inside: {}",
        finished.all()
    );
    ensure!(!text.contains("REACHED"), "{text}");
    ensure!(
        !text.contains(&format!("inside: {secret}")),
        "what was mounted on the host came inside"
    );
    Ok(())
}
