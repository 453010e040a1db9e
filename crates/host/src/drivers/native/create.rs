//! Builds one native sandbox.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use rustix::net::SocketType;
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::target::HostFacts;
use stockade_domain::{Control, ControlKind, Plan, Spec};
use stockade_linux::apply::open_tree;
use stockade_linux::cgroup::{self, Group, GroupLimits, JoinMethod};
use stockade_linux::compile;
use stockade_linux::idmap::Identity;
use stockade_linux::ops::Attestation;
use stockade_linux::spawn::{GuestImage, SpawnRequest, Spawned, spawn};
use tokio::net::UnixStream;

use super::boundary::NativeBoundary;
use super::wall::{Parts, Wall};
use super::{NAME, Native, context, host_facts, identity, receipt, sources, talk};
use crate::driver::{Boundary, Seed, SeedOrigin};
use crate::error::{Error, Result};

/// Builds the wall, opens the pipe, gathers the receipt.
pub(super) async fn create(driver: &Native, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
    if let SeedOrigin::Snapshot(name) = &seed.origin {
        return Err(step_error(
            "start from a snapshot",
            format!("{name}: native takes none"),
            None,
        ));
    }
    let facts = host_facts(driver.target());
    let claimed = identity::claim(facts, plan.spec())?;
    let limits = group_limits(&plan);
    // The guest's exec takes as long as most of what follows, so it starts as early as
    // possible; only a cgroup of version 2 must exist before the process does.
    let early = if driver.cgroups().kind() == Some(cgroup::Kind::V2) {
        make_group(driver, limits.as_ref(), &seed)?
    } else {
        None
    };
    let (door, guest_door) = talk::pair(SocketType::SEQPACKET)?;
    let (link, guest_link) = talk::pair(SocketType::STREAM)?;
    let mut spawned = start_guest(&plan, &seed, facts, early.as_ref(), vec![guest_door, guest_link])?;
    let identity_map = &claimed.identity.map;
    spawned
        .map_ids(identity_map)
        .map_err(|error| step_error("map ids", error.to_string(), None))?;
    let mut wall = Wall::new(Parts {
        id: seed.id.clone(),
        spawned,
        group: early,
        door,
        claimed,
    })?;
    let mut link = talk::stream(link)?;
    prepare_changes(plan.spec(), &seed, wall.identity())?;
    let attestation = hand_over(driver, &plan, &mut wall, &mut link, limits.as_ref(), &seed).await?;
    let controls: Vec<Control> = plan.enforced().cloned().collect();
    let receipt = receipt::gather(&controls, plan.spec(), &wall.observed(), &attestation);
    Ok(Box::new(NativeBoundary::new(wall, receipt, link)))
}

fn step_error(step: &str, cause: String, remedy: Option<&str>) -> Error {
    Error::Create {
        driver: NAME.to_owned(),
        step: step.to_owned(),
        cause,
        remedy: remedy.map(str::to_owned),
    }
}

/// The limits that need a cgroup, if there are any.
fn group_limits(plan: &Plan) -> Option<GroupLimits> {
    let mut limits = GroupLimits::default();
    for control in plan.enforced() {
        match control {
            Control::Memory(bytes) => limits.memory_bytes = Some(bytes.0),
            Control::Pids(count) => limits.pids = Some(*count),
            Control::Cpu(limit) => limits.cpu = Some(*limit),
            Control::Wall(_) | Control::Disk(_) | Control::WallTime(_) | Control::Output(_) => {}
        }
    }
    (limits != GroupLimits::default()).then_some(limits)
}

fn make_group(driver: &Native, limits: Option<&GroupLimits>, seed: &Seed) -> Result<Option<Group>> {
    limits
        .map(|limits| Group::create(driver.cgroups(), &seed.id, limits))
        .transpose()
        .map_err(|error| step_error("make its cgroup", error.to_string(), None))
}

