//! Kubernetes manifests: what makes pods, and the pods in it.

mod container;
mod pod;

use crate::gather::{Gather, shown};
use crate::model::{Key, Kind, Workload};
use crate::node::Cursor;

/// Kinds that make pods, and the way to the pod in them.
const PODS: [(&str, &[&str]); 10] = [
    ("Pod", &[]),
    ("PodTemplate", &["template"]),
    ("Deployment", &["spec", "template"]),
    ("StatefulSet", &["spec", "template"]),
    ("DaemonSet", &["spec", "template"]),
    ("ReplicaSet", &["spec", "template"]),
    ("ReplicationController", &["spec", "template"]),
    ("Job", &["spec", "template"]),
    ("CronJob", &["spec", "jobTemplate", "spec", "template"]),
    ("ScheduledJob", &["spec", "jobTemplate", "spec", "template"]),
];

/// Kinds of Kubernetes itself that make no pods.
const NO_PODS: &[&str] = &[
    "APIService",
    "Binding",
    "CSIDriver",
    "CSINode",
    "CSIStorageCapacity",
    "CertificateSigningRequest",
    "ClusterRole",
    "ClusterRoleBinding",
    "ConfigMap",
    "ControllerRevision",
    "CustomResourceDefinition",
    "EndpointSlice",
    "Endpoints",
    "Event",
    "FlowSchema",
    "Gateway",
    "GatewayClass",
    "HTTPRoute",
    "HorizontalPodAutoscaler",
    "IPAddress",
    "Ingress",
    "IngressClass",
    "Lease",
    "LimitRange",
    "MutatingWebhookConfiguration",
    "Namespace",
    "NetworkPolicy",
    "Node",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "PriorityClass",
    "PriorityLevelConfiguration",
    "ResourceQuota",
    "Role",
    "RoleBinding",
    "RuntimeClass",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceCIDR",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
    "VolumeAttachment",
    "VolumeSnapshot",
    "VolumeSnapshotClass",
];

/// Groups of the interface whose kinds these are; others have kinds of the same names that make pods.
const GROUPS: &[&str] = &["", "apps", "autoscaling", "batch", "extensions", "policy"];

/// Lists in lists; `kubectl` makes one.
const MAX_LISTS: usize = 4;

/// Reads one object.
pub(crate) fn read(root: &Cursor, gather: &mut Gather) {
    object(root, 0, gather);
}

fn object(at: &Cursor, lists: usize, gather: &mut Gather) {
    let Some((kind, place)) = gather.text(at.get("kind")) else {
        gather.unknown(at.at(), "this object has no kind");
        return;
    };
    let is_list = kind.strip_suffix("List").is_some() && at.get("items").is_some();
    if is_list && lists < MAX_LISTS {
        for item in gather.list(at.get("items")) {
            object(&item, lists + 1, gather);
        }
        return;
    }
    let name = at
        .find(&["metadata", "name"])
        .or_else(|| at.find(&["metadata", "generateName"]));
    let name = name.as_ref().and_then(Cursor::text).unwrap_or("without a name");
    let called = format!("{kind} {name}");
    if let Some((_, way)) = PODS.iter().find(|(known, _)| *known == kind) {
        match at.find(way) {
            Some(template) => pod::read(&called, &template, gather),
            None => gather.unknown(
                place,
                format!("{}: there is no pod in it at {}", shown(&called), way.join(".")),
            ),
        }
    } else if kind == "PodSecurityPolicy" {
        let mut removed = Workload::new(Kind::Other, called, at.at());
        removed.set(Key::RemovedKind, kind, place);
        gather.workloads.push(removed);
    } else if NO_PODS.contains(&kind.as_str()) && is_own_group(at) {
        gather.notes.insert(format!(
            "{}: {} makes no pods, and was not looked at",
            at.file,
            shown(&called)
        ));
    } else {
        let what = format!(
            "{} is of a kind that is not known here; pods that it makes are not checked",
            shown(&called)
        );
        gather.unknown(place, what);
    }
}

/// Whether an object's kind is one of Kubernetes itself.
fn is_own_group(at: &Cursor) -> bool {
    let version = at.get("apiVersion");
    let version = version.as_ref().and_then(Cursor::text).unwrap_or_default();
    let group = version.split_once('/').map_or("", |(group, _)| group);
    GROUPS.contains(&group) || group.ends_with(".k8s.io")
}
