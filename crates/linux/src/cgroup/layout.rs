//! Which cgroup hierarchies there are, where they are mounted, and where we are in each.
//! Pure: from the texts of /proc/self/cgroup and /proc/self/mountinfo.

use std::path::{Path, PathBuf};

use procfs_core::FromBufRead;
use procfs_core::process::MountInfo;
use procfs_core::{ProcessCGroup, ProcessCGroups};

use super::controller::Controller;
use super::record::Kind;

/// One hierarchy that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    /// Its interface.
    pub kind: Kind,
    /// Those of our controllers that are bound to it (v1).
    pub controllers: Vec<Controller>,
    /// Our group in it.
    pub own: String,
    /// Where it can be seen; none where no mount shows our group.
    pub mount: Option<Mount>,
}

/// Where a hierarchy, or a part of it, is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// The mount point.
    pub point: PathBuf,
    /// The group that the mount point shows.
    pub root: String,
}

/// All hierarchies with controllers of ours, and the unified one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// In the order of /proc/self/cgroup.
    pub hierarchies: Vec<Hierarchy>,
}

impl Mount {
    /// The directory of a group, if this mount shows it.
    pub fn directory(&self, cgroup: &str) -> Option<PathBuf> {
        if cgroup.split('/').any(|part| part == "..") {
            return None;
        }
        let rest = match self.root.as_str() {
            "/" => cgroup,
            root => cgroup
                .strip_prefix(root)
                .filter(|rest| rest.is_empty() || rest.starts_with('/'))?,
        };
        Some(match rest.trim_matches('/') {
            "" => self.point.clone(),
            rest => self.point.join(rest),
        })
    }

    /// True if it shows the hierarchy from its very top.
    pub fn is_whole(&self) -> bool {
        self.root == "/"
    }
}

impl Hierarchy {
    /// The directory of our own group.
    pub fn own_directory(&self) -> Option<PathBuf> {
        self.mount.as_ref()?.directory(&self.own)
    }
}

impl Layout {
    /// Reads the two texts.
    pub fn parse(self_cgroup: &str, mountinfo: &str) -> Result<Self, String> {
        let groups =
            ProcessCGroups::from_buf_read(self_cgroup.as_bytes()).map_err(|error| error.to_string())?;
        let mounts = cgroup_mounts(mountinfo)?;
        Ok(Self {
            hierarchies: groups
                .0
                .iter()
                .filter_map(|group| hierarchy(group, &mounts))
                .collect(),
        })
    }

    /// The v1 hierarchy of a controller.
    pub fn v1(&self, controller: Controller) -> Option<&Hierarchy> {
        self.hierarchies
            .iter()
            .find(|one| one.kind == Kind::V1 && one.controllers.contains(&controller))
    }

    /// The unified hierarchy.
    pub fn v2(&self) -> Option<&Hierarchy> {
        self.hierarchies.iter().find(|one| one.kind == Kind::V2)
    }
}

/// Our group in the unified hierarchy, from the text of /proc/PID/cgroup.
pub(super) fn v2_path(cgroup: &str) -> Option<String> {
    let groups = ProcessCGroups::from_buf_read(cgroup.as_bytes()).ok()?;
    groups
        .0
        .iter()
        .find(|group| is_v2(group))
        .map(|group| group.pathname.clone())
}

