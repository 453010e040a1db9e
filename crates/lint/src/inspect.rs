//! What `docker inspect` and `podman inspect` say of containers: nothing is left to defaults there.

use crate::compose::security_option;
use crate::gather::{Gather, image_tag, shown, tidy_capability, tidy_path};
use crate::model::{Key, Kind, Workload};
use crate::node::Cursor;
use crate::secrets;

/// Without these, what is missing cannot be told from what is not set.
const NEEDED: &[&str] = &[
    "Privileged",
    "CapAdd",
    "PidMode",
    "NetworkMode",
    "IpcMode",
    "SecurityOpt",
    "Memory",
    "ReadonlyRootfs",
];

/// Texts that are taken as they are.
const NAMESPACES: [(&str, Key); 6] = [
    ("PidMode", Key::PidNamespace),
    ("IpcMode", Key::IpcNamespace),
    ("NetworkMode", Key::NetworkNamespace),
    ("UTSMode", Key::UtsNamespace),
    ("UsernsMode", Key::UserNamespace),
    ("CgroupnsMode", Key::CgroupNamespace),
];

/// Upper bounds; zero and less lift them.
const LIMITS: [(&str, Key); 5] = [
    ("Memory", Key::MemoryLimit),
    ("NanoCpus", Key::CpuLimit),
    ("CpuQuota", Key::CpuLimit),
    ("CpuCount", Key::CpuLimit),
    ("PidsLimit", Key::PidsLimit),
];

/// Reads one container, or a list of them.
pub(crate) fn read(root: &Cursor, gather: &mut Gather) {
    match root.items() {
        Some(all) if all.is_empty() => {
            gather.unknown(root.at(), "the list is empty: no container was described")
        }
        Some(all) => all.iter().for_each(|one| container(one, gather)),
        None => container(root, gather),
    }
}

fn container(at: &Cursor, gather: &mut Gather) {
    let Some(host) = at.get("HostConfig").filter(Cursor::is_map) else {
        gather.unknown(
            at.at(),
            "this describes no container (an image, a network or a volume, perhaps)",
        );
        return;
    };
    let entries = host.entries().unwrap_or_default();
    for needed in NEEDED {
        if !entries.iter().any(|(name, _)| name == needed) {
            gather.unknown(
                host.at(),
                format!("{} has no {needed}: what holds is not known", host.path),
            );
        }
    }
    if !at
        .entries()
        .unwrap_or_default()
        .iter()
        .any(|(name, _)| name == "Mounts")
    {
        gather.unknown(
            at.at(),
            "there is no Mounts: what of the host is inside is not known",
        );
    }
    let name = at.get("Name");
    let name = name.as_ref().and_then(Cursor::text).unwrap_or("without a name");
    let called = format!("container {}", name.trim_start_matches('/'));
    let mut workload = Workload::new(Kind::Container, called, at.at());
    rights(&host, &mut workload, gather);
    dropped_all(at, &mut workload);
    limits(&host, &mut workload, gather);
    confinement(at, &host, &mut workload, gather);
    mounts(at, &host, &mut workload, gather);
    outside(&host, &mut workload, gather);
    config(at, &mut workload, gather);
    gather.workloads.push(workload);
}

fn rights(host: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for (name, key) in [
        ("Privileged", Key::Privileged),
        ("ReadonlyRootfs", Key::ReadOnlyRoot),
    ] {
        if let Some((value, at)) = gather.flag(host.get(name)) {
            workload.set(key, value.to_string(), at);
        }
    }
    for (name, key) in [
        ("CapAdd", Key::CapabilityAdded),
        ("CapDrop", Key::CapabilityDropped),
    ] {
        for one in gather.list(host.get(name)) {
            if let Some((text, at)) = gather.text(Some(one)) {
                workload.add(key, tidy_capability(&text), text, true, at);
            }
        }
    }
    for (name, key) in NAMESPACES {
        if let Some((text, at)) = gather.text(host.get(name)).filter(|(text, _)| !text.is_empty()) {
            workload.set(key, text, at);
        }
    }
    // Podman says where it puts all containers.
    let usual = ["", "user.slice", "machine.slice", "libpod_parent"];
    let parent = gather.text(host.get("CgroupParent"));
    if let Some((text, at)) = parent.filter(|(text, _)| !usual.contains(&text.as_str())) {
        workload.set(Key::CgroupParent, text, at);
    }
    for one in gather.list(host.get("GroupAdd")) {
        if let Some((text, at)) = gather.text(Some(one)) {
            workload.set(Key::Group, text, at);
        }
    }
    for (name, one) in gather.map(host.get("Sysctls")) {
        workload.set(Key::Sysctl, name, one.at());
    }
}

