//! A container of a pod, with what it takes from its pod.

use crate::gather::{Gather, image_tag, tidy_capability};
use crate::model::{Key, Kind, Workload};
use crate::node::{Cursor, Where};
use crate::secrets;

/// Keys that are read here.
const READ: &[&str] = &[
    "name",
    "image",
    "securityContext",
    "resources",
    "env",
    "ports",
    "volumeMounts",
    "volumeDevices",
];

/// Keys that change nothing about the walls.
const HARMLESS: &[&str] = &[
    "args",
    "command",
    "envFrom",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "targetContainerName",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "workingDir",
];

/// What a container's security context can hold.
const CONTEXT: &[&str] = &[
    "privileged",
    "capabilities",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "procMount",
    "runAsUser",
    "runAsNonRoot",
    "runAsGroup",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxOptions",
    "windowsOptions",
];

/// What a pod says for all of its containers.
pub(super) struct Inherited<'a> {
    pub context: Option<&'a Cursor>,
    pub annotations: Option<&'a Cursor>,
}

impl Inherited<'_> {
    /// What the container says, else what its pod says.
    fn find(&self, own: Option<&Cursor>, key: &str) -> Option<Cursor> {
        own.and_then(|own| own.get(key))
            .or_else(|| self.context.and_then(|pod| pod.get(key)))
    }
}

/// Reads one container.
pub(super) fn read(pod: &str, called: &str, at: &Cursor, inherited: &Inherited<'_>, gather: &mut Gather) {
    gather.only(at, &[READ, HARMLESS]);
    let name = at.get("name");
    let name = name
        .as_ref()
        .and_then(Cursor::text)
        .unwrap_or("without a name")
        .to_owned();
    let mut workload = Workload::new(Kind::PodContainer, format!("{pod}, {called} {name}"), at.at());
    let own = at.get("securityContext");
    if let Some(own) = &own {
        gather.only(own, &[CONTEXT]);
        rights(own, &mut workload, gather);
    }
    users(own.as_ref(), inherited, &mut workload, gather);
    confinement(own.as_ref(), inherited, &name, &mut workload, gather);
    if let Some((image, at)) = gather.text(at.get("image")) {
        workload.add(
            Key::ImageTag,
            image_tag(&image).to_owned(),
            image.clone(),
            true,
            at.clone(),
        );
        workload.set(Key::Image, image, at);
    }
    for (key, limit) in [(Key::MemoryLimit, "memory"), (Key::CpuLimit, "cpu")] {
        if let Some((value, at)) = gather.text(at.find(&["resources", "limits", limit])) {
            workload.set(key, value, at);
        }
    }
    for port in gather.list(at.get("ports")) {
        if let Some((value, at)) = gather.text(port.get("hostPort")) {
            workload.set(Key::HostPort, value, at);
        }
    }
    for mount in gather.list(at.get("volumeMounts")) {
        if let Some((value, at)) = gather.text(mount.get("mountPropagation")) {
            workload.set(Key::MountPropagation, value.to_ascii_lowercase(), at);
        }
    }
    for device in gather.list(at.get("volumeDevices")) {
        if let Some((value, at)) = gather.text(device.get("devicePath")) {
            workload.set(Key::Device, value, at);
        }
    }
    environment(at, &mut workload, gather);
    gather.workloads.push(workload);
}

fn rights(own: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    let flags = [
        ("privileged", Key::Privileged),
        ("readOnlyRootFilesystem", Key::ReadOnlyRoot),
    ];
    for (name, key) in flags {
        if let Some((value, at)) = gather.flag(own.get(name)) {
            workload.set(key, value.to_string(), at);
        }
    }
    if let Some((value, at)) = gather.flag(own.get("allowPrivilegeEscalation")) {
        workload.set(Key::NoNewPrivileges, (!value).to_string(), at);
    }
    if let Some((value, at)) = gather.text(own.get("procMount")) {
        workload.set(Key::ProcMount, value.to_ascii_lowercase(), at);
    }
    for (list, key) in [("add", Key::CapabilityAdded), ("drop", Key::CapabilityDropped)] {
        for one in gather.list(own.find(&["capabilities", list])) {
            if let Some((name, at)) = gather.text(Some(one)) {
                workload.add(key, tidy_capability(&name), name, true, at);
            }
        }
    }
}

