//! `stockade policy`.

use serde::Serialize;

use super::args::CheckArgs;
use super::{FAILED, Result};
use crate::failure::Failure;
use crate::report::{self, Shown};
use crate::service;

/// What a check says, for programs.
#[derive(Serialize)]
struct Checked {
    file: String,
    valid: bool,
    error: Option<String>,
}

/// `stockade policy check FILE`
pub fn check(args: &CheckArgs) -> Result {
    let file = args.file.to_string_lossy().into_owned();
    let result = service::policy::check(&args.file);
    if !args.json {
        result?;
        report::out(&format!("{}: valid\n", Shown::new(&file)))?;
        return Ok(0);
    }
    let error = result.as_ref().err().map(Failure::to_string);
    report::json(&Checked {
        file,
        valid: error.is_none(),
        error,
    })?;
    Ok(if result.is_ok() { 0 } else { FAILED })
}
