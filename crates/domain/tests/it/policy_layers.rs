//! Layers: who wins over whom, what a project may not say, what nobody may loosen.

use stockade_domain::ControlKind;
use stockade_domain::demand::{Need, Origin};
use stockade_domain::policy::{Clause, Layer, Layers, Policy, PolicyError, parse};
use stockade_domain::spec::{Network, WorkspaceMode};
use stockade_domain::units::Limit;

use crate::samples::defaults;

pub fn layer(text: &str, file: &str) -> Layer {
    parse(&format!("version = 1\n{text}"), file).expect(text)
}

/// Layers from texts: those that are empty were not written.
struct Texts<'a> {
    organisation: &'a str,
    user: &'a str,
    project: &'a str,
    named: &'a str,
}

const NOTHING: Texts<'static> = Texts {
    organisation: "",
    user: "",
    project: "",
    named: "",
};

impl Texts<'_> {
    fn layers(&self) -> Layers {
        let one = |text: &str, file: &str| (!text.is_empty()).then(|| layer(text, file));
        Layers {
            organisation: one(self.organisation, "/etc/stockade/org.toml")
                .into_iter()
                .collect(),
            user: one(self.user, "user.toml"),
            project: one(self.project, "stockade.toml"),
            named: one(self.named, "named.toml"),
            ..Layers::default()
        }
    }

    fn merged(&self) -> Result<Policy, PolicyError> {
        Policy::layered(defaults(), &self.layers())
    }

    fn policy(&self) -> Policy {
        self.merged().expect("a policy")
    }

    fn refused(&self) -> String {
        self.merged().expect_err("refused").to_string()
    }
}

fn project(text: &str) -> Result<Policy, PolicyError> {
    Texts {
        project: text,
        ..NOTHING
    }
    .merged()
}

fn memory(policy: &Policy) -> Option<u64> {
    policy.limits.memory.value.value().map(|bytes| bytes.0)
}

fn need(policy: &Policy, kind: ControlKind) -> Option<Need> {
    policy.demands().get(kind).map(|demand| demand.need)
}

const GIB: u64 = 1 << 30;

/// Later layers win, each clause keeps the place of who wrote it.
#[test]
fn layers_are_laid_over_each_other() {
    let texts = Texts {
        organisation: "[limits]\nmemory = \"1G\"\npids = 100",
        user: "[limits]\nmemory = \"3G\"\n[files]\nro = [\"/opt/user\"]",
        project: "[limits]\nmemory = \"2G\"\n[files]\nhide = [\"$WORKDIR/.env\"]",
        named: "[files]\nro = [\"/opt/named\"]",
    };
    let policy = texts.policy();
    assert_eq!(memory(&policy), Some(2 * GIB));
    let Origin::File { path, line, .. } = &policy.limits.memory.origin else {
        panic!("{}", policy.limits.memory.origin)
    };
    assert_eq!((path.as_str(), *line), ("stockade.toml", 3));
    assert_eq!(
        policy.limits.pids.value,
        Limit::AtMost(100),
        "what others do not say stays"
    );
    let shown: Vec<&str> = policy.files.iter().map(|rule| rule.value.path.as_str()).collect();
    assert_eq!(shown, ["/opt/user", "$WORKDIR/.env", "/opt/named"]);
}

/// The user's word on the command line wins over the project's.
#[test]
fn a_named_policy_and_flags_win_over_the_project() {
    let mut layers = Texts {
        project: "[limits]\nmemory = \"1G\"\ntimeout = \"5m\"",
        named: "[limits]\nmemory = \"3G\"",
        ..NOTHING
    }
    .layers();
    layers.flags.timeout = Some(Clause::flag("--timeout", Limit::Off));
    let policy = Policy::layered(defaults(), &layers).expect("a policy");
    assert_eq!(memory(&policy), Some(3 * GIB));
    assert_eq!(policy.limits.timeout.value, Limit::Off);
}

