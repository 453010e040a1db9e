//! Flags over file over defaults, and the demands that follow.

use stockade_domain::demand::{Need, Origin};
use stockade_domain::policy::{Clause, FileAccess, FileRule, HostDefaults, Layer, Layers, Policy};
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::units::{ByteCount, CpuLimit, Limit};
use stockade_domain::{Control, ControlKind};

use crate::samples::{defaults, policy, policy_with};

fn need(policy: &Policy, kind: ControlKind) -> Option<Need> {
    policy.demands().get(kind).map(|demand| demand.need)
}

fn conflicts(text: &str) -> String {
    policy(text).expect_err(text).to_string()
}

/// The defaults of the product: no network, copy-on-write, half of the memory.
#[test]
fn defaults_are_as_documented() {
    let policy = defaults();
    assert_eq!(policy.network.value, Network::None);
    assert_eq!(policy.workspace_mode.value, WorkspaceMode::Cow);
    let limits = policy.limits.to_spec();
    assert_eq!(limits.memory, Some(ByteCount(4 << 30)));
    assert_eq!(limits.pids, Some(4096));
    assert_eq!(
        limits.cpu,
        Some(CpuLimit {
            quota_millis: None,
            weight: 25
        })
    );
    assert_eq!((limits.wall_time, limits.output, limits.disk), (None, None, None));
    let unknown = Policy::defaults(&HostDefaults {
        memory_bytes: 0,
        processors: 4,
    });
    assert_eq!(
        unknown.limits.to_spec().memory,
        None,
        "nothing is made up where the memory is not known"
    );
}

/// Walls that nobody wrote are required, limits preferred; Landlock repeats other walls.
#[test]
fn default_needs() {
    let policy = defaults();
    for demand in policy.demands().iter() {
        let kind = demand.control.kind();
        let expected = if kind.is_limit() || kind == ControlKind::SecondWall {
            Need::Prefer
        } else {
            Need::Require
        };
        assert_eq!(demand.need, expected, "{kind}");
        assert_eq!(demand.origin, Origin::Default, "{kind}");
    }
    assert_eq!(policy.demands().iter().count(), 27);
    for kind in [
        ControlKind::OwnKernel,
        ControlKind::OwnMachine,
        ControlKind::NetworkAllowlist,
        ControlKind::Disk,
    ] {
        assert_eq!(need(&policy, kind), None, "{kind}");
    }
}

/// A limit that somebody wrote is meant, in a file or as a flag.
#[test]
fn written_limits_are_required() {
    let from_file = policy("[limits]\nmemory = \"1G\"").expect("fine");
    assert_eq!(need(&from_file, ControlKind::Memory), Some(Need::Require));
    assert_eq!(
        need(&from_file, ControlKind::Pids),
        Some(Need::Prefer),
        "nobody wrote this one"
    );
    let flags = Layer {
        pids: Some(Clause::flag("--pids", Limit::AtMost(7))),
        ..Layer::default()
    };
    let from_flag = Policy::layered(defaults(), &Layers::of_command_line(None, flags)).expect("fine");
    let demands = from_flag.demands();
    let pids = demands.get(ControlKind::Pids).expect("demanded");
    assert_eq!(
        (pids.need, &pids.origin),
        (Need::Require, &Origin::Flag("--pids".to_owned()))
    );
}

/// A need that is written wins over all of these, for limits and walls, in both directions.
#[test]
fn written_needs_win() {
    let policy = policy("[limits]\nmemory = \"1G\"\n[need]\nmemory = \"prefer\"\npids = \"require\"\nsecond-wall = \"require\"\nsyscall-filter = \"prefer\"")
        .expect("fine");
    assert_eq!(need(&policy, ControlKind::Memory), Some(Need::Prefer));
    assert_eq!(need(&policy, ControlKind::Pids), Some(Need::Require));
    assert_eq!(need(&policy, ControlKind::SecondWall), Some(Need::Require));
    assert_eq!(need(&policy, ControlKind::SyscallFilter), Some(Need::Prefer));
    let demands = policy.demands();
    let filter = demands.get(ControlKind::SyscallFilter).expect("demanded");
    assert!(
        matches!(filter.origin, Origin::File { line: 8, .. }),
        "the need's own line: {}",
        filter.origin
    );
}

/// A control that no clause brings is demanded by its need alone.
#[test]
fn needs_can_ask_for_more() {
    let policy = policy("[need]\nown-kernel = \"require\"").expect("fine");
    assert_eq!(need(&policy, ControlKind::OwnKernel), Some(Need::Require));
}

