//! What "tighter" means, clause by clause, as data: two clauses of one kind are compared by
//! their [`Measure`], and [`SCALARS`] says where each is found.

use std::collections::BTreeSet;

use super::Policy;
use super::layer::{Clause, Layer};
use crate::control::ControlKind;
use crate::demand::Origin;
use crate::spec::{Caches, Network, WorkspaceMode};
use crate::units::{ByteCount, CpuMillis, CpuShare, DurationMs, Limit, MemoryShare};

/// How much a clause permits, comparable with another clause of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Up to this much; without a number there is no bound. Less is tighter.
    AtMost(Option<u64>),
    /// A place in an order. Higher is tighter.
    Step(u8),
    /// One of many that have no order: only the same is as tight.
    Same(String),
    /// Destinations; without a set, everything. Fewer are tighter.
    Reach(Option<BTreeSet<String>>),
    /// Protects nothing: every value is as tight as every other.
    Free,
}

impl Measure {
    /// Whether this permits nothing that the other forbids.
    #[must_use]
    pub fn is_as_tight_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AtMost(_), Self::AtMost(None)) => true,
            (Self::AtMost(Some(own)), Self::AtMost(Some(other))) => own <= other,
            (Self::Step(own), Self::Step(other)) => own >= other,
            (Self::Same(own), Self::Same(other)) => own == other,
            (Self::Reach(_), Self::Reach(None)) => true,
            (Self::Reach(Some(own)), Self::Reach(Some(other))) => own.is_subset(other),
            (Self::Free, Self::Free) => true,
            // What cannot be compared is not known to be tight.
            _ => false,
        }
    }
}

/// A clause as it is compared and told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it permits.
    pub measure: Measure,
    /// The value, as a policy writes it.
    pub shown: String,
    /// Who wrote it.
    pub origin: Origin,
}

/// A clause that has one value.
pub struct Scalar {
    /// Its key, as it is written.
    pub key: &'static str,
    /// What is tighter, in words.
    pub tighter: &'static str,
    /// The controls that it sets or takes down.
    pub controls: &'static [ControlKind],
    /// Its value in a policy.
    pub in_policy: fn(&Policy) -> Seen,
    /// Its value in a layer that writes it.
    pub in_layer: fn(&Layer) -> Option<Seen>,
    /// Puts a layer's value in place of the policy's.
    pub put: fn(&mut Policy, &Layer),
}

/// A value that can be compared.
trait Measured {
    fn measure(&self) -> Measure;
    fn shown(&self) -> String;
}

fn seen<T: Measured>(clause: &Clause<T>) -> Seen {
    Seen {
        measure: clause.value.measure(),
        shown: clause.value.shown(),
        origin: clause.origin.clone(),
    }
}

fn seen_or_none(clause: Option<&Clause<String>>) -> Seen {
    clause.map_or_else(
        || Seen {
            measure: Measure::Same(String::new()),
            shown: "none".to_owned(),
            origin: Origin::Default,
        },
        seen,
    )
}

/// A scalar whose field has the same path in policy and layer.
macro_rules! scalar {
    ($key:literal, $tighter:literal, $controls:expr, $($policy:ident).+, $layer:ident) => {
        Scalar {
            key: $key,
            tighter: $tighter,
            controls: $controls,
            in_policy: |policy| seen(&policy.$($policy).+),
            in_layer: |layer| layer.$layer.as_ref().map(seen),
            put: |policy, layer| {
                if let Some(clause) = &layer.$layer {
                    policy.$($policy).+ = clause.clone();
                }
            },
        }
    };
    (optional $key:literal, $tighter:literal, $field:ident) => {
        Scalar {
            key: $key,
            tighter: $tighter,
            controls: &[],
            in_policy: |policy| seen_or_none(policy.$field.as_ref()),
            in_layer: |layer| layer.$field.as_ref().map(seen),
            put: |policy, layer| policy.$field = layer.$field.clone().or(policy.$field.take()),
        }
    };
}

