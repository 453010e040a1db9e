//! Values that several tests need.

use std::path::PathBuf;

use stockade_domain::demand::{Demand, Need, Origin};
use stockade_domain::environment::Environment;
use stockade_domain::policy::{HostDefaults, Layer, Layers, Policy, PolicyError, parse};
use stockade_domain::spec::{Limits, Network, Spec};
use stockade_domain::view::FileView;
use stockade_domain::{Control, ControlKind};

pub fn spec() -> Spec {
    Spec {
        view: FileView::default(),
        image: None,
        workspace: None,
        home: PathBuf::from("/home/user"),
        environment: Environment::default(),
        network: Network::None,
        hostname: "stockade".to_owned(),
        nested_namespaces: false,
        checkpoints_from_inside: false,
        limits: Limits::default(),
    }
}

pub fn wall(kind: ControlKind, need: Need) -> Demand {
    Demand {
        control: Control::Wall(kind),
        need,
        origin: Origin::Default,
    }
}

/// The defaults of a host with 8 GiB.
pub fn defaults() -> Policy {
    Policy::defaults(&HostDefaults {
        memory_bytes: 8 << 30,
        processors: 4,
    })
}

/// A policy from the text of a file, with the version added, over the defaults.
pub fn policy(text: &str) -> Result<Policy, PolicyError> {
    policy_with(text, Layer::default())
}

pub fn policy_with(text: &str, flags: Layer) -> Result<Policy, PolicyError> {
    let file = parse(&format!("version = 1\n{text}"), "stockade.toml")?;
    Policy::layered(defaults(), &Layers::of_command_line(Some(file), flags))
}
