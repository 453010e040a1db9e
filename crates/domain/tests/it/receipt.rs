//! A receipt passes only on evidence.

use stockade_domain::units::ByteCount;
use stockade_domain::{Control, ControlKind, EvidenceKind, Finding, Receipt};

fn controls() -> Vec<Control> {
    vec![
        Control::Wall(ControlKind::NetworkNone),
        Control::Memory(ByteCount(1 << 30)),
    ]
}

fn seen() -> Finding {
    Finding::seen(EvidenceKind::HostRead, "net namespace 4026532")
}

/// The positive control: evidence for every control passes.
#[test]
fn evidence_for_all_passes() {
    let controls = controls();
    let receipt = Receipt::gather(controls.iter(), |_| seen());
    assert_eq!((receipt.verified(), receipt.total()), (2, 2));
    assert_eq!(receipt.check(), Ok(()));
}

/// An empty list of evidence verifies nothing.
#[test]
fn empty_evidence_is_no_verification() {
    let controls = controls();
    let receipt = Receipt::gather(controls.iter(), |_| Finding::Verified(Vec::new()));
    assert_eq!(receipt.verified(), 0);
    assert!(receipt.check().is_err());
    assert!(matches!(receipt.entries()[0].finding, Finding::Unchecked { .. }));
}

/// Not even where the receipt was read from a file.
#[test]
fn empty_evidence_from_json_is_no_verification() {
    let text =
        r#"{"entries":[{"control":{"control":"wall","value":"network-none"},"finding":{"verified":[]}}]}"#;
    let receipt: Receipt = serde_json::from_str(text).expect("a receipt");
    assert_eq!((receipt.verified(), receipt.total()), (0, 1));
    assert!(receipt.check().is_err());
}

/// One difference is enough, and all are told.
#[test]
fn differences_are_all_told() {
    let controls = controls();
    let receipt = Receipt::gather(controls.iter(), |control| match control.kind() {
        ControlKind::Memory => Finding::Differs {
            expected: "1073741824 in memory.max".to_owned(),
            found: "max".to_owned(),
        },
        _ => Finding::Unchecked {
            why: "/proc/7/ns/net is gone".to_owned(),
        },
    });
    let discrepancy = receipt.check().expect_err("nothing was verified");
    insta::assert_snapshot!(discrepancy, @r"
    the sandbox is not what was planned, so it was destroyed
      network-none: could not be checked: /proc/7/ns/net is gone
      memory 1 GiB: expected 1073741824 in memory.max; found max
    ");
}
