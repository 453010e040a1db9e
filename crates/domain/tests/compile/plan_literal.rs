use stockade_domain::{Level, Plan, SessionKind, Spec};

fn forge(spec: Spec) -> Plan {
    Plan { driver: "native", level: Level::Container, session: SessionKind::Full, planned: vec![], spec }
}

fn main() {}
