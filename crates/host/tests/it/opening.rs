//! A sandbox that is not what was planned.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use stockade_domain::receipt::Finding;
use stockade_domain::spec::{Limits, Network};
use stockade_domain::{Control, ControlKind, Demands, Level, Plan, Receipt, SessionKind, Spec, Support};
use stockade_host::driver::{GuestProgram, Seed, SeedOrigin};
use stockade_host::error::Error;
use stockade_host::open::open;

use crate::rig::{Rig, block_on};

crate::tests![
    a_discrepancy_destroys_and_survives_a_failing_destroy,
    what_was_planned_is_let_live
];

fn plan() -> Plan {
    let spec = Spec {
        view: Default::default(),
        image: None,
        workspace: None,
        home: "/home".into(),
        environment: Default::default(),
        network: Network::None,
        hostname: "sandbox".into(),
        nested_namespaces: false,
        checkpoints_from_inside: false,
        limits: Limits::default(),
    };
    let support = |_: &_| Support::impossible("nothing was demanded");
    Plan::make(
        "fake",
        Level::Jail,
        SessionKind::Full,
        spec,
        &Demands::default(),
        support,
    )
    .unwrap()
}

fn seed(rig: &Rig) -> Seed {
    Seed {
        id: "000000000000".into(),
        state_dir: rig.place.path().to_owned(),
        changes_dir: None,
        caches_dir: None,
        trees_dir: None,
        guest: GuestProgram {
            path: "/nowhere".into(),
            arguments: Vec::new(),
        },
        origin: SeedOrigin::Fresh,
        over_link: false,
        progress: Arc::new(|_| {}),
        warn: Arc::new(|_| {}),
        deadline: Instant::now() + Duration::from_secs(60),
        cancel: Default::default(),
    }
}

fn a_discrepancy_destroys_and_survives_a_failing_destroy() {
    block_on(async {
        let rig = Rig::new();
        let control = Control::Wall(ControlKind::NetworkNone);
        let differs = || Finding::Differs {
            expected: "one link".into(),
            found: "two".into(),
        };
        let receipt = Receipt::gather(std::iter::once(&control), |_| differs());
        *rig.knobs.differs.lock().unwrap() = Some(receipt);
        rig.knobs.failing_destroys.store(100, Ordering::Relaxed);
        let driver = rig.driver();
        let Err(error) = open(&driver, plan(), seed(&rig)).await else {
            panic!("it lives")
        };
        assert!(matches!(error.root(), Error::Discrepancy(_)));
        assert!(rig.knobs.destroys.load(Ordering::Relaxed) > 0);
        let text = error.to_string();
        assert!(
            text.contains("expected one link; found two") && text.contains("stockade gc"),
            "{text}"
        );
        assert_eq!(error.exit_code(), 125);
    });
}

fn what_was_planned_is_let_live() {
    block_on(async {
        let rig = Rig::new();
        let driver = rig.driver();
        assert!(open(&driver, plan(), seed(&rig)).await.is_ok());
        assert_eq!(rig.knobs.destroys.load(Ordering::Relaxed), 0);
    });
}
