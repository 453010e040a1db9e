//! `stockade verify`.

use super::Result;
use super::args::EvidenceArgs;
use crate::report::{self, Paint};
use crate::service::evidence::{Question, public_key, verify as verify_evidence};

/// The exit code where something that is required is not so.
const UNMET: i32 = 1;

/// `stockade verify`
pub fn verify(args: EvidenceArgs) -> Result {
    let Some(file) = args.file else {
        report::out(&public_key()?)?;
        return Ok(0);
    };
    let verified = verify_evidence(&Question {
        file,
        keys: args.key,
        demands: args.require,
        changes: args.changes,
    })?;
    if args.json {
        report::json(&report::evidence_json(&verified))?;
    } else {
        report::out(&report::evidence_text(&verified, Paint::stdout()))?;
    }
    Ok(if verified.unmet.is_empty() { 0 } else { UNMET })
}