/// Every way in which a project could loosen, with the same words in a trusted layer as control.
#[test]
fn a_project_cannot_loosen() {
    for text in [
        "driver = \"other\"",
        "image = \"/srv/image\"",
        "[workspace]\nmode = \"rw\"",
        "[workspace]\npath = \"/srv\"",
        "[network]\nmode = \"host\"",
        "[network]\nallow = [\"crates.io\"]",
        "[files]\nro = [\"~/.ssh\"]",
        "[files]\nrw = [\"/srv/data\"]",
        "[environment]\npass = [\"AWS_*\"]",
        "[environment]\nset = { LD_PRELOAD = \"x\" }",
        "[limits]\nmemory = \"5G\"",
        "[limits]\nmemory = \"none\"",
        "[limits]\npids = 5000",
        "[limits]\ncpu-weight = 26",
        "[need]\nsyscall-filter = \"prefer\"",
        "[need]\nworkspace-read-only = \"prefer\"",
        "[sandbox]\nnested-namespaces = true",
        "preset = \"toolchain\"",
    ] {
        let error = project(text).expect_err(text).to_string();
        assert!(
            error.contains("stockade.toml:2:") || error.contains("stockade.toml:3:"),
            "{text}: {error}"
        );
        assert!(
            error.contains("only tighten") && error.contains("fix:"),
            "{text}: {error}"
        );
        let trusted = Texts {
            user: text,
            ..NOTHING
        };
        assert!(trusted.merged().is_ok(), "the same as the user's own: {text}");
    }
}

/// What a project may say.
#[test]
fn a_project_can_tighten() {
    for text in [
        "driver = \"auto\"",
        "[workspace]\nmode = \"ro\"",
        "[workspace]\nmode = \"none\"",
        "[network]\nallow = []",
        "[files]\nhide = [\"$WORKDIR/.env\"]",
        "[limits]\nmemory = \"1G\"\npids = 64\ncpus = 1\ncpu-weight = 5\ndisk = \"1G\"\ntimeout = \"1m\"\noutput = \"1M\"",
        "[need]\nown-kernel = \"require\"\nmemory = \"require\"\npids = \"prefer\"",
        "[sandbox]\nhostname = \"x\"",
        "preset = \"locked\"",
        "preset = \"standard\"",
    ] {
        assert!(
            project(text).is_ok(),
            "{text}: {}",
            project(text).expect_err(text)
        );
    }
    let policy = project("preset = \"locked\"").expect("a policy");
    assert_eq!(policy.workspace_mode.value, WorkspaceMode::Ro);
}

/// A limit that a project writes is required like any other, unless it only prefers it.
#[test]
fn a_project_can_prefer_its_own_limits() {
    let required = project("[limits]\npids = 99").expect("a policy");
    assert_eq!(need(&required, ControlKind::Pids), Some(Need::Require));
    let preferred = project("[limits]\npids = 99\n[need]\npids = \"prefer\"").expect("a policy");
    assert_eq!(need(&preferred, ControlKind::Pids), Some(Need::Prefer));
}

/// All that a project loosens is told at once, in words that say what to do.
#[test]
fn loosenings_are_told_together() {
    let error =
        project("preset = \"toolchain\"\n[network]\nmode = \"host\"\n[need]\nprivileges = \"prefer\"")
            .expect_err("refused")
            .to_string();
    insta::assert_snapshot!(error);
}

/// Bounds that no layer has cannot be lifted by writing them out: `cpus = "none"` would take
/// the default weight away.
#[test]
fn a_project_cannot_lift_what_holds_by_default() {
    let cpu = |policy: &Policy| policy.demands().get(ControlKind::Cpu).is_some();
    assert!(cpu(
        &project("[limits]\ncpus = \"none\"").expect("it says nothing")
    ));
    let user = Texts {
        user: "[limits]\ncpus = \"none\"",
        ..NOTHING
    };
    assert!(!cpu(&user.policy()), "the user may");
}

/// What is shown already may be repeated; a user's preference for a tighter mode does not
/// let a project trade a requirement for it.
#[test]
fn a_project_trades_nothing_away() {
    let shown = "[files]\nro = [\"/opt/x\"]\n[environment]\npass = [\"CI\"]";
    let repeated = Texts {
        user: shown,
        project: shown,
        ..NOTHING
    };
    assert_eq!(repeated.policy().files.len(), 1);
    let traded = Texts {
        user: "[need]\nworkspace-read-only = \"prefer\"",
        project: "[workspace]\nmode = \"ro\"",
        ..NOTHING
    };
    let error = traded.refused();
    assert!(
        error.contains("stockade.toml:3:8") && error.contains("workspace-copy-on-write is required"),
        "{error}"
    );
}

