//! Where commands may ask the supervisor for checkpoints, and the program with which they do.

use std::path::{Path, PathBuf};

use stockade_domain::policy::Policy;
use stockade_domain::spec::{Workspace, WorkspaceMode};
use stockade_domain::view::{ASKS, Access, Content};

use super::builder::Builder;
use super::resolve::{Kind, resolve};
use super::{Note, ViewError};

/// Room for the pipe of requests and those of the answers, which take none.
const ASKS_BYTES: u64 = 64 << 10;
/// What the program must be called to be found by commands.
const PROGRAM: &str = "stockade";

/// What was added.
#[derive(Default)]
pub(super) struct Asks {
    /// Commands may ask.
    pub allowed: bool,
    /// The directory of the program, to be looked in last.
    pub directory: Option<PathBuf>,
}

/// Adds both, if the policy has it and there is something to take checkpoints of.
pub(super) fn add(
    builder: &mut Builder<'_>,
    policy: &Policy,
    workspace: Option<&Workspace>,
    program: Option<&Path>,
) -> Result<Asks, ViewError> {
    if !policy.checkpoints_from_inside.value {
        return Ok(Asks::default());
    }
    let mode = workspace.map_or(WorkspaceMode::None, |workspace| workspace.mode);
    if !mode.keeps_apart() && mode != WorkspaceMode::Live {
        builder.note(Note::NothingToCheckpoint);
        return Ok(Asks::default());
    }
    builder.push(
        ASKS,
        Content::Private {
            mode: 0o700,
            size_bytes: Some(ASKS_BYTES),
        },
    )?;
    let mut asks = Asks {
        allowed: true,
        directory: None,
    };
    if let Some(program) = program.and_then(|program| resolve(program).ok())
        && program.kind == Kind::File
        && program.real.file_name().is_some_and(|name| name == PROGRAM)
    {
        builder.reveal(&program, Access::ReadOnly)?;
        asks.directory = program.real.parent().map(Path::to_path_buf);
    }
    Ok(asks)
}
