//! Evidence of a run: put together at its end, signed, written; and read by somebody who was not there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stockade_domain::spec::Network;
use stockade_domain::{ControlKind, Plan, Support};
use stockade_host::audit::Redactor;
use stockade_host::evidence::{
    Changes, Demand, Envelope, EvidenceError, Host, MAX_ENVELOPE_BYTES, Policy, ProbeResult, PublicKey, Run,
    Said, SigningKey, Statement, Subject, Unmet,
};
use stockade_host::probed::LastProbe;
use stockade_host::state::{ChangeSet, Clocks, StateDirs};
use stockade_host::workspace::Trees;
use stockade_host::workspace::replica::Calm;

use super::audit::{Seen, Wanted, Which, show};
use super::run::Finished;
use super::{Result, change_set, driver, probed, state};
use crate::failure::Failure;

/// Where evidence goes. It is opened before anything runs: what runs may exchange the file of that name.
#[derive(Debug)]
pub struct Destination {
    file: File,
    path: PathBuf,
}

impl Destination {
    /// Empties or makes the file, so that nobody finds what an earlier run left, and sees that there is a key.
    ///
    /// # Errors
    /// Neither can be had.
    pub fn open(path: &Path) -> Result<Self> {
        SigningKey::of(state()?.path())?;
        let file = File::create(path).map_err(|cause| EvidenceError::File {
            what: "write",
            path: path.to_owned(),
            cause,
        })?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Writes what is known of a run that ended.
    ///
    /// # Errors
    /// Something that belongs to it is not known; nothing is written then.
    pub fn write(mut self, finished: &Finished, command: &[String]) -> Result<()> {
        let dirs = state()?;
        let statement = Statement::new(run(&dirs, finished, command)?);
        let bytes = Envelope::seal(&statement, &SigningKey::of(dirs.path())?)?.bytes()?;
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_all());
        Ok(written.map_err(|cause| EvidenceError::File {
            what: "write",
            path: self.path,
            cause,
        })?)
    }
}

fn run(dirs: &StateDirs, finished: &Finished, command: &[String]) -> Result<Run> {
    let plan = &finished.plan;
    if let Some(why) = &finished.outcome.unrecorded {
        return Err(Failure::from(EvidenceError::Malformed {
            why: format!("the record of the run is incomplete: {why}"),
        }));
    }
    let recorded = recorded(&finished.id)?;
    Ok(Run {
        stockade: Said {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            sha256: own_hash()?,
        },
        host: Host {
            kernel: super::kernel(),
            root: rustix::process::geteuid().is_root(),
        },
        sandbox: finished.id.clone(),
        driver: finished.driver.to_owned(),
        level: plan.level(),
        command: Redactor::new(plan.spec().environment.iter()).words(command),
        started_at_ms: recorded.first_ms,
        ended_at_ms: recorded.last_ms,
        policy: policy(plan)?,
        controls: Run::controls_of(&finished.receipt),
        not_enforced: not_enforced(plan),
        probes: probes(finished.driver)?,
        ending: finished.outcome.exit,
        changes: changes(dirs, finished)?,
        hosts_reached: (plan.spec().network == Network::None).then(Vec::new),
        audit: Some(recorded.subject),
    })
}

/// What the audit log has of a sandbox.
struct Recorded {
    first_ms: u64,
    last_ms: u64,
    subject: Subject,
}

fn recorded(id: &str) -> Result<Recorded> {
    let wanted = Wanted {
        sandbox: Which::Called(id.to_owned()),
        ..Wanted::default()
    };
    let mut found: Option<Recorded> = None;
    show(&wanted, &mut |seen| {
        if let Seen::Record(entry, _) = seen {
            let first_ms = found.as_ref().map_or(entry.at_ms, |found| found.first_ms);
            found = Some(Recorded {
                first_ms,
                last_ms: entry.at_ms,
                subject: Subject {
                    name: format!("audit/{id}/{}", entry.seq),
                    digest: BTreeMap::from([("sha256".to_owned(), entry.hash.clone())]),
                },
            });
        }
        Ok(true)
    })?;
    found.ok_or_else(|| {
        Failure::from(EvidenceError::Malformed {
            why: "the run is not in the audit log".to_owned(),
        })
    })
}

/// What a plan asks for, as one hash. Values of variables may be secrets.
fn policy(plan: &Plan) -> Result<Policy> {
    let unwritable = |error: serde_json::Error| EvidenceError::Malformed {
        why: error.to_string(),
    };
    let mut json = serde_json::to_value(plan).map_err(unwritable)?;
    if let Some(spec) = json.get_mut("spec").and_then(|spec| spec.as_object_mut()) {
        spec.remove("environment");
    }
    let names: Vec<&str> = plan.spec().environment.iter().map(|(name, _)| name).collect();
    let text = serde_json::to_vec(&(json, names)).map_err(unwritable)?;
    let workspace = plan.spec().workspace.as_ref();
    Ok(Policy {
        sha256: hex(Sha256::new().chain_update(text)),
        network: plan.spec().network.clone(),
        workspace: workspace.map(|workspace| workspace.mode),
    })
}

