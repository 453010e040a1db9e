//! What holds for all layers that can be written.

use proptest::prelude::*;
use stockade_domain::ControlKind;
use stockade_domain::demand::Need;
use stockade_domain::policy::strict::{SCALARS, Seen};
use stockade_domain::policy::{Layers, Policy, parse};
use stockade_domain::spec::WorkspaceMode;
use stockade_domain::units::ByteCount;

use crate::policy_layers::layer;
use crate::samples::defaults;

/// Lines that a project may write, right and wrong.
fn lines() -> impl Strategy<Value = Vec<String>> {
    let size = prop::sample::select(vec!["none", "1M", "1G", "3G", "9G"]);
    let limit = (prop::sample::select(vec!["memory", "disk", "output"]), size)
        .prop_map(|(key, size)| format!("limits.{key} = \"{size}\""));
    let number = (
        prop::sample::select(vec!["pids", "cpus", "cpu-weight"]),
        1u32..9000,
    )
        .prop_map(|(key, number)| format!("limits.{key} = {number}"));
    let other = prop::sample::select(vec![
        "limits.cpus = \"none\"",
        "limits.timeout = \"1m\"",
        "workspace.mode = \"ro\"",
        "workspace.mode = \"rw\"",
        "workspace.mode = \"none\"",
        "workspace.mode = \"cow\"",
        "network.mode = \"none\"",
        "network.mode = \"host\"",
        "network.allow = []",
        "network.allow = [\"a\"]",
        "network.allow = [\"a\", \"b\"]",
        "sandbox.nested-namespaces = true",
        "sandbox.nested-namespaces = false",
        "sandbox.checkpoints-from-inside = true",
        "sandbox.checkpoints-from-inside = false",
        "files.hide = [\"/opt\"]",
        "files.ro = [\"/opt\"]",
        "need.network-none = \"require\"",
        "need.network-none = \"prefer\"",
        "need.workspace-read-only = \"prefer\"",
        "need.workspace-copy-on-write = \"prefer\"",
        "need.network-allowlist = \"prefer\"",
        "need.memory = \"require\"",
        "need.cpu = \"prefer\"",
        "preset = \"locked\"",
        "preset = \"standard\"",
    ])
    .prop_map(str::to_owned);
    prop::collection::vec(prop_oneof![limit, number, other], 0..6)
}

fn measures(policy: &Policy) -> Vec<(&'static str, Seen)> {
    SCALARS
        .iter()
        .map(|scalar| (scalar.key, (scalar.in_policy)(policy)))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever a project writes over whatever a user wrote: if it is accepted, every clause is
    /// as tight as before, and every requirement stands or has a tighter one in its place.
    #[test]
    fn no_project_loosens(user in lines(), project in lines()) {
        let read = |lines: &[String]| parse(&format!("version = 1\n{}", lines.join("\n")), "p");
        let (Ok(user), Ok(project)) = (read(&user), read(&project)) else { return Ok(()) };
        let alone = Layers { user: Some(user), ..Layers::default() };
        let Ok(before) = Policy::layered(defaults(), &alone) else { return Ok(()) };
        let Ok(after) = Policy::layered(defaults(), &Layers { project: Some(project), ..alone }) else { return Ok(()) };
        for ((key, before), (_, after)) in measures(&before).into_iter().zip(measures(&after)) {
            prop_assert!(after.measure.is_as_tight_as(&before.measure), "{}: {} after {}", key, after.shown, before.shown);
        }
        let now = after.demands();
        let required = |kind| now.get(kind).is_some_and(|demand| demand.need == Need::Require);
        for demand in before.demands().iter().filter(|demand| demand.need == Need::Require) {
            let kind = demand.control.kind();
            let replaced = match kind {
                ControlKind::WorkspaceCopyOnWrite | ControlKind::WorkspaceReadOnly => {
                    required(ControlKind::WorkspaceReadOnly) || after.workspace_mode.value == WorkspaceMode::None
                }
                ControlKind::NetworkAllowlist => required(ControlKind::NetworkNone),
                _ => false,
            };
            prop_assert!(required(kind) || replaced, "{} was lost", kind);
        }
        for rule in &before.files {
            prop_assert!(after.files.contains(rule));
        }
    }

    /// Whatever anybody writes above a floor: if it is accepted, every clause is as tight as
    /// the floor, and its controls are required.
    #[test]
    fn no_layer_gets_below_a_floor(user in lines(), memory in 1u64..5, host in prop::bool::ANY) {
        let network = if host { "" } else { "floor.network.allow = [\"a\"]\n" };
        let organisation = layer(&format!("{network}floor.limits.memory = \"{memory}G\"\nfloor.limits.cpu-weight = 30\nfloor.workspace.mode = \"cow\""), "o");
        let floor = organisation.floor.clone().expect("a floor").clauses;
        let Ok(named) = parse(&format!("version = 1\n{}", user.join("\n")), "p") else { return Ok(()) };
        let layers = Layers { organisation: vec![organisation], named: Some(named), ..Layers::default() };
        let Ok(policy) = Policy::layered(defaults(), &layers) else { return Ok(()) };
        for scalar in &SCALARS {
            let Some(bound) = (scalar.in_layer)(&floor) else { continue };
            let own = (scalar.in_policy)(&policy);
            prop_assert!(own.measure.is_as_tight_as(&bound.measure), "{}: {}", scalar.key, own.shown);
            let demands = policy.demands();
            for kind in scalar.controls {
                prop_assert!(demands.get(*kind).is_none_or(|demand| demand.need == Need::Require), "{}", kind);
            }
        }
        prop_assert_eq!(policy.demands().get(ControlKind::Memory).map(|demand| demand.need), Some(Need::Require));
        prop_assert!(policy.demands().get(ControlKind::Cpu).is_some());
        prop_assert_eq!(policy.limits.memory.value.value().map(|bytes| bytes <= ByteCount(memory << 30)), Some(true));
    }
}