/// Every clause that has one value. Lists (`files`, `environment`, `need`) add up and have
/// rules of their own in [`super::layers`].
pub static SCALARS: [Scalar; 19] = [
    scalar!("driver", "only the same", &[], driver, driver),
    scalar!(optional "image", "only the same", image),
    scalar!(
        "workspace.mode",
        "rw, then cow, then ro, then none",
        &[
            ControlKind::WorkspaceCopyOnWrite,
            ControlKind::WorkspaceReadOnly,
            ControlKind::WorkspaceProtected,
        ],
        workspace_mode,
        workspace_mode
    ),
    scalar!(optional "workspace.path", "only the same", workspace_path),
    scalar!("files.caches", "cow, then none", &[], caches, caches),
    Scalar {
        key: "network",
        tighter: "host, then a list in allow, then fewer destinations, then none",
        controls: &[
            ControlKind::NetworkNone,
            ControlKind::NetworkAllowlist,
            ControlKind::LocalSocketsHidden,
        ],
        in_policy: |policy| reach(Some(&policy.network), policy.network_allow.as_ref()),
        in_layer: |layer| {
            let written = layer.network.is_some() || layer.network_allow.is_some();
            written.then(|| reach(layer.network.as_ref(), layer.network_allow.as_ref()))
        },
        put: Policy::put_network,
    },
    scalar!(
        "limits.memory",
        "less",
        &[ControlKind::Memory],
        limits.memory,
        memory
    ),
    scalar!("limits.pids", "fewer", &[ControlKind::Pids], limits.pids, pids),
    scalar!("limits.cpus", "fewer", &[ControlKind::Cpu], limits.cpus, cpus),
    scalar!(
        "limits.cpu-weight",
        "less",
        &[ControlKind::Cpu],
        limits.cpu_weight,
        cpu_weight
    ),
    scalar!("limits.disk", "less", &[ControlKind::Disk], limits.disk, disk),
    scalar!(
        "limits.timeout",
        "less",
        &[ControlKind::WallTime],
        limits.timeout,
        timeout
    ),
    scalar!(
        "limits.output",
        "less",
        &[ControlKind::Output],
        limits.output,
        output
    ),
    scalar!(
        "budget.memory",
        "only the organisation and the user write it",
        &[ControlKind::BudgetMemory],
        budget.memory,
        budget_memory
    ),
    scalar!(
        "budget.cpus",
        "only the organisation and the user write it",
        &[ControlKind::BudgetCpu],
        budget.cpus,
        budget_cpus
    ),
    scalar!(
        "sandbox.nested-namespaces",
        "false",
        &[ControlKind::NestedNamespacesOff],
        nested_namespaces,
        nested_namespaces
    ),
    scalar!(
        "sandbox.checkpoints-from-inside",
        "false",
        &[],
        checkpoints_from_inside,
        checkpoints_from_inside
    ),
    Scalar {
        key: "sandbox.hostname",
        tighter: "any: it protects nothing",
        controls: &[],
        in_policy: |policy| free(&policy.hostname),
        in_layer: |layer| layer.hostname.as_ref().map(free),
        put: |policy, layer| {
            if let Some(name) = &layer.hostname {
                policy.hostname = name.clone();
            }
        },
    },
    Scalar {
        key: "audit.processes",
        tighter: "true",
        controls: &[ControlKind::ProcessStarts],
        in_policy: |policy| recorded(&policy.audit_processes),
        in_layer: |layer| layer.audit_processes.as_ref().map(recorded),
        put: |policy, layer| {
            if let Some(recorded) = &layer.audit_processes {
                policy.audit_processes = recorded.clone();
            }
        },
    },
];

/// A duty of the supervisor: to have it is tighter.
fn recorded(clause: &Clause<bool>) -> Seen {
    Seen {
        measure: Measure::Step(u8::from(clause.value)),
        ..seen(clause)
    }
}

fn free(clause: &Clause<String>) -> Seen {
    Seen {
        measure: Measure::Free,
        ..seen(clause)
    }
}

