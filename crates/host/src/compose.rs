//! From a policy to what a driver gets: the specification of the sandbox and the demands.

use stockade_domain::policy::{Policy, PolicyError};
use stockade_domain::spec::Spec;
use stockade_domain::target::HostFacts;
use stockade_domain::units::{ByteCount, CpuLimit};
use stockade_domain::{Control, Demands};

use crate::view::{self, Context, Note, ViewError};

/// What a policy means on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// What is to be built.
    pub spec: Spec,
    /// What is asked for.
    pub demands: Demands,
    /// What the user should know.
    pub notes: Vec<Note>,
}

/// A policy that means nothing on this host.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The policy itself.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// Its paths.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Composes specification and demands.
///
/// # Errors
/// A path of the policy that does not exist or may not be shown.
pub fn compose(policy: &Policy, facts: &HostFacts, context: &Context) -> Result<Composed, ComposeError> {
    let mut compiled = view::compile(policy, context)?;
    compiled.notes.extend(never_binding(policy, facts));
    let spec = Spec {
        view: compiled.view,
        image: compiled.image,
        workspace: compiled.workspace,
        home: compiled.home,
        environment: compiled.environment,
        network: policy.network.value.clone(),
        hostname: policy.hostname.value.clone(),
        nested_namespaces: policy.nested_namespaces.value,
        limits: policy.limits.to_spec(),
    };
    Ok(Composed {
        spec,
        demands: policy.demands(),
        notes: compiled.notes,
    })
}

/// Limits above what the host has: enforced, but without effect.
fn never_binding(policy: &Policy, facts: &HostFacts) -> Vec<Note> {
    let limits = policy.limits.to_spec();
    let mut notes = Vec::new();
    if let Some(memory) = limits
        .memory
        .filter(|memory| facts.memory_bytes > 0 && memory.0 > facts.memory_bytes)
    {
        notes.push(Note::NeverBinds {
            limit: Control::Memory(memory).to_string(),
            host: ByteCount(facts.memory_bytes).to_string(),
        });
    }
    if let Some(CpuLimit {
        quota_millis: Some(quota),
        ..
    }) = limits.cpu
    {
        if facts.cpus > 0 && quota / 1000 > facts.cpus {
            let host = format!("{} processors", facts.cpus);
            notes.push(Note::NeverBinds {
                limit: format!("cpus {}", quota / 1000),
                host,
            });
        }
    }
    notes
}
