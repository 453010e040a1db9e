//! Builds one native sandbox.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::target::HostFacts;
use stockade_domain::{Control, ControlKind, Plan, Spec};
use stockade_linux::cgroup::{self, Group, GroupLimits, JoinMethod};
use stockade_linux::compile;
use stockade_linux::idmap::Identity;
use stockade_linux::ops::Attestation;
use tokio::net::UnixStream;

use super::boundary::NativeBoundary;
use super::start::Started;
use super::wall::{Parts, Wall};
use super::{Native, context, host_facts, identity, receipt, sources, talk};
use crate::driver::{Boundary, Seed, SeedOrigin};
use crate::error::{Error, Result};

/// Builds the wall, opens the pipe, gathers the receipt.
pub(super) async fn create(driver: &Native, plan: Plan, seed: Seed) -> Result<Box<dyn Boundary>> {
    if let SeedOrigin::Snapshot(name) = &seed.origin {
        return Err(Error::native(
            "start from a snapshot",
            format!("{name}: native takes none"),
        ));
    }
    let facts = host_facts(driver.target());
    let claimed = identity::claim(facts, plan.spec())?;
    let limits = group_limits(&plan);
    let early = if driver.cgroups().kind() == Some(cgroup::Kind::V2) {
        make_group(driver, limits.as_ref(), &seed)?
    } else {
        None
    };
    let Started {
        mut spawned,
        door,
        link,
        ..
    } = start_guest(&plan, &seed, facts, early.as_ref())?;
    let identity_map = &claimed.identity.map;
    spawned
        .map_ids(identity_map)
        .map_err(|error| Error::native("map ids", error.to_string()))?;
    let mut wall = Wall::new(Parts {
        id: seed.id.clone(),
        spawned,
        group: early,
        door: Some(door),
        claimed,
    })?;
    let mut link = talk::stream(link)?;
    prepare_changes(plan.spec(), &seed, wall.identity())?;
    let attestation = hand_over(driver, &plan, &mut wall, &mut link, limits.as_ref(), &seed).await?;
    let controls: Vec<Control> = plan.enforced().cloned().collect();
    let receipt = receipt::gather(&controls, plan.spec(), &wall.observed(), &attestation);
    Ok(Box::new(NativeBoundary::new(wall, receipt, link)))
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
        .map_err(|error| Error::native("make its cgroup", error.to_string()))
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
    if identity.map.privileged {
        // The guest's ids are not ours: it has to reach the layers, and no more than that.
        fs::set_permissions(changes, fs::Permissions::from_mode(0o711))
            .map_err(|error| Error::state("prepare", changes, error))?;
    }
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

fn start_guest(plan: &Plan, seed: &Seed, facts: &HostFacts, group: Option<&Group>) -> Result<Started> {
    let own_network = plan.spec().network == Network::None || plan.enforces(ControlKind::NetworkNone);
    let join = group.map(join_method).transpose()?;
    let into_cgroup = match &join {
        Some(JoinMethod::CloneInto(directory)) => Some(directory.as_fd()),
        Some(JoinMethod::WriteTasks(_)) | None => None,
    };
    if into_cgroup.is_none()
        && let Some(early) = Started::take_early(&seed.guest, own_network)
    {
        return Ok(early);
    }
    Started::new(&seed.guest, facts.privileged, own_network, into_cgroup)
}

fn join_method(group: &Group) -> Result<JoinMethod<'_>> {
    group
        .join()
        .map_err(|error| Error::native("join its cgroup", error.to_string()))
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
    let identity = wall.identity().clone();
    let exchange = async {
        // Kept until the guest has answered: closing them is work, too.
        let mut opened = None;
        let sent = async {
            talk::send_program(link, &compiled.program).await?;
            if facts.privileged {
                let opened = opened.insert(sources::open(&compiled.requests, &identity)?);
                talk::send_trees(wall.door()?, &opened.trees)?;
            }
            if joins_cgroups {
                wall.set_group(make_group(driver, limits, seed)?);
                talk::send_trees(wall.door()?, &tasks(wall)?)?;
            }
            Ok(())
        };
        match sent.await {
            Ok(()) => talk::receive_reply(link).await,
            // Gone while we were still sending: it has left word why.
            Err(lost @ Error::LinkLost { .. }) => match talk::receive_reply(link).await {
                Err(Error::LinkLost { .. }) => Err(lost),
                told => told,
            },
            Err(error) => Err(error),
        }
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
