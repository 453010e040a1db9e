use std::collections::BTreeMap;

use proptest::prelude::*;
use stockade_domain::ending::Exit;
use stockade_domain::receipt::{Evidence, EvidenceKind};
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::{ControlKind, Level};
use stockade_workspace::Digest;

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;
const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn run() -> Run {
    Run {
        stockade: Said {
            version: "0.1.0".into(),
            sha256: HASH.into(),
        },
        host: Host {
            kernel: "Linux".into(),
            root: false,
        },
        sandbox: "id".into(),
        driver: "native".into(),
        level: Level::Container,
        command: vec!["make".into()],
        started_at_ms: NOW_MS - 2_000,
        ended_at_ms: NOW_MS - 1_000,
        policy: Policy {
            sha256: HASH.into(),
            network: Network::None,
            workspace: Some(WorkspaceMode::Cow),
        },
        controls: vec![Control {
            control: ControlKind::NetworkNone,
            shown: "network-none".into(),
            evidence: vec![Evidence {
                kind: EvidenceKind::HostRead,
                seen: "its namespace is its own".into(),
            }],
        }],
        not_enforced: BTreeMap::from([(ControlKind::SecondWall, "the kernel has no Landlock".into())]),
        probes: None,
        ending: Exit::Code(0),
        changes: Some(Changes {
            name: "pending".into(),
            digest: Digest {
                sha256: HASH.into(),
                paths: 1,
                bytes: 2,
            },
        }),
        hosts_reached: Some(Vec::new()),
        audit: None,
    }
}

struct Keys {
    _state: tempfile::TempDir,
    own: SigningKey,
}

fn keys() -> Keys {
    let state = tempfile::tempdir().unwrap();
    let own = SigningKey::of(state.path()).unwrap();
    Keys { _state: state, own }
}

#[test]
fn what_was_signed_is_read_as_it_was_said() {
    let keys = keys();
    let statement = Statement::new(run());
    let bytes = Envelope::seal(&statement, &keys.own).unwrap().bytes().unwrap();
    let (read, key) = Envelope::read(&bytes)
        .unwrap()
        .open(&[keys.own.public()])
        .unwrap();
    assert_eq!((read, key), (statement, keys.own.public().id()));
}

#[test]
fn nobody_elses_signature_is_believed() {
    let (ours, theirs) = (keys(), keys());
    let sealed = Envelope::seal(&Statement::new(run()), &theirs.own).unwrap();
    let untrusted = sealed.open(&[ours.own.public()]);
    assert!(
        matches!(untrusted, Err(EvidenceError::Untrusted { .. })),
        "{untrusted:?}"
    );
    assert!(matches!(sealed.open(&[]), Err(EvidenceError::Untrusted { .. })));
    // It says that it is signed by our key, and is not.
    let text = String::from_utf8(sealed.bytes().unwrap()).unwrap();
    let text = text.replace(&theirs.own.public().id(), &ours.own.public().id());
    let forged = Envelope::read(text.as_bytes())
        .unwrap()
        .open(&[ours.own.public()]);
    assert!(matches!(forged, Err(EvidenceError::Forged)), "{forged:?}");
}

#[test]
fn a_statement_of_another_kind_is_not_taken_for_a_run() {
    let text = String::from_utf8(Statement::new(run()).bytes().unwrap()).unwrap();
    for (from, to) in [("run/v1", "run/v2"), ("Statement/v1", "Statement/v2")] {
        let error = Statement::read(text.replace(from, to).as_bytes()).unwrap_err();
        assert!(matches!(error, EvidenceError::Malformed { .. }), "{error}");
    }
}

proptest! {
    #[test]
    fn no_changed_byte_changes_what_is_believed(at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let keys = keys();
        let statement = Statement::new(run());
        let mut bytes = Envelope::seal(&statement, &keys.own).unwrap().bytes().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let opened = Envelope::read(&bytes).and_then(|read| read.open(&[keys.own.public()]));
        if let Ok((read, _)) = opened {
            prop_assert_eq!(read, statement);
        }
    }

    #[test]
    fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Envelope::read(&bytes).and_then(|read| read.open(&[]));
        let _ = Statement::read(&bytes);
        let _ = String::from_utf8_lossy(&bytes).parse::<Demand>();
    }
}

fn unmet(demand: &str, run: &Run) -> Option<String> {
    let demand: Demand = demand.parse().unwrap();
    demand.check(run, NOW_MS).err().map(|unmet| unmet.found)
}

#[test]
fn what_is_so_meets_what_is_required() {
    for demand in [
        "level=jail",
        "level=container",
        "driver=native",
        "network=none",
        "network=allowlist",
        "control=network-none",
        &format!("policy={HASH}"),
        &format!("changes={HASH}"),
        "exit=0",
        "max-age=1s",
    ] {
        assert_eq!(unmet(demand, &run()), None, "{demand}");
    }
}

#[test]
fn what_is_not_so_is_told() {
    let other = "b".repeat(64);
    for (demand, found) in [
        ("level=kernel", "level=container"),
        ("driver=chroot", "driver=native"),
        ("control=second-wall", "not enforced: the kernel has no Landlock"),
        ("control=own-kernel", "it was not asked for"),
        (&format!("policy={other}"), &format!("policy={HASH}")),
        (&format!("changes={other}"), &format!("changes={HASH}")),
        ("exit=1", "exit=0"),
        ("probes=held", "nothing is known of probes"),
        ("max-age=999ms", "it ended 1 s ago"),
    ] {
        assert_eq!(unmet(demand, &run()).as_deref(), Some(found), "{demand}");
    }
}

#[test]
fn what_weakens_is_never_met() {
    let mut open = run();
    open.policy.network = Network::Host;
    assert_eq!(unmet("network=allowlist", &open).as_deref(), Some("network=host"));
    let mut unseen = run();
    unseen.controls[0].evidence.clear();
    assert!(unmet("control=network-none", &unseen).is_some());
    let mut future = run();
    future.ended_at_ms = NOW_MS + 1;
    assert!(unmet("max-age=168h", &future).is_some());
    let mut contradicted = run();
    contradicted.probes = Some(ProbeResult {
        at_ms: NOW_MS,
        held: false,
    });
    assert!(unmet("probes=held", &contradicted).is_some());
}

#[test]
fn what_is_no_requirement_is_refused_with_what_can_be_written() {
    for (text, told) in [
        ("level", "KEY=VALUE"),
        ("level=strong", "jail, container"),
        ("network=host", "none and allowlist"),
        ("control=walls", "no such control"),
        ("policy=ABC", "64 hexadecimal"),
        ("exit=ok", "a number"),
        ("max-age=soon", "24h"),
        ("colour=red", "keys are level"),
    ] {
        let error = text.parse::<Demand>().unwrap_err().to_string();
        assert!(error.contains(told) && error.contains(text), "{error}");
    }
}