/// Podman writes out every capability that was dropped in place of ALL, and beside it what is left.
fn dropped_all(at: &Cursor, workload: &mut Workload) {
    let left = at.entries().unwrap_or_default();
    let left = left.iter().find(|(name, _)| name == "BoundingCaps");
    if let Some((_, none)) =
        left.filter(|(_, left)| left.node.is_null() || left.items().is_some_and(|all| all.is_empty()))
    {
        workload.set(Key::CapabilityDropped, "ALL", none.at());
    }
}

fn limits(host: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for (name, key) in LIMITS {
        let Some((text, at)) = gather.text(host.get(name)) else {
            continue;
        };
        if text != "0" && !text.starts_with('-') {
            workload.set(key, text, at);
        }
    }
}

fn confinement(at: &Cursor, host: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for one in gather.list(host.get("SecurityOpt")) {
        let Some((text, at)) = gather.text(Some(one)) else {
            continue;
        };
        if !security_option(&text, &at, workload) {
            gather.unknown(
                at,
                format!("the security option {} is not known here", shown(&text)),
            );
        }
    }
    let is_said = workload.settings.iter().any(|one| one.key == Key::AppArmor);
    let profile = gather.text(at.get("AppArmorProfile"));
    if let Some((text, at)) = profile.filter(|(text, _)| !is_said && text == "unconfined") {
        workload.set(Key::AppArmor, text, at);
    }
    // Null is the engine's default, an empty list covers nothing.
    let masked = host.get("MaskedPaths");
    if let Some(none) = masked.filter(|masked| masked.items().is_some_and(|paths| paths.is_empty())) {
        workload.set(Key::ProcMount, "unmasked", none.at());
    }
}

fn mounts(at: &Cursor, host: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for mount in gather.list(at.get("Mounts")) {
        let kind = mount.get("Type");
        let kind = kind.as_ref().and_then(Cursor::text).unwrap_or_default();
        if let Some((propagation, at)) = gather.text(mount.get("Propagation")) {
            workload.set(Key::MountPropagation, propagation, at);
        }
        if !matches!(kind, "bind" | "npipe") {
            continue;
        }
        let Some((source, place)) = gather.text(mount.get("Source")) else {
            continue;
        };
        let writes = gather.flag(mount.get("RW")).is_none_or(|(writes, _)| writes);
        let key = if writes {
            Key::MountWritable
        } else {
            Key::MountReadOnly
        };
        workload.add(key, tidy_path(&source), source, true, place);
    }
    for one in gather.list(host.get("VolumesFrom")) {
        if let Some((text, at)) = gather.text(Some(one)).filter(|(text, _)| !text.ends_with(":ro")) {
            workload.set(Key::SharedVolume, format!("all volumes of {text}"), at);
        }
    }
    for one in gather.list(host.get("Devices")) {
        if let Some((path, at)) = gather.text(one.get("PathOnHost")) {
            workload.add(Key::Device, tidy_path(&path), path, true, at);
        }
    }
    for one in gather.list(host.get("DeviceCgroupRules")) {
        if let Some((text, at)) = gather.text(Some(one)) {
            workload.set(Key::DeviceRule, text, at);
        }
    }
}

fn outside(host: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for (port, bindings) in gather.map(host.get("PortBindings")) {
        for one in gather.list(Some(bindings).filter(|all| !all.node.is_null())) {
            let address = gather
                .text(one.get("HostIp"))
                .map(|(text, _)| text)
                .unwrap_or_default();
            workload.add(Key::PortAddress, address, port.clone(), true, one.at());
        }
    }
    if let Some((policy, at)) = gather.text(host.find(&["RestartPolicy", "Name"])) {
        workload.set(Key::Restart, policy, at);
    }
}

fn config(at: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    let Some(config) = at.get("Config") else {
        gather.unknown(
            at.at(),
            "there is no Config: the image and its variables are not known",
        );
        return;
    };
    // An empty text is root: here the image's own user is written out.
    let user = config.get("User");
    let user = user.as_ref().and_then(Cursor::text).unwrap_or_default();
    let user = user.split(':').next().unwrap_or_default();
    workload.set(Key::User, if user.is_empty() { "0" } else { user }, config.at());
    if let Some((image, at)) = gather.text(config.get("Image")) {
        workload.add(
            Key::ImageTag,
            image_tag(&image).to_owned(),
            image.clone(),
            true,
            at.clone(),
        );
        workload.set(Key::Image, image, at);
    }
    for one in gather.list(config.get("Env")) {
        let Some((text, at)) = gather.text(Some(one)) else {
            continue;
        };
        if let Some((name, value)) = text.split_once('=') {
            secrets::add_variable(workload, name, Some(value), true, &at);
        }
    }
}
