//! From a plan to the steps that build a jail: a sandbox without namespaces. Pure, as
//! [`crate::compile`] is for sandboxes that have them.

use std::path::PathBuf;

use stockade_domain::ControlKind;
use stockade_domain::plan::Plan;
use stockade_domain::spec::Network;

use crate::compile::{MAX_EXECS, SCOPES_ABI, asks};
use crate::ops::{Canary, GuestSettings, Moved, Op, Program, VERSION};
use crate::seccomp::Substitutes;

/// Terminals that commands of one jail can have, one after the other: no more can be opened once
/// it stands.
pub const TERMINALS: u32 = 8;

/// What the steps depend on besides the plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// User and group of the host that the workload gets; none where it keeps the supervisor's.
    pub ids: Option<(u32, u32)>,
    /// The directory that becomes the root.
    pub root: Option<PathBuf>,
    /// The guest has to join cgroups of version 1 by itself.
    pub joins_cgroups: bool,
    /// The kernel's Landlock ABI.
    pub landlock_abi: u32,
    /// Trees as the workload names them; none where Landlock is not used.
    pub rules: Option<Rules>,
    /// What can be used before the walls stand, and not after.
    pub canaries: Vec<Canary>,
    /// Where writing must be possible.
    pub writable: Vec<PathBuf>,
    /// Places of the view that are somewhere else.
    pub moved: Vec<Moved>,
}

/// What Landlock is to let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Directories that can be listed, whatever they hold.
    pub list: Vec<PathBuf>,
    /// Readable and executable trees.
    pub read: Vec<PathBuf>,
    /// Writable trees.
    pub write: Vec<PathBuf>,
    /// A file that can be read and that is in none of them.
    pub canary: PathBuf,
}

/// Compiles a plan.
#[must_use]
pub fn compile(plan: &Plan, context: &Context) -> Program {
    let mut ops = vec![
        Op::CloseSources,
        Op::OpenTerminals { count: TERMINALS },
        Op::Inventory,
        Op::SignalBaseline,
    ];
    ops.extend(context.root.clone().map(|at| Op::ChangeRoot { at }));
    // The right to say what can be gained goes with the ids.
    ops.extend(context.ids.map(|_| Op::BoundCapabilities));
    ops.extend(context.joins_cgroups.then_some(Op::JoinCgroups));
    ops.extend(context.ids.map(|(uid, gid)| Op::TakeIds {
        uid,
        gid,
        drop_groups: true,
    }));
    let canary = context.rules.as_ref().map(|rules| rules.canary.clone());
    ops.push(Op::Baseline { landlock: canary });
    ops.push(Op::Canaries(context.canaries.clone()));
    ops.push(Op::NoNewPrivileges);
    ops.push(match context.ids {
        Some(_) => Op::DropCapabilities,
        None => Op::ReleaseCapabilities,
    });
    ops.push(Op::NotDumpable);
    if let Some(rules) = &context.rules {
        ops.push(Op::Landlock {
            list: rules.list.clone(),
            read: rules.read.clone(),
            write: rules.write.clone(),
        });
        // Landlock's test needs a socket, which the filter may refuse.
        ops.push(Op::SelfTest);
    }
    ops.extend(context.writable.iter().map(|at| Op::WriteTest { at: at.clone() }));
    if plan.enforces(ControlKind::SyscallFilter) {
        ops.push(Op::Seccomp {
            nested_namespaces: plan.spec().nested_namespaces,
            substitutes: substitutes(plan, context),
            tell_starts: false,
        });
    }
    ops.push(Op::SelfTest);
    if plan.enforces(ControlKind::DiesWithSupervisor) {
        ops.push(Op::Keeper);
    }
    Program {
        version: VERSION,
        sources: Vec::new(),
        ops,
        guest: GuestSettings {
            // In a domain nothing can be mounted anyway, so a second one costs namespaces nothing.
            nested_landlock: context.landlock_abi >= SCOPES_ABI
                && (context.rules.is_some() || !plan.spec().nested_namespaces),
            max_execs: MAX_EXECS,
            moved: context.moved.clone(),
            asks: asks(plan.spec()),
        },
    }
}

/// What the filter refuses because no namespace keeps it apart.
fn substitutes(plan: &Plan, context: &Context) -> Substitutes {
    Substitutes {
        network: plan.spec().network == Network::None,
        ipc: plan.enforces(ControlKind::IpcPrivate),
        // Ids of its own own nothing of the host.
        metadata: context.ids.is_none() && plan.enforces(ControlKind::MetadataProtected),
        processes: true,
    }
}
