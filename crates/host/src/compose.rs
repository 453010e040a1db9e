//! From a policy to what a driver gets: the specification of the sandbox and the demands.

use stockade_domain::policy::{Policy, PolicyError};
use stockade_domain::spec::Spec;
use stockade_domain::target::HostFacts;
use stockade_domain::units::{ByteCount, CpuLimit};
use stockade_domain::{Control, Demands};

use crate::view::{self, Context, Note, ViewError, Who};

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

/// Composes specification and demands. `who` is the driver's word on who the workload will be.
///
/// # Errors
/// A path of the policy that does not exist or may not be shown.
pub fn compose(
    policy: &Policy,
    facts: &HostFacts,
    context: &Context,
    who: Who<'_>,
) -> Result<Composed, ComposeError> {
    let mut compiled = view::compile(policy, context, who)?;
    compiled.notes.extend(never_binding(policy, facts));
    let asks = compiled.asks;
    let spec = Spec {
        view: compiled.view,
        image: compiled.image,
        workspace: compiled.workspace,
        home: compiled.home,
        environment: compiled.environment,
        network: policy.network.value.clone(),
        hostname: policy.hostname.value.clone(),
        nested_namespaces: policy.nested_namespaces.value,
        checkpoints_from_inside: asks,
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
        && facts.cpus > 0
        && quota > facts.cpus.saturating_mul(1000)
    {
        let host = format!("{} processors", facts.cpus);
        notes.push(Note::NeverBinds {
            limit: format!("cpus {}", f64::from(quota) / 1000.0),
            host,
        });
    }
    notes
}

#[cfg(test)]
mod tests {
    use stockade_domain::policy::{HostDefaults, Layer, Layers, parse};
    use stockade_domain::spec::Network;
    use stockade_domain::{ControlKind, Need};

    use super::*;
    use crate::local::support::tests::capable;
    use crate::view::Identity;

    fn facts() -> HostFacts {
        HostFacts {
            kernel: (6, 1),
            landlock_abi: 4,
            memory_bytes: 8 << 30,
            cpus: 2,
            ..capable()
        }
    }

    fn compose_text(text: &str) -> Result<Composed, ComposeError> {
        let facts = facts();
        let file = parse(&format!("version = 1\n{text}"), "stockade.toml")?;
        let policy = Policy::layered(
            Policy::defaults(&HostDefaults::from(&facts)),
            &Layers::of_command_line(Some(file), Layer::default()),
        )?;
        let directory = tempfile::tempdir().expect("a temporary directory");
        let context = Context {
            cwd: directory.path().to_path_buf(),
            variables: vec![("PATH".to_owned(), "/usr/bin".to_owned())],
            state_dir: None,
            program: None,
            policy_files: Vec::new(),
        };
        compose(&policy, &facts, &context, &|_| {
            Ok(Identity { uid: 1000, gid: 1000 })
        })
    }

    /// The defaults follow from the host's facts, and specification and demands agree.
    #[test]
    fn specification_and_demands_agree() {
        let composed = compose_text("").expect("the default policy");
        assert_eq!(composed.spec.network, Network::None);
        assert_eq!(composed.spec.limits.memory, Some(ByteCount(4 << 30)));
        let memory = composed.demands.get(ControlKind::Memory).expect("demanded");
        assert_eq!(
            (&memory.control, memory.need),
            (&Control::Memory(ByteCount(4 << 30)), Need::Prefer)
        );
        assert!(composed.demands.get(ControlKind::NetworkNone).is_some());
        assert!(composed.notes.is_empty(), "{:?}", composed.notes);
    }

    /// A limit that can never bind is told; one that can is not.
    #[test]
    fn limits_without_effect_are_told() {
        let notes = |text: &str| compose_text(text).expect(text).notes;
        assert_eq!(notes("[limits]\nmemory = \"64G\"\ncpus = 3").len(), 2);
        assert_eq!(notes("[limits]\nmemory = \"8G\"\ncpus = 2.0"), []);
        assert!(
            notes("[limits]\ncpus = 2.5")[0]
                .to_string()
                .contains("cpus 2.5 can never bind: this host has 2")
        );
    }

    /// Mistakes of the policy and of its paths come out as they are.
    #[test]
    fn mistakes_are_told() {
        let error = |text: &str| compose_text(text).expect_err(text).to_string();
        assert!(error("[files]\nro = [\"/\"]").contains("is the whole host"));
        assert!(error("[files]\nro = [\"/no/such\"]").contains("create it"));
        assert!(error("[network]\nmode = \"host\"\nallow = []").contains("exclude each other"));
    }
}
