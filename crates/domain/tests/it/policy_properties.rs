//! What holds for every policy that can be written.

use proptest::prelude::*;
use stockade_domain::ControlKind;
use stockade_domain::demand::Need;
use stockade_domain::policy::{Layer, Layers, Policy, parse_bytes};
use stockade_domain::spec::Network;

use crate::samples::{defaults, policy};

/// Lines that policies are made of, right and wrong ones.
fn line() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "version = 1",
        "version",
        "=",
        "[limits]",
        "[files]",
        "[need]",
        "memory",
        "\"2G\"",
        "none",
        "ro",
        "[",
        "]",
        "{",
        "}",
        "\"~/x\"",
        "\"",
        "'''",
        "\"\"\"",
        "\n",
        "#",
        ".",
        ",",
        "1.5",
        "-",
        "\u{feff}",
        "ü",
        "\\u12",
        "1979-05-27",
        "inf",
        "0x",
        "network",
        "allow",
    ]);
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.join(" "))
}

proptest! {
    /// No bytes make the reader panic, and its error is always one that can be printed.
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Err(error) = parse_bytes(&bytes, "p") {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// Nor does anything that looks like a policy.
    #[test]
    fn any_tokens_are_answered(text in line()) {
        if let Err(error) = parse_bytes(format!("version = 1\n{text}").as_bytes(), "p") {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// An empty allow list is no network at all, whatever else the policy says.
    #[test]
    fn an_empty_allow_list_allows_nothing(mode in prop::bool::ANY, nested in prop::bool::ANY, pids in 1u32..9999) {
        let mode = if mode { "mode = \"none\"\n" } else { "" };
        let text = format!("[network]\n{mode}allow = []\n[limits]\npids = {pids}\n[sandbox]\nnested-namespaces = {nested}");
        let policy = policy(&text).expect("a valid policy");
        prop_assert_eq!(&policy.network.value, &Network::None);
        let demands = policy.demands();
        prop_assert_eq!(demands.get(ControlKind::NetworkNone).map(|demand| demand.need), Some(Need::Require));
        prop_assert!(demands.get(ControlKind::NetworkAllowlist).is_none());
    }

    /// Whatever a file says, a wall is weakened only where the file names it.
    #[test]
    fn nothing_is_weakened_in_silence(text in line()) {
        let Ok(file) = parse_bytes(format!("version = 1\n{text}").as_bytes(), "p") else { return Ok(()) };
        let Ok(policy) = Policy::layered(defaults(), &Layers::of_command_line(Some(file.clone()), Layer::default())) else { return Ok(()) };
        for demand in defaults().demands().iter().filter(|demand| demand.need == Need::Require) {
            let kind = demand.control.kind();
            let named = file.needs.iter().any(|need| need.value.0 == kind);
            let kept = policy.demands().get(kind).is_some_and(|demand| demand.need == Need::Require);
            let given_up = file.network.is_some() || file.workspace_mode.is_some() || file.nested_namespaces.is_some();
            prop_assert!(kept || named || given_up, "{} was lost", kind);
        }
    }
}