/// What was preferred, and is not there.
fn not_enforced(plan: &Plan) -> BTreeMap<ControlKind, String> {
    let absent = plan.shortfalls().filter_map(|planned| match &planned.support {
        Support::Absent { why, .. } => Some((planned.demand.control.kind(), why.clone())),
        Support::Enforced { .. } | Support::Watched { .. } => None,
    });
    absent.collect()
}

/// What the last probe of the driver showed, if it still counts.
fn probes(name: &str) -> Result<Option<ProbeResult>> {
    let (probed, held) = match probed::last(driver(name)?.as_ref())?.probe {
        LastProbe::Held { probed } => (probed, true),
        LastProbe::Contradicted { probed } => (probed, false),
        LastProbe::Never | LastProbe::Unreadable { .. } | LastProbe::Outdated { .. } => return Ok(None),
    };
    Ok(Some(ProbeResult {
        at_ms: probed.at_ms,
        held,
    }))
}

/// The changes that the run left, with those of earlier runs that it found.
fn changes(dirs: &StateDirs, finished: &Finished) -> Result<Option<Changes>> {
    let Some(kept) = &finished.outcome.changes else {
        return Ok(None);
    };
    let sets = dirs.change_sets()?;
    let Some(set) = sets.iter().find(|set| set.key == kept.key) else {
        return Ok(None);
    };
    Ok(Some(digest(dirs, set)?))
}

fn digest(dirs: &StateDirs, set: &ChangeSet) -> Result<Changes> {
    let workspace = set.workspace().map(Path::to_owned).unwrap_or_default();
    let look = dirs.look(set, Calm::Moving)?;
    let trees = Trees::open(look.upper(), look.lower().unwrap_or(&workspace));
    let digest = trees.and_then(|trees| trees.digest()).map_err(|cause| {
        stockade_host::Error::io(
            format!("hash the changes {}", set.name),
            std::io::Error::other(cause),
        )
    })?;
    Ok(Changes {
        name: set.name.clone(),
        digest,
    })
}

/// SHA-256 of this program.
fn own_hash() -> Result<String> {
    let mut file = File::open("/proc/self/exe")?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash)?;
    Ok(hex(hash))
}

fn hex(hash: Sha256) -> String {
    use std::fmt::Write;
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a string cannot fail
        text
    })
}

/// What is asked of evidence.
#[derive(Debug)]
pub struct Question {
    /// The file; `-` for standard input.
    pub file: PathBuf,
    /// The keys that are trusted; without any, that of this machine.
    pub keys: Vec<PathBuf>,
    /// What has to be so.
    pub demands: Vec<Demand>,
    /// The changes of this name here have to be those of the evidence.
    pub changes: Option<String>,
}

/// What evidence that is believed says.
pub struct Verified {
    /// All of it.
    pub statement: Statement,
    /// Who signed it.
    pub key: String,
    /// What was required and is not so.
    pub unmet: Vec<Unmet>,
}

/// Reads evidence.
///
/// # Errors
/// It is none, or nobody who is trusted signed it as it is.
pub fn verify(question: &Question) -> Result<Verified> {
    let dirs = state()?;
    let trusted = trusted(&dirs, &question.keys)?;
    let (statement, key) = Envelope::read(&read(&question.file)?)?.open(&trusted)?;
    let mut demands = question.demands.clone();
    if let Some(name) = &question.changes {
        let here = std::env::current_dir().map_err(Failure::NoCurrentDirectory)?;
        let set = change_set::find(&dirs, Some(name), &here)?;
        let set = set.ok_or_else(|| stockade_host::Error::NotFound {
            what: "change set",
            name: name.clone(),
            remedy: Some("`stockade changes` lists them".to_owned()),
        })?;
        demands.push(Demand::Changes(digest(&dirs, &set)?.digest.sha256));
    }
    let now_ms = Clocks::now().unix_ms;
    let run = &statement.predicate;
    let unmet = demands
        .iter()
        .filter_map(|demand| demand.check(run, now_ms).err());
    Ok(Verified {
        unmet: unmet.collect(),
        statement,
        key,
    })
}

fn trusted(dirs: &StateDirs, keys: &[PathBuf]) -> Result<Vec<PublicKey>> {
    if keys.is_empty() {
        let own = SigningKey::existing(dirs.path())?;
        return Ok(own.iter().map(SigningKey::public).collect());
    }
    Ok(keys
        .iter()
        .map(|path| PublicKey::read(path))
        .collect::<std::result::Result<_, _>>()?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let failed = |cause| EvidenceError::File {
        what: "read",
        path: path.to_owned(),
        cause,
    };
    let mut bytes = Vec::new();
    let limit = MAX_ENVELOPE_BYTES + 1;
    if path == Path::new("-") {
        std::io::stdin()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        let file = File::open(path).map_err(failed)?;
        file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) >= limit {
        return Err(Failure::from(EvidenceError::Malformed {
            why: "it is larger than 16 MiB".to_owned(),
        }));
    }
    Ok(bytes)
}

/// The public key of this machine, as PEM; made where there is none.
///
/// # Errors
/// There is none, and none can be made.
pub fn public_key() -> Result<String> {
    Ok(SigningKey::of(state()?.path())?.public().pem()?)
}
