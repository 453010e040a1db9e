//! What every sandbox has: the operating system read-only, private places to write, own
//! kernel interfaces, and the few files of /etc that tell about the user and the host.

use std::path::{Path, PathBuf};

use stockade_domain::demand::Origin;
use stockade_domain::policy::paths::{self, Places};
use stockade_domain::policy::{FileAccess, Policy, protect};
use stockade_domain::spec::Network;
use stockade_domain::view::{Access, Content};

use super::builder::Builder;
use super::resolve::{Kind, resolve};
use super::{Context, Identity, ViewError, permitted};

/// Shown read-only where they are directories, copied where they are symlinks.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/nix/store",
    "/gnu/store",
];

/// Where programs expect to be able to write. /run is empty: what the host has there are
/// the sockets of its services.
const PRIVATE: [(&str, u32); 3] = [("/tmp", 0o1777), ("/var/tmp", 0o1777), ("/run", 0o755)];

/// Adds what every sandbox has.
pub(super) fn add(
    builder: &mut Builder<'_>,
    policy: &Policy,
    identity: Identity,
    home: &Path,
    image: Option<&Path>,
    places: &Places<'_>,
) -> Result<(), ViewError> {
    if let Some(image) = image {
        add_image(builder, image, &[home, places.workdir])?;
    }
    builder.push("/proc", Content::Proc)?;
    builder.push("/dev", Content::Devices)?;
    builder.push(
        "/tmp",
        Content::Private {
            mode: 0o1777,
            size_bytes: None,
        },
    )?;
    builder.push(
        home,
        Content::Private {
            mode: 0o700,
            size_bytes: None,
        },
    )?;
    if image.is_some() {
        return Ok(());
    }
    for path in SYSTEM {
        add_system(builder, Path::new(path))?;
    }
    for (path, mode) in PRIVATE.iter().skip(1) {
        builder.push(
            *path,
            Content::Private {
                mode: *mode,
                size_bytes: None,
            },
        )?;
    }
    builder.push(
        "/var/run",
        Content::Symlink {
            target: PathBuf::from("/run"),
        },
    )?;
    add_etc(builder, policy, identity, home)
}

fn add_system(builder: &mut Builder<'_>, path: &Path) -> Result<(), ViewError> {
    let Ok(metadata) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if metadata.is_dir() {
        return builder.host(path, true, Access::ReadOnly);
    }
    match std::fs::read_link(path) {
        Ok(target) if metadata.is_symlink() => builder.push(path, Content::Symlink { target }),
        _ => Ok(()),
    }
}

