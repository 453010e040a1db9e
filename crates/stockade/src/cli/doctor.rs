//! `stockade doctor`.

use std::ffi::OsString;

use stockade_host::doctor::TRIAL;

use super::Result;
use super::args::DoctorArgs;
use crate::report::{self, Paint};
use crate::service::{self, doctor};

/// The exit code where the default run does not work.
const DOES_NOT_WORK: i32 = 1;

/// `stockade doctor`
pub fn doctor(args: &DoctorArgs) -> Result {
    let diagnosis = service::block_on(doctor::diagnose())?;
    if args.json {
        report::json(&diagnosis)?;
    } else {
        report::out(&report::diagnosis_text(&diagnosis, Paint::stdout()))?;
    }
    Ok(if diagnosis.works { 0 } else { DOES_NOT_WORK })
}

/// `stockade kernel-trial NAME`, which `doctor` starts for each try: the process has no other
/// purpose. None if that is not what was asked for.
pub fn trial(words: &[OsString]) -> Option<Result> {
    match words {
        [_, command, name] if command == TRIAL => Some(written(&name.to_string_lossy())),
        _ => None,
    }
}

fn written(name: &str) -> Result {
    let outcome = stockade_host::doctor::trial(name)?;
    // The whole line at once: what stays in a buffer is lost at the end.
    report::out(&format!("{outcome}\n"))?;
    Ok(0)
}
