//! Demands are closed over what controls depend on.

use stockade_domain::demand::{Demand, Demands, Need, Origin};
use stockade_domain::units::ByteCount;
use stockade_domain::{Control, ControlKind};

use crate::samples::wall;

fn need(demands: &Demands, kind: ControlKind) -> Option<Need> {
    demands.get(kind).map(|demand| demand.need)
}

/// What a control cannot stand without is demanded along with it, over several steps.
#[test]
fn dependencies_are_demanded_too() {
    let demands = Demands::new([wall(ControlKind::HomeHidden, Need::Require)]);
    for kind in [
        ControlKind::FilesUnreadable,
        ControlKind::Privileges,
        ControlKind::DescriptorsClosed,
    ] {
        assert_eq!(need(&demands, kind), Some(Need::Require), "{kind}");
    }
    let origin = &demands.get(ControlKind::Privileges).expect("a dependency").origin;
    assert_eq!(*origin, Origin::DependencyOf(ControlKind::FilesUnreadable));
    assert_eq!(
        need(&demands, ControlKind::OwnKernel),
        None,
        "what nothing depends on is not demanded"
    );
}

/// Every dependency of every control is in its closure, with the same need.
#[test]
fn closures_are_complete_for_all_controls() {
    for kind in ControlKind::ALL {
        for level in [Need::Require, Need::Prefer] {
            let demands = Demands::new([wall(kind, level)]);
            for demand in demands.iter() {
                for dependency in demand.control.kind().depends_on() {
                    assert_eq!(
                        need(&demands, *dependency),
                        Some(level),
                        "{kind} needs {dependency}"
                    );
                }
            }
        }
    }
}

/// A requirement lifts what it depends on; a preference never lowers it.
#[test]
fn the_stronger_need_wins() {
    let lifted = Demands::new([
        wall(ControlKind::Privileges, Need::Prefer),
        wall(ControlKind::NetworkNone, Need::Require),
    ]);
    assert_eq!(need(&lifted, ControlKind::Privileges), Some(Need::Require));
    let kept = Demands::new([
        wall(ControlKind::Privileges, Need::Require),
        wall(ControlKind::NetworkNone, Need::Prefer),
    ]);
    assert_eq!(need(&kept, ControlKind::Privileges), Some(Need::Require));
}

/// There is one demand for a control: the last.
#[test]
fn later_demands_replace_earlier_ones() {
    let memory = |bytes| Demand {
        control: Control::Memory(ByteCount(bytes)),
        need: Need::Require,
        origin: Origin::Default,
    };
    let demands = Demands::new([memory(1), memory(2)]);
    assert_eq!(demands.iter().count(), 1);
    assert_eq!(
        demands.get(ControlKind::Memory).map(|demand| &demand.control),
        Some(&Control::Memory(ByteCount(2)))
    );
}

/// Names are unique, and every control has a text.
#[test]
fn controls_are_described() {
    let mut names: Vec<_> = ControlKind::ALL.iter().map(|kind| kind.name()).collect();
    assert!(ControlKind::ALL.iter().all(|kind| !kind.summary().is_empty()));
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ControlKind::ALL.len());
}
