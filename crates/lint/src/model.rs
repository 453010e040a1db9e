//! What all formats are read into: workloads, each a list of settings with their places.
//!
//! A setting is a key and a text. Rules compare texts; they know no format.

use serde::{Deserialize, Serialize};

use crate::node::Where;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A compose file.
    Compose,
    /// Kubernetes manifests.
    Kubernetes,
    /// What `docker inspect` or `podman inspect` says.
    Inspect,
    /// A policy of Stockade.
    Policy,
    /// None of these.
    Unknown,
}

impl Format {
    /// How a person calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Compose => "compose file",
            Self::Kubernetes => "Kubernetes manifests",
            Self::Inspect => "description of containers",
            Self::Policy => "Stockade's policy",
            Self::Unknown => "unknown",
        }
    }
}

/// What a workload is. Some keys exist for some kinds only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A service of a compose file.
    Service,
    /// What a file describes beside its workloads: a named volume, an object.
    Other,
    /// A container that an engine has.
    Container,
    /// A pod, or what makes pods, without its containers.
    Pod,
    /// A container of a pod, with what it takes from its pod.
    PodContainer,
    /// A policy of Stockade.
    Policy,
}

/// What a setting is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Key {
    /// `true`.
    Privileged,
    /// Without `CAP_`, in capitals.
    CapabilityAdded,
    /// As [`Self::CapabilityAdded`].
    CapabilityDropped,
    /// A path of the host that is shown, not writable.
    MountReadOnly,
    /// A path of the host that is shown, and writable.
    MountWritable,
    /// `shared`, `rshared`, `bidirectional`.
    MountPropagation,
    /// A volume that other workloads mount as well.
    SharedVolume,
    /// `host`, `container:…`, `service:…`.
    PidNamespace,
    /// As [`Self::PidNamespace`].
    IpcNamespace,
    /// As [`Self::PidNamespace`].
    NetworkNamespace,
    /// `host`.
    UtsNamespace,
    /// `host`.
    UserNamespace,
    /// `host`.
    CgroupNamespace,
    /// A group of the host.
    CgroupParent,
    /// `unconfined`, `default`, or the name of a profile.
    Seccomp,
    /// As [`Self::Seccomp`].
    #[serde(rename = "apparmor")]
    AppArmor,
    /// `disabled`, or a type of the policy.
    Selinux,
    /// `true` or `false`.
    NoNewPrivileges,
    /// The user's number or name.
    User,
    /// `true` or `false`.
    RunAsNonRoot,
    /// `true` or `false`.
    ReadOnlyRoot,
    /// An upper bound.
    MemoryLimit,
    /// An upper bound.
    CpuLimit,
    /// An upper bound.
    PidsLimit,
    /// A device of the host.
    Device,
    /// A rule of the device cgroup.
    DeviceRule,
    /// A supplementary group.
    Group,
    /// `latest`, `tag`, `digest`, `built`.
    ImageTag,
    /// The image's name.
    Image,
    /// The name of a variable whose value is written down.
    VariableWritten,
    /// The name of a variable whose value comes from elsewhere.
    VariablePassed,
    /// A value of a variable; it is never shown.
    VariableContent,
    /// The address of the host on which a port is published; empty for all of them.
    PortAddress,
    /// A port that is taken on the node.
    HostPort,
    /// `always`, `unless-stopped`, `on-failure`.
    Restart,
    /// `true` if the token of the service account is put inside.
    ServiceAccountToken,
    /// `unmasked`.
    ProcMount,
    /// A name, with its value after `=`.
    Sysctl,
    /// `true`.
    ShareProcesses,
    /// `true`: the program on the node itself.
    HostProcess,
    /// The kind of a volume that a restricted pod must not have.
    VolumeKind,
    /// `true`: the engine's own socket is asked for by name.
    EngineSocket,
    /// The building of the image has rights of the host.
    BuildPrivilege,
    /// A kind that no cluster knows any more.
    RemovedKind,
    /// A clause of a policy: `network.mode=host`.
    Clause,
}

/// One thing that a workload says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is about.
    pub key: Key,
    /// Its value in the form that the key asks for.
    pub value: String,
    /// What a text repeats in its place.
    pub shown: String,
    /// False if a variable in it is known only when the workload is started.
    pub is_known: bool,
    /// Where it stands.
    pub at: Where,
}

/// A container, a pod or a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What it is.
    pub kind: Kind,
    /// How a person finds it: `service web`.
    pub name: String,
    /// Where it begins.
    pub at: Where,
    /// What it says of itself.
    pub settings: Vec<Setting>,
}

impl Workload {
    pub(crate) fn new(kind: Kind, name: String, at: Where) -> Self {
        Self {
            kind,
            name,
            at,
            settings: Vec::new(),
        }
    }

    /// Adds what is known.
    pub(crate) fn set(&mut self, key: Key, value: impl Into<String>, at: Where) {
        let value = value.into();
        self.add(key, value.clone(), value, true, at);
    }

    /// Adds what is shown otherwise than it is compared, or is not known.
    pub(crate) fn add(&mut self, key: Key, value: String, shown: String, is_known: bool, at: Where) {
        self.settings.push(Setting {
            key,
            value,
            shown,
            is_known,
            at,
        });
    }
}

/// Something that was not understood, and so not checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Unknown {
    /// Where.
    pub at: Where,
    /// What, and why nothing can be said of it.
    pub what: String,
}

/// A file as it was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// As it was named.
    pub name: String,
    /// What it is.
    pub format: Format,
    /// What it describes.
    pub workloads: Vec<Workload>,
    /// What was not understood.
    pub unknown: Vec<Unknown>,
    /// What was taken for granted: what is there but holds no workload, defaults of variables.
    pub notes: Vec<String>,
}
