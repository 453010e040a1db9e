//! A pod without its containers: what they share, and what of the node is in it.

use std::collections::BTreeSet;

use super::container;
use crate::gather::{Gather, tidy_path};
use crate::model::{Key, Kind, Workload};
use crate::node::Cursor;

/// Keys that are read here.
const READ: &[&str] = &[
    "containers",
    "initContainers",
    "ephemeralContainers",
    "securityContext",
    "volumes",
    "hostPID",
    "hostIPC",
    "hostNetwork",
    "hostUsers",
    "shareProcessNamespace",
    "automountServiceAccountToken",
    "os",
];

/// Keys that change nothing about the walls.
const HARMLESS: &[&str] = &[
    "activeDeadlineSeconds",
    "affinity",
    "dnsConfig",
    "dnsPolicy",
    "enableServiceLinks",
    "hostAliases",
    "hostname",
    "hostnameOverride",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "readinessGates",
    "resourceClaims",
    "resources",
    "restartPolicy",
    "runtimeClassName",
    "schedulerName",
    "schedulingGates",
    "serviceAccount",
    "serviceAccountName",
    "setHostnameAsFQDN",
    "subdomain",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
];

/// What a pod's security context can hold. Files' groups and the like change nothing about the walls.
const CONTEXT: &[&str] = &[
    "runAsUser",
    "runAsNonRoot",
    "runAsGroup",
    "supplementalGroups",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxOptions",
    "sysctls",
    "windowsOptions",
    "fsGroup",
    "fsGroupChangePolicy",
    "supplementalGroupsPolicy",
    "seLinuxChangePolicy",
];

/// Kinds of volume that restricted pods may have.
const USUAL_VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Other kinds of volume that there are or were.
const OTHER_VOLUMES: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "glusterfs",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// Lists of containers.
const CONTAINERS: [(&str, &str); 3] = [
    ("containers", "container"),
    ("initContainers", "init container"),
    ("ephemeralContainers", "ephemeral container"),
];

/// Reads a pod: `at` holds its metadata and spec.
pub(super) fn read(name: &str, at: &Cursor, gather: &mut Gather) {
    let Some(spec) = at.get("spec") else {
        gather.unknown(at.at(), format!("{name}: the pod has no spec"));
        return;
    };
    gather.only(&spec, &[READ, HARMLESS]);
    let mut pod = Workload::new(Kind::Pod, name.to_owned(), spec.at());
    flags(&spec, &mut pod, gather);
    let context = spec.get("securityContext");
    if let Some(context) = &context {
        gather.only(context, &[CONTEXT]);
        sysctls(context, &mut pod, gather);
        for group in gather.list(context.get("supplementalGroups")) {
            let text = group.text().unwrap_or_default().to_owned();
            pod.set(Key::Group, text, group.at());
        }
    }
    volumes(&spec, &mut pod, gather);
    gather.workloads.push(pod);
    let annotations = at.find(&["metadata", "annotations"]);
    let mut found = 0usize;
    for (key, called) in CONTAINERS {
        for one in gather.list(spec.get(key)) {
            found += 1;
            let inherited = container::Inherited {
                context: context.as_ref(),
                annotations: annotations.as_ref(),
            };
            container::read(name, called, &one, &inherited, gather);
        }
    }
    if found == 0 {
        gather.unknown(spec.at(), format!("{name}: the pod has no containers"));
    }
}

fn flags(spec: &Cursor, pod: &mut Workload, gather: &mut Gather) {
    let shared = [
        ("hostPID", Key::PidNamespace),
        ("hostIPC", Key::IpcNamespace),
        ("hostNetwork", Key::NetworkNamespace),
    ];
    for (name, key) in shared {
        if let Some((true, at)) = gather.flag(spec.get(name)) {
            pod.set(key, "host", at);
        }
    }
    // Without it a cluster gives no user namespace; only who writes it down asks for the host's.
    if let Some((true, at)) = gather.flag(spec.get("hostUsers")) {
        pod.set(Key::UserNamespace, "host", at);
    }
    let plain = [
        ("shareProcessNamespace", Key::ShareProcesses),
        ("automountServiceAccountToken", Key::ServiceAccountToken),
    ];
    for (name, key) in plain {
        if let Some((value, at)) = gather.flag(spec.get(name)) {
            pod.set(key, value.to_string(), at);
        }
    }
}

fn sysctls(context: &Cursor, pod: &mut Workload, gather: &mut Gather) {
    for one in gather.list(context.get("sysctls")) {
        if let Some((name, at)) = gather.text(one.get("name")) {
            pod.set(Key::Sysctl, name, at);
        }
    }
}

fn volumes(spec: &Cursor, pod: &mut Workload, gather: &mut Gather) {
    let written = written(spec);
    for volume in gather.list(spec.get("volumes")) {
        let name = volume.get("name");
        let name = name
            .as_ref()
            .and_then(Cursor::text)
            .unwrap_or_default()
            .to_owned();
        for (kind, one) in gather.map(Some(volume.clone())) {
            if kind == "hostPath" {
                let Some((path, at)) = gather.text(one.get("path")) else {
                    continue;
                };
                let key = if written.contains(&name) {
                    Key::MountWritable
                } else {
                    Key::MountReadOnly
                };
                pod.add(key, tidy_path(&path), path, true, at);
            } else if OTHER_VOLUMES.contains(&kind.as_str()) {
                pod.set(Key::VolumeKind, kind, one.at());
            } else if kind != "name" && !USUAL_VOLUMES.contains(&kind.as_str()) {
                gather.unknown(
                    one.at(),
                    format!("{} is a kind of volume that is not known here", one.path),
                );
            }
        }
    }
}

/// The volumes that a container mounts and may write to.
fn written(spec: &Cursor) -> BTreeSet<String> {
    let containers = CONTAINERS
        .iter()
        .filter_map(|(key, _)| spec.get(key)?.items())
        .flatten();
    let mounts = containers
        .filter_map(|one| one.get("volumeMounts")?.items())
        .flatten();
    let is_read_only = |mount: &Cursor| {
        let flag = mount.get("readOnly");
        flag.as_ref()
            .and_then(Cursor::text)
            .and_then(crate::gather::truth)
            == Some(true)
    };
    let name = |mount: Cursor| Some(mount.get("name")?.text()?.to_owned());
    mounts
        .filter(|mount| !is_read_only(mount))
        .filter_map(name)
        .collect()
}
