//! Command-line flags as the topmost layer of a policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stockade_domain::Need;
use stockade_domain::environment::{Variable, parse_env_file};
use stockade_domain::policy::{Clause, FileAccess, FileRule, Overrides};
use stockade_domain::spec::WorkspaceMode;

use super::args::{LimitArgs, PolicyFlags, ViewArgs, WorkspaceModeArg};
use crate::failure::Failure;
use crate::service::plan::Launch;

/// All flags that are clauses of a policy.
fn overrides(policy: &PolicyFlags, seen: &ViewArgs, bounds: &LimitArgs) -> Result<Overrides, Failure> {
    let mut layer = Overrides {
        driver: flag("--driver", policy.driver.clone()),
        ..Overrides::default()
    };
    view(&mut layer, seen)?;
    limits(&mut layer, bounds);
    if policy.checkpoints_from_inside {
        layer.checkpoints_from_inside = flag("--checkpoints-from-inside", Some(true));
    }
    layer.audit_processes = match (policy.audit_processes, policy.no_audit_processes) {
        (true, _) => flag("--audit-processes", Some(true)),
        (_, true) => flag("--no-audit-processes", Some(false)),
        (false, false) => None,
    };
    // The later one counts: a requirement is never lost to a preference beside it.
    for (name, kinds, need) in [
        ("--prefer", &policy.prefer, Need::Prefer),
        ("--require", &policy.require, Need::Require),
    ] {
        let clauses = kinds
            .iter()
            .map(|kind| Clause::flag(&format!("{name} {kind}"), (*kind, need)));
        layer.needs.extend(clauses);
    }
    Ok(layer)
}

/// What the flags ask of the policy as a whole.
pub fn launch(policy: &PolicyFlags, seen: &ViewArgs, bounds: &LimitArgs) -> Result<Launch, Failure> {
    Ok(Launch {
        overrides: overrides(policy, seen, bounds)?,
        preset: flag("--preset", policy.preset.clone()),
        policy: policy.policy.clone(),
        probing: false,
    })
}

fn view(layer: &mut Overrides, args: &ViewArgs) -> Result<(), Failure> {
    layer.workspace_mode = flag("--workspace-mode", args.workspace_mode.map(WorkspaceMode::from));
    layer.workspace_path = flag("--workspace", path("--workspace", args.workspace.as_deref())?);
    layer.image = flag("--image", path("--image", args.image.as_deref())?);
    for (name, paths, access) in [
        ("--ro", &args.ro, FileAccess::ReadOnly),
        ("--rw", &args.rw, FileAccess::ReadWrite),
    ] {
        for one in paths {
            let path = utf8(name, one)?;
            layer
                .files
                .push(Clause::flag(&format!("{name} {path}"), FileRule { path, access }));
        }
    }
    for file in &args.env_file {
        layer.variables.extend(
            env_file(file)?
                .into_iter()
                .map(|variable| Clause::flag("--env-file", variable)),
        );
    }
    // After the files: what is typed is nearer than what is kept.
    layer.variables.extend(
        args.env
            .iter()
            .map(|variable| Clause::flag("--env", variable.clone())),
    );
    Ok(())
}

fn limits(layer: &mut Overrides, args: &LimitArgs) {
    layer.memory = flag("--memory", args.memory);
    layer.cpus = flag("--cpus", args.cpus);
    layer.pids = flag("--pids", args.pids);
    layer.disk = flag("--disk", args.disk);
    layer.timeout = flag("--timeout", args.timeout);
    layer.output = flag("--output", args.output);
}

fn flag<T>(name: &str, value: Option<T>) -> Option<Clause<T>> {
    value.map(|value| Clause::flag(name, value))
}

fn path(flag: &'static str, path: Option<&Path>) -> Result<Option<String>, Failure> {
    path.map(|path| utf8(flag, path)).transpose()
}

/// Policies are text, and so are the paths in them.
fn utf8(flag: &'static str, path: &Path) -> Result<String, Failure> {
    path.to_str().map(str::to_owned).ok_or_else(|| Failure::NotText {
        flag,
        path: path.to_owned(),
    })
}

/// Variables of several files, later over earlier. Those without a value have none here.
pub(super) fn written_variables(files: &[PathBuf]) -> Result<BTreeMap<String, String>, Failure> {
    let mut all = BTreeMap::new();
    for file in files {
        for variable in env_file(file)? {
            if let Variable::Set { name, value } = variable {
                all.insert(name, value);
            }
        }
    }
    Ok(all)
}

fn env_file(path: &Path) -> Result<Vec<Variable>, Failure> {
    let bytes = std::fs::read(path).map_err(|cause| Failure::read("--env-file", path, cause))?;
    let text = String::from_utf8(bytes).map_err(|_| Failure::read("--env-file", path, invalid_text()))?;
    Ok(parse_env_file(&text, &path.to_string_lossy())?)
}

fn invalid_text() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not UTF-8 text")
}

impl From<WorkspaceModeArg> for WorkspaceMode {
    fn from(arg: WorkspaceModeArg) -> Self {
        match arg {
            WorkspaceModeArg::Cow => Self::Cow,
            WorkspaceModeArg::Copy => Self::Copy,
            WorkspaceModeArg::Ro => Self::Ro,
            WorkspaceModeArg::Rw => Self::Rw,
            WorkspaceModeArg::Live => Self::Live,
            WorkspaceModeArg::None => Self::None,
        }
    }
}