/// Mode and list are one clause: a layer that writes either replaces both.
fn reach(mode: Option<&Clause<Network>>, allow: Option<&Clause<Vec<String>>>) -> Seen {
    let host = mode.is_some_and(|mode| mode.value == Network::Host);
    let destinations: BTreeSet<String> = allow
        .map(|list| list.value.iter().cloned().collect())
        .unwrap_or_default();
    let origin = match (mode, allow) {
        (Some(mode), None) => &mode.origin,
        (Some(mode), Some(_)) if host => &mode.origin,
        (_, Some(allow)) => &allow.origin,
        (None, None) => &Origin::Default,
    };
    let shown = match (host, destinations.len()) {
        (true, _) => "host".to_owned(),
        (false, 0) => "none".to_owned(),
        (false, _) => format!(
            "none but {}",
            destinations.iter().cloned().collect::<Vec<_>>().join(", ")
        ),
    };
    Seen {
        measure: Measure::Reach((!host).then_some(destinations)),
        shown,
        origin: origin.clone(),
    }
}

impl Measured for String {
    fn measure(&self) -> Measure {
        Measure::Same(self.clone())
    }
    fn shown(&self) -> String {
        self.clone()
    }
}

impl Measured for WorkspaceMode {
    fn measure(&self) -> Measure {
        Measure::Step(match self {
            Self::Rw => 0,
            Self::Live => 1,
            Self::Cow | Self::Copy => 2,
            Self::Ro => 3,
            Self::None => 4,
        })
    }
    fn shown(&self) -> String {
        let name = match self {
            Self::Rw => "rw",
            Self::Live => "live",
            Self::Cow => "cow",
            Self::Copy => "copy",
            Self::Ro => "ro",
            Self::None => "none",
        };
        name.to_owned()
    }
}

impl Measured for Caches {
    fn measure(&self) -> Measure {
        Measure::Step(u8::from(*self == Self::None))
    }
    fn shown(&self) -> String {
        match self {
            Self::Cow => "cow".to_owned(),
            Self::None => "none".to_owned(),
        }
    }
}

/// A freedom of the workload: not to have it is tighter.
impl Measured for bool {
    fn measure(&self) -> Measure {
        Measure::Step(u8::from(!self))
    }
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Measured for u16 {
    fn measure(&self) -> Measure {
        Measure::AtMost(Some(u64::from(*self)))
    }
    fn shown(&self) -> String {
        self.to_string()
    }
}

fn bound<T: Copy>(limit: Limit<T>, number: fn(T) -> u64) -> Measure {
    Measure::AtMost(limit.value().map(number))
}

fn shown<T: Copy>(limit: Limit<T>, text: impl Fn(T) -> String) -> String {
    limit.value().map_or_else(|| "none".to_owned(), text)
}

impl Measured for Limit<ByteCount> {
    fn measure(&self) -> Measure {
        bound(*self, |bytes| bytes.0)
    }
    fn shown(&self) -> String {
        shown(*self, |bytes| bytes.to_string())
    }
}

impl Measured for Limit<DurationMs> {
    fn measure(&self) -> Measure {
        bound(*self, |time| time.0)
    }
    fn shown(&self) -> String {
        shown(*self, |time| time.to_string())
    }
}

impl Measured for Limit<CpuMillis> {
    fn measure(&self) -> Measure {
        bound(*self, |cpus| u64::from(cpus.0))
    }
    fn shown(&self) -> String {
        shown(*self, |cpus| (f64::from(cpus.0) / 1000.0).to_string())
    }
}

/// Shares of a host are compared by nobody: a project may write none, and a floor has none.
impl Measured for Limit<MemoryShare> {
    fn measure(&self) -> Measure {
        Measure::Same(self.shown())
    }
    fn shown(&self) -> String {
        shown(*self, |share| share.to_string())
    }
}

impl Measured for Limit<CpuShare> {
    fn measure(&self) -> Measure {
        Measure::Same(self.shown())
    }
    fn shown(&self) -> String {
        shown(*self, |share| share.to_string())
    }
}

impl Measured for Limit<u32> {
    fn measure(&self) -> Measure {
        bound(*self, u64::from)
    }
    fn shown(&self) -> String {
        shown(*self, |count| count.to_string())
    }
}