/// Files of /etc that would tell about the host's users, name and network.
fn add_etc(
    builder: &mut Builder<'_>,
    policy: &Policy,
    Identity { uid, gid }: Identity,
    home: &Path,
) -> Result<(), ViewError> {
    let hostname = &policy.hostname.value;
    let home = home.display();
    replace(builder, "/etc/passwd", || {
        format!(
            "root:x:0:0:root:/root:/usr/sbin/nologin\nuser:x:{uid}:{gid}:user:{home}:/bin/sh\n\
             nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        )
    })?;
    replace(builder, "/etc/group", || {
        format!("root:x:0:\nuser:x:{gid}:\nnogroup:x:65534:\n")
    })?;
    replace(builder, "/etc/hostname", || format!("{hostname}\n"))?;
    replace(builder, "/etc/machine-id", String::new)?;
    match policy.network.value {
        Network::None => {
            replace(builder, "/etc/hosts", || {
                format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {hostname}\n")
            })?;
            replace(builder, "/etc/resolv.conf", || {
                "# No network: no name servers.\n".to_owned()
            })
        }
        Network::Host => show_resolver(builder),
    }
}

/// Puts a file over one that the host has. Where that is a symlink (resolv.conf often leads
/// into /run) the file stands at its end; one that leads out of the view stays dangling.
fn replace(builder: &mut Builder<'_>, path: &str, content: impl Fn() -> String) -> Result<(), ViewError> {
    let Ok(resolved) = resolve(Path::new(path)) else {
        return Ok(());
    };
    if resolved.kind != Kind::File || builder.seen_through(&resolved.real).is_none() {
        return Ok(());
    }
    builder.push(
        resolved.real,
        Content::File {
            content: content().into_bytes(),
        },
    )
}

/// With the host's network, names are resolved as on the host.
fn show_resolver(builder: &mut Builder<'_>) -> Result<(), ViewError> {
    match resolve(Path::new("/etc/resolv.conf")) {
        Ok(resolved) if resolved.kind == Kind::File => builder.reveal(&resolved, Access::ReadOnly),
        _ => Ok(()),
    }
}

/// What stands in the image's root directory, but for what every sandbox has of its own and
/// for directories in which a place of the host has to be made. Links are taken as links: a
/// /proc that is one in the image is never followed.
fn add_image(builder: &mut Builder<'_>, image: &Path, hosts: &[&Path]) -> Result<(), ViewError> {
    const OWN: [&str; 3] = ["dev", "proc", "sys"];
    let unusable = |cause| ViewError::Unusable {
        origin: Origin::Flag("--image".to_owned()),
        path: image.to_owned(),
        cause,
    };
    let mut entries = std::fs::read_dir(image)
        .and_then(|list| list.collect::<Result<Vec<_>, _>>())
        .map_err(unusable)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let at = Path::new("/").join(entry.file_name());
        let kind = entry.file_type().map_err(unusable)?;
        let holds_host = hosts.iter().any(|host| host.starts_with(&at));
        if holds_host || OWN.iter().any(|own| entry.file_name() == *own) {
            continue;
        }
        if kind.is_symlink() {
            let target = std::fs::read_link(entry.path()).map_err(unusable)?;
            builder.push(at, Content::Symlink { target })?;
        } else if kind.is_dir() {
            let source = entry.path();
            builder.push(
                at,
                Content::Host {
                    source,
                    directory: true,
                    access: Access::ReadOnly,
                },
            )?;
        }
    }
    Ok(())
}

/// The directory that stands in place of the system's.
pub(super) fn image(
    policy: &Policy,
    context: &Context,
    places: &Places<'_>,
) -> Result<Option<PathBuf>, ViewError> {
    let Some(clause) = &policy.image else {
        return Ok(None);
    };
    let origin = || clause.origin.clone();
    let path = paths::expand(&clause.value, places).map_err(|cause| ViewError::Text {
        origin: origin(),
        cause,
    })?;
    let resolved = resolve(&path).map_err(|cause| ViewError::Unusable {
        origin: origin(),
        path: path.clone(),
        cause,
    })?;
    let refuse = |why: &str, fix: &str| {
        Err(ViewError::Refused {
            origin: origin(),
            path: path.clone(),
            why: why.to_owned(),
            fix: fix.to_owned(),
        })
    };
    if resolved.kind != Kind::Directory {
        return refuse(
            "is not a directory",
            "name the root directory of an unpacked image",
        );
    }
    if let Some(refused) = protect::refuse_source(&resolved.real, true, false, places.home) {
        return refuse(refused.why, refused.fix);
    }
    permitted::check(policy, &clause.origin, FileAccess::ReadOnly, &resolved, places)?;
    if context
        .state_dir
        .as_deref()
        .is_some_and(|state| state.starts_with(&resolved.real))
    {
        return refuse(
            "holds Stockade's own state",
            "name the root directory of an unpacked image",
        );
    }
    if !["usr", "bin"]
        .iter()
        .any(|part| resolved.real.join(part).symlink_metadata().is_ok())
    {
        return refuse(
            "has neither usr nor bin in it",
            "name the root directory of an unpacked image",
        );
    }
    Ok(Some(resolved.real))
}
