//! `stockade policy` and `stockade preset`.

use serde::Serialize;
use stockade_domain::policy::{Clause, LayerKind, presets};

use super::args::{CheckArgs, ExplainArgs, LayerArg, PresetShowArgs};
use super::{FAILED, Result, overrides};
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service;
use crate::service::policy::Checked;

/// What a check says, for programs.
#[derive(Serialize)]
struct Verdict {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Checked>>,
    valid: bool,
    error: Option<String>,
}

/// `stockade policy check [FILE]`
pub fn check(args: &CheckArgs) -> Result {
    let file = args.file.as_ref().map(|file| file.to_string_lossy().into_owned());
    let result = match &args.file {
        Some(path) => service::policy::check(path, args.layer.into()).map(|()| None),
        None => service::policy::check_here().map(Some),
    };
    if !args.json {
        return match (result?, &file) {
            (Some(layers), _) => layers_text(&layers),
            (None, file) => valid(file.as_deref().unwrap_or_default()),
        };
    }
    let error = result.as_ref().err().map(Failure::to_string);
    let code = if error.is_none() { 0 } else { FAILED };
    report::json(&Verdict {
        file,
        valid: error.is_none(),
        error,
        layers: result.ok().flatten(),
    })?;
    Ok(code)
}

fn valid(file: &str) -> Result {
    report::out(&format!("{}: valid\n", Shown::new(file)))?;
    Ok(0)
}

fn layers_text(layers: &[Checked]) -> Result {
    if layers.is_empty() {
        report::out("no policy files: the defaults hold\n")?;
    }
    for layer in layers {
        report::out(&format!("{}: valid ({})\n", Shown::new(&layer.file), layer.layer))?;
    }
    Ok(0)
}

/// `stockade policy explain`
pub fn explain(args: &ExplainArgs) -> Result {
    let launch = overrides::launch(&args.policy, &args.view, &args.limits)?;
    let explained = service::block_on(service::policy::explain(launch))?;
    if args.json {
        report::json(&explained)?;
    } else {
        report::out(&report::explained_text(&explained, Paint::stdout()))?;
    }
    let refused = !explained.is_possible();
    Ok(if refused { FAILED } else { 0 })
}

/// `stockade policy schema`
pub fn schema() -> Result {
    report::json(&stockade_domain::policy::schema())?;
    Ok(0)
}

/// `stockade preset ls`
pub fn preset_ls(json: bool) -> Result {
    if json {
        report::json(&presets::ALL)?;
        return Ok(0);
    }
    let rows = presets::ALL.map(|preset| vec![preset.name.to_owned(), preset.summary.to_owned()]);
    report::out(&report::table(Paint::stdout(), &["PRESET", "FOR"], rows))?;
    Ok(0)
}

/// `stockade preset show NAME`
pub fn preset_show(args: &PresetShowArgs) -> Result {
    let preset = presets::find(&Clause::flag("preset show", args.name.clone()))?;
    if args.json {
        report::json(preset)?;
    } else {
        report::out(preset.text)?;
    }
    Ok(0)
}

impl From<LayerArg> for LayerKind {
    fn from(arg: LayerArg) -> Self {
        match arg {
            LayerArg::Named => Self::Named,
            LayerArg::Organisation => Self::Organisation,
            LayerArg::User => Self::User,
            LayerArg::Project => Self::Project,
        }
    }
}