/// The command line wins over the file, clause by clause; lists add up.
#[test]
fn flags_win_over_the_file() {
    let flags = Layer {
        memory: Some(Clause::flag("--memory", Limit::Off)),
        workspace_mode: Some(Clause::flag("--workspace-mode", WorkspaceMode::Ro)),
        files: vec![Clause::flag(
            "--ro",
            FileRule {
                path: "x".to_owned(),
                access: FileAccess::ReadOnly,
            },
        )],
        ..Layer::default()
    };
    let text = "[workspace]\nmode = \"rw\"\n[files]\nrw = [\"/opt/y\"]\n[limits]\nmemory = \"1G\"\npids = 9";
    let policy = policy_with(text, flags).expect("fine");
    assert_eq!(policy.workspace_mode.value, WorkspaceMode::Ro);
    assert_eq!(policy.limits.to_spec().memory, None);
    assert_eq!(
        policy.limits.to_spec().pids,
        Some(9),
        "what flags do not say stays"
    );
    assert_eq!(policy.files.len(), 2);
    assert_eq!(need(&policy, ControlKind::Memory), None);
    assert_eq!(need(&policy, ControlKind::WorkspaceReadOnly), Some(Need::Require));
    assert_eq!(need(&policy, ControlKind::WorkspaceCopyOnWrite), None);
}

/// Quota and weight make one control; `cpus = "none"` alone takes the default weight away.
#[test]
fn processor_clauses_are_one_control() {
    let cpu = |text: &str| {
        policy(text)
            .expect("fine")
            .demands()
            .get(ControlKind::Cpu)
            .map(|demand| (demand.control.clone(), demand.need))
    };
    let limit = |quota_millis, weight| Control::Cpu(CpuLimit { quota_millis, weight });
    assert_eq!(cpu(""), Some((limit(None, 25), Need::Prefer)));
    assert_eq!(
        cpu("[limits]\ncpus = 2"),
        Some((limit(Some(2000), 25), Need::Require))
    );
    assert_eq!(
        cpu("[limits]\ncpu-weight = 7"),
        Some((limit(None, 7), Need::Require))
    );
    assert_eq!(cpu("[limits]\ncpus = \"none\""), None);
    assert_eq!(
        cpu("[limits]\ncpus = \"none\"\ncpu-weight = 7"),
        Some((limit(None, 7), Need::Require))
    );
}

/// The host's network is had only by writing it, and takes the walls down that it breaks.
#[test]
fn host_network_is_explicit() {
    let policy = policy("[network]\nmode = \"host\"").expect("explicit");
    assert_eq!(policy.network.value, Network::Host);
    assert_eq!(need(&policy, ControlKind::NetworkNone), None);
    assert_eq!(need(&policy, ControlKind::LocalSocketsHidden), None);
}

/// A list of destinations asks for a control of its own; the network stays closed.
#[test]
fn allow_lists_are_demanded() {
    let policy = policy("[network]\nallow = [\"crates.io\"]").expect("fine");
    assert_eq!(policy.network.value, Network::None);
    let demands = policy.demands();
    let list = demands.get(ControlKind::NetworkAllowlist).expect("demanded");
    assert!(
        matches!(
            &list.origin,
            Origin::File {
                line: 3,
                column: 9,
                ..
            }
        ),
        "{}",
        list.origin
    );
    assert_eq!(need(&policy, ControlKind::NetworkNone), None);
}

/// Contradictions are refused, all at once, each with its place and remedy.
#[test]
fn contradictions_are_refused() {
    let text = "[workspace]\nmode = \"rw\"\n[network]\nmode = \"host\"\n[limits]\nmemory = \"none\"\n[sandbox]\nnested-namespaces = true\n\
        [need]\nworkspace-copy-on-write = \"require\"\nnetwork-none = \"require\"\nmemory = \"require\"\ndisk = \"require\"\nnested-namespaces-off = \"require\"\nnetwork-allowlist = \"require\"";
    insta::assert_snapshot!(conflicts(text));
    assert!(conflicts("[network]\nmode = \"host\"\nallow = []").contains("exclude each other"));
    assert!(policy("[workspace]\nmode = \"rw\"\n[need]\nworkspace-copy-on-write = \"prefer\"").is_ok());
}

/// A contradiction between file and command line is found as well.
#[test]
fn flags_can_contradict_the_file() {
    let flags = Layer {
        memory: Some(Clause::flag("--memory", Limit::Off)),
        ..Layer::default()
    };
    let error = policy_with("[need]\nmemory = \"require\"", flags)
        .expect_err("contradiction")
        .to_string();
    assert!(
        error.contains("--memory") && error.contains("stockade.toml:3:1"),
        "{error}"
    );
}