/// The layers of a copy-on-write workspace, owned by the workload's host ids. The upper
/// directory's mode becomes that of the workspace seen inside.
fn prepare_changes(spec: &Spec, seed: &Seed, identity: &Identity) -> Result<()> {
    let (Some(workspace), Some(changes)) = (&spec.workspace, &seed.changes_dir) else {
        return Ok(());
    };
    if workspace.mode != WorkspaceMode::Cow {
        return Ok(());
    }
    let mode = fs::metadata(&workspace.source)
        .map_err(|error| Error::io(format!("read {}", workspace.source.display()), error))?
        .mode();
    for (name, mode) in [("upper", mode & 0o7777), ("work", 0o700)] {
        let path = changes.join(name);
        make_layer(&path, mode, identity).map_err(|error| Error::state("prepare", &path, error))?;
    }
    Ok(())
}

fn make_layer(path: &Path, mode: u32, identity: &Identity) -> std::io::Result<()> {
    fs::DirBuilder::new()
        .mode(mode & 0o777)
        .recursive(true)
        .create(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    if identity.map.privileged {
        std::os::unix::fs::chown(path, identity.host_uid(), identity.host_gid())?;
    }
    Ok(())
}

fn start_guest(
    plan: &Plan,
    seed: &Seed,
    facts: &HostFacts,
    group: Option<&Group>,
    inherit: Vec<OwnedFd>,
) -> Result<Spawned> {
    let mut arguments = vec!["stockade-guest".to_owned()];
    arguments.extend(seed.guest.arguments.iter().cloned());
    let program = if facts.privileged {
        let tree = open_tree(&seed.guest.path, false).map_err(|(call, source)| {
            step_error("open the guest's program", format!("{call}: {source}"), None)
        })?;
        stockade_linux::apply::make_read_only(&tree).map_err(|(call, source)| {
            step_error("protect the guest's program", format!("{call}: {source}"), None)
        })?;
        GuestImage::Mount(tree)
    } else {
        GuestImage::Path(&seed.guest.path)
    };
    let join = group.map(join_method).transpose()?;
    let into_cgroup = match &join {
        Some(JoinMethod::CloneInto(directory)) => Some(directory.as_fd()),
        Some(JoinMethod::WriteTasks(_)) | None => None,
    };
    spawn(&SpawnRequest {
        program,
        arguments: &arguments,
        own_network: plan.spec().network == Network::None || plan.enforces(ControlKind::NetworkNone),
        into_cgroup,
        inherit,
    })
    .map_err(|error| step_error("start the guest", error.to_string(), None))
}

fn join_method(group: &Group) -> Result<JoinMethod> {
    group
        .join()
        .map_err(|error| step_error("join its cgroup", error.to_string(), None))
}

fn tasks(wall: &Wall) -> Result<Vec<OwnedFd>> {
    match wall.group().map(join_method).transpose()? {
        Some(JoinMethod::WriteTasks(tasks)) => Ok(tasks),
        Some(JoinMethod::CloneInto(_)) | None => Ok(Vec::new()),
    }
}

/// Sends the set-up and waits for the answer, within the deadline.
async fn hand_over(
    driver: &Native,
    plan: &Plan,
    wall: &mut Wall,
    link: &mut UnixStream,
    limits: Option<&GroupLimits>,
    seed: &Seed,
) -> Result<Attestation> {
    let facts = host_facts(driver.target());
    let joins_cgroups = limits.is_some() && wall.group().is_none();
    let mut compiled = compile::compile(
        plan,
        &context(facts, wall.identity(), seed.changes_dir.clone(), joins_cgroups),
    );
    driver.mutate(&mut compiled.program);
    let exchange = async {
        talk::send_program(link, &compiled.program).await?;
        if facts.privileged {
            talk::send_trees(wall.door(), &sources::open(&compiled.requests, wall.identity())?)?;
        }
        if joins_cgroups {
            wall.set_group(make_group(driver, limits, seed)?);
            talk::send_trees(wall.door(), &tasks(wall)?)?;
        }
        talk::receive_reply(link).await
    };
    let deadline = tokio::time::Instant::from_std(seed.deadline);
    let started = Instant::now();
    let result = tokio::select! {
        biased;
        result = exchange => result,
        () = seed.cancel.cancelled() => Err(Error::Cancelled { what: "creating the sandbox".to_owned() }),
        () = tokio::time::sleep_until(deadline) => Err(Error::Timeout {
            what: "setting up the sandbox".to_owned(),
            after: started.elapsed(),
        }),
    };
    match result {
        Err(Error::LinkLost { why }) => Err(wall.early_failure(why)),
        other => other,
    }
}
