//! What is said of a run: an in-toto statement, version 1
//! (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stockade_domain::ending::Exit;
use stockade_domain::receipt::{Evidence, Finding, Receipt};
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::{ControlKind, Level};
use stockade_workspace::Digest;

use super::EvidenceError;

/// The form of statements (in-toto).
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What is said in it. The number is raised when readers of the old form would misunderstand the new one.
pub const PREDICATE_TYPE: &str = "tag:stockade,2026:run/v1";
/// The number in [`PREDICATE_TYPE`].
pub const EVIDENCE_VERSION: u32 = 1;

/// A statement about a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement {
    #[serde(rename = "_type")]
    form: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    predicate_type: String,
    /// What is said.
    pub predicate: Run,
}

/// Something with a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What it is called.
    pub name: String,
    /// Its hashes, by the name of the function.
    pub digest: BTreeMap<String, String>,
}

impl Subject {
    fn sha256(name: String, hash: &str) -> Self {
        Self {
            name,
            digest: BTreeMap::from([("sha256".to_owned(), hash.to_owned())]),
        }
    }
}

/// A run, from its start to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Who says so.
    pub stockade: Said,
    /// Where it was.
    pub host: Host,
    /// The sandbox's id.
    pub sandbox: String,
    /// The driver.
    pub driver: String,
    /// How strong its wall is.
    pub level: Level,
    /// The command, secrets left out.
    pub command: Vec<String>,
    /// Milliseconds since 1970, as the clock stood.
    pub started_at_ms: u64,
    /// Milliseconds since 1970, as the clock stood.
    pub ended_at_ms: u64,
    /// What was asked for.
    pub policy: Policy,
    /// What was enforced, with what was seen of it.
    pub controls: Vec<Control>,
    /// What was only preferred, and was not enforced: control and reason.
    pub not_enforced: BTreeMap<ControlKind, String>,
    /// What the probes showed of this driver here, if that is known and still true.
    pub probes: Option<ProbeResult>,
    /// How the command ended.
    pub ending: Exit,
    /// What it changed; none if it changed nothing that is kept apart.
    pub changes: Option<Changes>,
    /// The hosts that were reached; none if that is not known.
    pub hosts_reached: Option<Vec<String>>,
    /// The last record of the run in the audit log.
    pub audit: Option<Subject>,
}

/// The program that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// System, release and version of the kernel.
    pub kernel: String,
    /// Whether the run was started by root.
    pub root: bool,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// SHA-256 of the plan as JSON, without the values of variables.
    pub sha256: String,
    /// What could be reached.
    pub network: Network,
    /// How the workspace was seen; none if there was none.
    pub workspace: Option<WorkspaceMode>,
}

/// One control that was enforced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Which.
    pub control: ControlKind,
    /// With its value, in words.
    pub shown: String,
    /// What was seen.
    pub evidence: Vec<Evidence>,
}

/// What the probes showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeResult {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Everything held that the driver claims.
    pub held: bool,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    /// The change set's name.
    pub name: String,
    /// The hash that stands for it.
    #[serde(flatten)]
    pub digest: Digest,
}

impl Run {
    /// The controls of a receipt; a control that was not verified is not in it.
    #[must_use]
    pub fn controls_of(receipt: &Receipt) -> Vec<Control> {
        let verified = receipt.entries().iter().filter_map(|entry| match &entry.finding {
            Finding::Verified(evidence) => Some(Control {
                control: entry.control.kind(),
                shown: entry.control.to_string(),
                evidence: evidence.clone(),
            }),
            Finding::Differs { .. } | Finding::Unchecked { .. } => None,
        });
        verified.collect()
    }
}

impl Statement {
    /// Says this of a run.
    #[must_use]
    pub fn new(predicate: Run) -> Self {
        let changes = predicate.changes.as_ref();
        let changes = changes.map(|it| Subject::sha256(format!("changes/{}", it.name), &it.digest.sha256));
        let mut subject: Vec<Subject> = changes.into_iter().chain(predicate.audit.clone()).collect();
        // A statement has at least one.
        if subject.is_empty() {
            subject.push(Subject::sha256("policy".to_owned(), &predicate.policy.sha256));
        }
        Self {
            form: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate,
        }
    }

    /// As bytes, to be signed.
    ///
    /// # Errors
    /// It is too large to be written.
    pub fn bytes(&self) -> Result<Vec<u8>, EvidenceError> {
        serde_json::to_vec(self).map_err(|error| malformed(&error))
    }

    /// From bytes whose signature was right.
    ///
    /// # Errors
    /// They say something else.
    pub fn read(bytes: &[u8]) -> Result<Self, EvidenceError> {
        let this: Self = serde_json::from_slice(bytes).map_err(|error| malformed(&error))?;
        if this.form != STATEMENT_TYPE || this.predicate_type != PREDICATE_TYPE {
            return Err(EvidenceError::Malformed {
                why: format!("it is a {} that says a {}", this.form, this.predicate_type),
            });
        }
        Ok(this)
    }
}

fn malformed(error: &serde_json::Error) -> EvidenceError {
    EvidenceError::Malformed {
        why: error.to_string(),
    }
}