/// Whether the process with this /proc/PID/cgroup is in the group `path` or one below, in the
/// hierarchy of `kind` that holds all of `controllers`.
pub(super) fn is_in(
    cgroup: &str,
    kind: Kind,
    controllers: &[Controller],
    path: &str,
) -> Result<bool, String> {
    let groups = ProcessCGroups::from_buf_read(cgroup.as_bytes()).map_err(|error| error.to_string())?;
    let below = |group: &ProcessCGroup| {
        group
            .pathname
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    Ok(match kind {
        Kind::V2 => groups.0.iter().any(|group| is_v2(group) && below(group)),
        Kind::V1 => controllers.iter().all(|controller| {
            let bound =
                |group: &&ProcessCGroup| group.controllers.iter().any(|name| name == controller.name());
            groups.0.iter().find(bound).is_some_and(below)
        }),
    })
}

fn is_v2(group: &ProcessCGroup) -> bool {
    group.hierarchy == 0 && group.controllers.is_empty()
}

fn hierarchy(group: &ProcessCGroup, mounts: &[MountInfo]) -> Option<Hierarchy> {
    let kind = if is_v2(group) { Kind::V2 } else { Kind::V1 };
    let controllers: Vec<Controller> = group
        .controllers
        .iter()
        .filter_map(|name| Controller::from_name(name))
        .collect();
    if kind == Kind::V1 && controllers.is_empty() {
        return None;
    }
    Some(placed(group, kind, controllers, mounts))
}

/// The v1 hierarchy of the freezer, from the same texts. It is looked for only where it is needed.
pub(super) fn freezer(self_cgroup: &str, mountinfo: &str) -> Result<Option<Hierarchy>, String> {
    let groups = ProcessCGroups::from_buf_read(self_cgroup.as_bytes()).map_err(|error| error.to_string())?;
    let name = Controller::Freezer.name();
    let is_it = |group: &&ProcessCGroup| group.controllers.iter().any(|one| one == name);
    let Some(group) = groups.0.iter().find(is_it) else {
        return Ok(None);
    };
    let mounts = cgroup_mounts(mountinfo)?;
    Ok(Some(placed(group, Kind::V1, vec![Controller::Freezer], &mounts)))
}

fn placed(
    group: &ProcessCGroup,
    kind: Kind,
    controllers: Vec<Controller>,
    mounts: &[MountInfo],
) -> Hierarchy {
    let shows_it = |mount: &&MountInfo| match kind {
        Kind::V2 => mount.fs_type == "cgroup2",
        Kind::V1 => {
            mount.fs_type == "cgroup"
                && controllers
                    .iter()
                    .all(|one| mount.super_options.contains_key(one.name()))
        }
    };
    let as_mount = |mount: &MountInfo| Mount {
        point: PathBuf::from(unescape(&mount.mount_point.to_string_lossy())),
        root: unescape(&mount.root),
    };
    let shows_us = |mount: &Mount| mount.directory(&group.pathname).is_some();
    // Of several the one with the widest view; of equals the last, which lies on top.
    let mount = mounts
        .iter()
        .filter(shows_it)
        .map(as_mount)
        .filter(shows_us)
        .min_by_key(|mount| mount.root.len());
    Hierarchy {
        kind,
        controllers,
        own: group.pathname.clone(),
        mount,
    }
}

/// The mounts of cgroup file systems, topmost first. Other lines are not even parsed: there
/// may be hundreds.
fn cgroup_mounts(mountinfo: &str) -> Result<Vec<MountInfo>, String> {
    let lines = mountinfo.lines().rev().filter(|line| line.contains(" - cgroup"));
    lines
        .map(|line| MountInfo::from_line(line).map_err(|error| error.to_string()))
        .collect()
}

/// Undoes the kernel's `\ooo` for blanks and backslashes, which systemd's unit names have.
fn unescape(text: &str) -> String {
    const ESCAPES: [(&str, &str); 4] = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    if !text.contains('\\') {
        return text.to_owned();
    }
    // The backslash last: what it yields must not be taken for the start of another escape.
    ESCAPES
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The path of the group one level up.
pub(super) fn parent(cgroup: &str) -> &str {
    match cgroup.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// The last name in a path of a group.
pub(super) fn leaf(cgroup: &str) -> &str {
    Path::new(cgroup)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(root: &str) -> Mount {
        Mount {
            point: "/sys/fs/cgroup/memory".into(),
            root: root.into(),
        }
    }

    #[test]
    fn a_mount_of_a_part_shows_only_groups_below_it() {
        let docker = mount("/docker/abc");
        assert_eq!(
            docker.directory("/docker/abc"),
            Some("/sys/fs/cgroup/memory".into())
        );
        assert_eq!(
            docker.directory("/docker/abc/x"),
            Some("/sys/fs/cgroup/memory/x".into())
        );
        assert_eq!(docker.directory("/docker/abcd"), None);
        assert_eq!(docker.directory("/"), None);
        assert_eq!(mount("/").directory("/"), Some("/sys/fs/cgroup/memory".into()));
    }

    #[test]
    fn a_group_above_the_namespace_has_no_directory() {
        assert_eq!(mount("/").directory("/../other"), None);
        assert_eq!(mount("/../..").directory("/"), None);
    }

    #[test]
    fn the_freezer_is_found_where_it_is_mounted() {
        let cgroup = "7:freezer:/a\n3:cpu,cpuacct:/b\n";
        let mounts = "30 20 0:1 / /cg/freezer rw - cgroup cgroup rw,freezer\n31 20 0:2 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
        let found = freezer(cgroup, mounts).unwrap().unwrap();
        assert_eq!(found.own_directory(), Some("/cg/freezer/a".into()));
        assert_eq!(freezer("3:cpu,cpuacct:/b\n", mounts), Ok(None));
    }

    #[test]
    fn escapes_of_unit_names_are_undone() {
        assert_eq!(unescape(r"/a\134x2d040b\040c"), r"/a\x2d040b c");
        assert_eq!(unescape(r"/a\134040"), r"/a\040");
    }

    #[test]
    fn names_and_parents_of_groups() {
        assert_eq!((parent("/a/b"), leaf("/a/b")), ("/a", "b"));
        assert_eq!((parent("/a"), leaf("/a")), ("/", "a"));
        assert_eq!((parent("/"), leaf("/")), ("/", ""));
    }

    #[test]
    fn membership_is_checked_in_every_controller() {
        let text = "4:memory:/stockade/a\n3:cpu,cpuacct:/stockade/a/deep\n2:pids:/\n0::/x\n";
        let memory = [Controller::Memory];
        assert_eq!(is_in(text, Kind::V1, &memory, "/stockade/a"), Ok(true));
        assert_eq!(is_in(text, Kind::V1, &memory, "/stockade"), Ok(true));
        assert_eq!(is_in(text, Kind::V1, &memory, "/stockade/ab"), Ok(false));
        assert_eq!(
            is_in(
                text,
                Kind::V1,
                &[Controller::Cpu, Controller::Cpuacct],
                "/stockade/a"
            ),
            Ok(true)
        );
        assert_eq!(
            is_in(
                text,
                Kind::V1,
                &[Controller::Memory, Controller::Pids],
                "/stockade/a"
            ),
            Ok(false)
        );
        assert_eq!(is_in(text, Kind::V2, &memory, "/stockade/a"), Ok(false));
        assert_eq!(is_in(text, Kind::V2, &memory, "/x"), Ok(true));
    }
}