/// A floor moves defaults, and refuses what others wrote below it, with both places.
#[test]
fn a_floor_bounds_every_layer() {
    const FLOOR: &str = "[floor.limits]\nmemory = \"1G\"\n[floor.workspace]\nmode = \"cow\"";
    let quiet = Texts {
        organisation: FLOOR,
        ..NOTHING
    }
    .policy();
    assert_eq!(memory(&quiet), Some(GIB));
    assert!(matches!(&quiet.limits.memory.origin, Origin::File { path, .. } if path.ends_with("org.toml")));
    let tighter = Texts {
        organisation: FLOOR,
        user: "[limits]\nmemory = \"512M\"",
        ..NOTHING
    };
    assert_eq!(memory(&tighter.policy()), Some(GIB / 2));
    for (loose, says) in [
        (
            "[limits]\nmemory = \"2G\"",
            "named.toml:3:10: limits.memory = 2 GiB is looser",
        ),
        ("[limits]\nmemory = \"none\"", "limits.memory = none is looser"),
        (
            "[need]\nmemory = \"prefer\"",
            "named.toml:3:1: memory is only preferred",
        ),
        ("[workspace]\nmode = \"rw\"", "workspace.mode = rw is looser"),
        ("[need]\nworkspace-copy-on-write = \"prefer\"", "only preferred"),
        (
            "preset = \"standard\"\n[workspace]\nmode = \"rw\"",
            "workspace.mode = rw",
        ),
    ] {
        let named = Texts {
            organisation: FLOOR,
            named: loose,
            ..NOTHING
        };
        let error = named.refused();
        assert!(
            error.contains(says) && error.contains("/etc/stockade/org.toml:"),
            "{error}"
        );
        assert!(
            Texts {
                named: loose,
                ..NOTHING
            }
            .merged()
            .is_ok(),
            "without the floor: {loose}"
        );
    }
}

/// A bound is a requirement: without the means to enforce it there is no run, unless the floor
/// itself says so.
#[test]
fn a_floor_is_required() {
    let floor = |text: &str| {
        Texts {
            organisation: text,
            ..NOTHING
        }
        .policy()
    };
    assert_eq!(
        need(&defaults(), ControlKind::Memory),
        Some(Need::Prefer),
        "the default"
    );
    let wide = "[floor.limits]\nmemory = \"7G\"";
    assert_eq!(memory(&floor(wide)), Some(4 * GIB), "the default is tighter");
    assert_eq!(need(&floor(wide), ControlKind::Memory), Some(Need::Require));
    let soft = "[floor.limits]\nmemory = \"1G\"\n[floor.need]\nmemory = \"prefer\"";
    assert_eq!(
        need(&floor(soft), ControlKind::Memory),
        Some(Need::Require),
        "a value that somebody wrote is meant"
    );
    let user_prefers = Texts {
        organisation: soft,
        user: "[need]\nmemory = \"prefer\"",
        ..NOTHING
    };
    assert_eq!(
        need(&user_prefers.policy(), ControlKind::Memory),
        Some(Need::Prefer)
    );
    let kernel = "[floor.need]\nown-kernel = \"require\"";
    assert_eq!(need(&floor(kernel), ControlKind::OwnKernel), Some(Need::Require));
    let driver = floor("[floor]\ndriver = \"gvisor\"");
    assert_eq!(
        driver.driver.value, "gvisor",
        "what nobody wrote follows the floor"
    );
}

/// A weight in a floor holds against `cpus = "none"`, which alone lifts the default weight.
#[test]
fn a_floor_on_the_weight_cannot_be_lifted() {
    for weight in [10, 25, 50] {
        let organisation = format!("[floor.limits]\ncpu-weight = {weight}");
        let texts = Texts {
            organisation: &organisation,
            named: "[limits]\ncpus = \"none\"",
            ..NOTHING
        };
        assert_eq!(
            need(&texts.policy(), ControlKind::Cpu),
            Some(Need::Require),
            "{weight}"
        );
    }
}

/// Lists in a floor: hidden paths are added, variables bounded.
#[test]
fn a_floor_has_lists() {
    let organisation =
        "[floor.files]\nhide = [\"/etc/ours\"]\nrw = []\n[floor.environment]\npass = [\"CI\", \"MY_*\"]";
    let fine = Texts {
        organisation,
        user: "[environment]\npass = [\"CI\", \"MY_A\", \"MY_B_*\"]\nset = { OTHER = \"1\" }",
        ..NOTHING
    }
    .policy();
    assert_eq!(fine.files.len(), 1);
    assert_eq!(
        fine.permitted[0].read_write.as_ref().map(|list| list.value.len()),
        Some(0)
    );
    for passed in ["AWS_SECRET", "M*", "MY"] {
        let user = format!("[environment]\npass = [\"{passed}\"]");
        let error = Texts {
            organisation,
            user: &user,
            ..NOTHING
        }
        .refused();
        assert!(
            error.contains(&format!("the variable {passed} may not pass")),
            "{error}"
        );
    }
}