fn users(own: Option<&Cursor>, inherited: &Inherited<'_>, workload: &mut Workload, gather: &mut Gather) {
    if let Some((user, at)) = gather.text(inherited.find(own, "runAsUser")) {
        workload.set(Key::User, user, at);
    }
    if let Some((value, at)) = gather.flag(inherited.find(own, "runAsNonRoot")) {
        workload.set(Key::RunAsNonRoot, value.to_string(), at);
    }
}

fn confinement(
    own: Option<&Cursor>,
    inherited: &Inherited<'_>,
    name: &str,
    workload: &mut Workload,
    gather: &mut Gather,
) {
    for (profile, key) in [
        ("seccompProfile", Key::Seccomp),
        ("appArmorProfile", Key::AppArmor),
    ] {
        let Some(profile) = inherited.find(own, profile) else {
            continue;
        };
        let Some((kind, at)) = gather.text(profile.get("type")) else {
            gather.unknown(profile.at(), format!("{} has no type", profile.path));
            continue;
        };
        let local = profile.get("localhostProfile");
        let local = local
            .as_ref()
            .and_then(Cursor::text)
            .unwrap_or("a profile of the node");
        match kind.as_str() {
            "Unconfined" => workload.set(key, "unconfined", at),
            "RuntimeDefault" => workload.set(key, "default", at),
            "Localhost" => workload.set(key, local, at),
            other => gather.unknown(
                at,
                format!("{}: the type {other} is not known here", profile.path),
            ),
        }
    }
    annotations(inherited, name, workload, gather);
    if let Some(options) = inherited.find(own, "seLinuxOptions") {
        for key in ["type", "user", "role"] {
            if let Some((value, at)) = gather
                .text(options.get(key))
                .filter(|(value, _)| !value.is_empty())
            {
                workload.set(Key::Selinux, value, at);
            }
        }
    }
    let windows = inherited
        .find(own, "windowsOptions")
        .and_then(|options| options.get("hostProcess"));
    if let Some((true, at)) = gather.flag(windows) {
        workload.set(Key::HostProcess, "true", at);
    }
}

/// How profiles were named before there were fields for them.
fn annotations(inherited: &Inherited<'_>, name: &str, workload: &mut Workload, gather: &mut Gather) {
    let older = [
        (
            "container.apparmor.security.beta.kubernetes.io/".to_owned() + name,
            Key::AppArmor,
        ),
        (
            "seccomp.security.alpha.kubernetes.io/pod".to_owned(),
            Key::Seccomp,
        ),
        (
            "container.seccomp.security.alpha.kubernetes.io/".to_owned() + name,
            Key::Seccomp,
        ),
    ];
    for (annotation, key) in older {
        let found = inherited.annotations.and_then(|all| all.get(&annotation));
        let Some((value, at)) = gather.text(found) else {
            continue;
        };
        let value = match value.as_str() {
            "runtime/default" | "docker/default" => "default",
            other => other,
        };
        workload.set(key, value, at);
    }
}

fn environment(at: &Cursor, workload: &mut Workload, gather: &mut Gather) {
    for variable in gather.list(at.get("env")) {
        let Some((name, at)): Option<(String, Where)> = gather.text(variable.get("name")) else {
            continue;
        };
        let value = gather.text(variable.get("value")).map(|(value, _)| value);
        let from_secret = variable.find(&["valueFrom", "secretKeyRef"]).is_some();
        match value {
            Some(value) => secrets::add_variable(workload, &name, Some(&value), true, &at),
            None if from_secret => secrets::add_variable(workload, &name, None, true, &at),
            None => {}
        }
    }
}