/// Several files of an organisation: every floor holds.
#[test]
fn all_floors_hold() {
    let layers = Layers {
        organisation: vec![
            layer("[floor.limits]\nmemory = \"1G\"", "/etc/stockade/1.toml"),
            layer(
                "[floor.limits]\nmemory = \"3G\"\npids = 50",
                "/etc/stockade/2.toml",
            ),
        ],
        ..Layers::default()
    };
    let policy = Policy::layered(defaults(), &layers).expect("a policy");
    assert_eq!(
        (memory(&policy), policy.limits.pids.value),
        (Some(GIB), Limit::AtMost(50))
    );
}

/// A floor elsewhere, and bounds that bound nothing, are mistakes.
#[test]
fn floors_have_their_place_and_their_sense() {
    for texts in [
        Texts {
            user: "[floor.limits]\nmemory = \"1G\"",
            ..NOTHING
        },
        Texts {
            project: "[floor.limits]\nmemory = \"1G\"",
            ..NOTHING
        },
        Texts {
            named: "[floor.limits]\nmemory = \"1G\"",
            ..NOTHING
        },
    ] {
        let error = texts.refused();
        assert!(
            error.contains("toml:2:") && error.contains("only stand in the organisation's"),
            "{error}"
        );
    }
    for text in [
        "[floor.limits]\nmemory = \"none\"",
        "[floor.workspace]\nmode = \"rw\"",
        "[floor.network]\nmode = \"host\"",
        "[floor.sandbox]\nnested-namespaces = true",
        "[floor.need]\nnetwork-none = \"prefer\"",
    ] {
        let error = parse(&format!("version = 1\n{text}"), "p")
            .expect_err(text)
            .to_string();
        assert!(error.contains("bounds nothing"), "{text}: {error}");
    }
    let error = parse("version = 1\n[floor.environment]\nset = { A = \"1\" }", "p").expect_err("unknown");
    assert!(error.to_string().contains("unknown key `set`"), "{error}");
}

/// An organisation can give a default and forbid others to change it.
#[test]
fn the_network_has_one_measure() {
    let floor = "[floor.network]\nallow = [\"a\", \"b\"]";
    let with = |named: &str| {
        Texts {
            organisation: floor,
            named,
            ..NOTHING
        }
        .merged()
    };
    assert_eq!(with("").expect("closed").network.value, Network::None);
    assert!(with("[network]\nallow = [\"a\"]").is_ok());
    assert!(with("[network]\nallow = [\"a\", \"c\"]").is_err());
    assert!(with("[network]\nmode = \"host\"").is_err());
}

/// Presets stand below the layer that names them; one that does not exist is told.
#[test]
fn presets_stand_below_their_layer() {
    let policy = Texts {
        user: "preset = \"locked\"\n[limits]\nmemory = \"2G\"",
        ..NOTHING
    }
    .policy();
    assert_eq!(memory(&policy), Some(2 * GIB));
    assert_eq!(policy.limits.pids.value, Limit::AtMost(256));
    assert_eq!(policy.limits.pids.origin.to_string(), "preset locked:16:8");
    let error = parse("version = 1\npreset = \"loked\"", "p")
        .expect_err("none")
        .to_string();
    assert!(
        error.contains("p:2:10") && error.contains("did you mean `locked`?"),
        "{error}"
    );
    let flag = Layers {
        below_named: Some(Layer {
            preset: Some(Clause::flag("--preset", "nope".to_owned())),
            ..Layer::default()
        }),
        ..Layers::default()
    };
    let error = Policy::layered(defaults(), &flag).expect_err("none").to_string();
    assert!(
        error.contains("--preset") && error.contains("locked, standard, toolchain"),
        "{error}"
    );
}

/// The preset of the defaults is the defaults.
#[test]
fn the_standard_preset_is_the_defaults() {
    let policy = Texts {
        user: "preset = \"standard\"",
        ..NOTHING
    }
    .policy();
    let controls = |policy: &Policy| -> Vec<_> {
        let demands = policy.demands();
        demands
            .iter()
            .map(|demand| (demand.control.clone(), demand.need))
            .collect()
    };
    assert_eq!(controls(&policy), controls(&defaults()));
}
