//! Layers over each other: who may say what, and what nobody may loosen.
//!
//! In their order: the defaults, the organisation, the user, the project, the policy that is
//! named on the command line, its flags. Each replaces what lies below, with two exceptions.
//! A project's file may have been written by the command that is to be contained, so it may
//! only tighten. And no layer gets below the organisation's floor.

use super::error::Conflict;
use super::layer::{Clause, FileAccess, Floor, Layer};
use super::strict::{Measure, SCALARS, Scalar, Seen};
use super::{Policy, PolicyError, default_need, presets};
use crate::control::ControlKind;
use crate::demand::{Demands, Need, Origin};
use crate::environment::Variable;
use crate::spec::WorkspaceMode;

/// Whose layer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerKind {
    /// Root's, in `/etc/stockade`.
    Organisation,
    /// The user's own configuration.
    User,
    /// A file at the root of the project: input from who knows whom.
    Project,
    /// A file that the command line names.
    Named,
    /// Flags.
    Flags,
}

impl std::fmt::Display for LayerKind {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Self::Organisation => "organisation",
            Self::User => "user",
            Self::Project => "project",
            Self::Named => "--policy",
            Self::Flags => "flags",
        })
    }
}

/// Everything that was written, lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// The organisation's files, in the order of their names.
    pub organisation: Vec<Layer>,
    /// The user's.
    pub user: Option<Layer>,
    /// The project's.
    pub project: Option<Layer>,
    /// What flags put below the file that they name: a preset.
    pub below_named: Option<Layer>,
    /// The file that is named on the command line.
    pub named: Option<Layer>,
    /// Flags.
    pub flags: Layer,
}

impl Layers {
    /// Only a policy that somebody named, and flags.
    #[must_use]
    pub fn of_command_line(named: Option<Layer>, flags: Layer) -> Self {
        Self {
            named,
            flags,
            ..Self::default()
        }
    }

    /// Every layer with its kind, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (LayerKind, &Layer)> {
        let organisation = self
            .organisation
            .iter()
            .map(|layer| (LayerKind::Organisation, layer));
        let others = [
            (LayerKind::User, self.user.as_ref()),
            (LayerKind::Project, self.project.as_ref()),
            (LayerKind::Flags, self.below_named.as_ref()),
            (LayerKind::Named, self.named.as_ref()),
            (LayerKind::Flags, Some(&self.flags)),
        ];
        organisation.chain(
            others
                .into_iter()
                .filter_map(|(kind, layer)| Some((kind, layer?))),
        )
    }

    fn floors(&self) -> impl Iterator<Item = &Floor> {
        self.organisation
            .iter()
            .filter_map(|layer| layer.floor.as_deref())
    }
}

impl Policy {
    /// The defaults with all layers over them.
    ///
    /// # Errors
    /// Everything that cannot hold: what a project loosens, what lies below a floor, clauses
    /// that contradict each other; each with its place and remedy.
    pub fn layered(defaults: Self, layers: &Layers) -> Result<Self, PolicyError> {
        let mut policy = defaults;
        let mut wrong = Vec::new();
        for (kind, layer) in layers.iter() {
            if let Some(floor) = layer.floor.as_ref().filter(|_| kind != LayerKind::Organisation) {
                wrong.push(misplaced(floor));
            }
            let preset = match &layer.preset {
                Some(name) => Some((presets::layer(name)?, name)),
                None => None,
            };
            if kind == LayerKind::Project {
                if let Some((preset, name)) = &preset {
                    wrong.extend(policy.tighten(preset, Some(*name)));
                }
                wrong.extend(policy.tighten(layer, None));
            } else {
                if let Some((preset, _)) = &preset {
                    policy.put(preset);
                }
                policy.put(layer);
            }
        }
        for floor in layers.floors() {
            wrong.extend(policy.raise_to(floor));
        }
        wrong.extend(policy.conflicts());
        if wrong.is_empty() {
            Ok(policy)
        } else {
            Err(PolicyError::Conflicts(wrong))
        }
    }

    /// Puts an untrusted layer over the policy; returns what in it is no tightening.
    fn tighten(&mut self, layer: &Layer, by: Option<&Clause<String>>) -> Vec<Conflict> {
        let before = self.demands();
        let mut loose = Loosenings::default();
        loose.budget(layer);
        for scalar in &SCALARS {
            let Some(new) = (scalar.in_layer)(layer).filter(|_| !scalar.key.starts_with("budget.")) else {
                continue;
            };
            let old = (scalar.in_policy)(self);
            if !new.measure.is_as_tight_as(&old.measure) {
                loose.value(scalar, &new, &old);
            } else if new.measure != Measure::AtMost(None) {
                // No bound over no bound says nothing, but written out it would lift what
                // holds by default (the processor weight).
                (scalar.put)(self, layer);
            }
        }
        for rule in &layer.files {
            let stands = self.files.iter().any(|present| present.value == rule.value);
            match rule.value.access {
                FileAccess::Hide => self.files.push(rule.clone()),
                FileAccess::ReadOnly | FileAccess::ReadWrite if stands => {}
                FileAccess::ReadOnly => loose.add(&rule.origin, format!("shows {}", rule.value.path)),
                FileAccess::ReadWrite => {
                    loose.add(&rule.origin, format!("makes {} writable", rule.value.path));
                }
            }
        }
        for variable in &layer.variables {
            let stands = self
                .variables
                .iter()
                .any(|present| present.value == variable.value);
            match &variable.value {
                _ if stands => {}
                Variable::Pass(name) => loose.add(&variable.origin, format!("passes the variable {name}")),
                Variable::Set { name, .. } => {
                    loose.add(
                        &variable.origin,
                        format!("sets the variable {name}, which can steer programs"),
                    );
                }
            }
        }
        for need in &layer.needs {
            let (kind, level) = need.value;
            let asked = before
                .get(kind)
                .map_or_else(|| default_need(kind), |demand| demand.need);
            match (level, asked) {
                // To prefer what was preferred keeps a limit of its own from being required.
                (Need::Require, _) | (Need::Prefer, Need::Prefer) => self.needs.push(need.clone()),
                (Need::Prefer, Need::Require) => {
                    loose.add(&need.origin, format!("only prefers {kind}, which is required"));
                }
            }
        }
        // What holds for each clause must hold for what follows from all of them.
        if loose.0.is_empty() {
            for kind in lost(&before, self) {
                loose.add(
                    &writer_of(kind, layer),
                    format!("takes away that {kind} is required"),
                );
            }
        }
        loose.conflicts(by)
    }

    /// Holds the policy above a floor. What nobody wrote takes the floor's value; what
    /// somebody wrote and the floor forbids is returned.
    fn raise_to(&mut self, floor: &Floor) -> Vec<Conflict> {
        let bounds = &floor.clauses;
        let mut below = Vec::new();
        for scalar in &SCALARS {
            let Some(bound) = (scalar.in_layer)(bounds) else {
                continue;
            };
            let own = (scalar.in_policy)(self);
            let holds = own.measure.is_as_tight_as(&bound.measure);
            if own.origin == Origin::Default {
                if !holds || bound.measure.is_as_tight_as(&own.measure) {
                    (scalar.put)(self, bounds);
                }
            } else if !holds {
                below.push(too_loose(
                    own.origin,
                    &format!(
                        "{} = {} is looser than {} = {}",
                        scalar.key, own.shown, scalar.key, bound.shown
                    ),
                    &bound.origin,
                    scalar.tighter,
                ));
            }
        }
        // A weight that only stands by default is lifted by `cpus = "none"`.
        if let Some(weight) = bounds
            .cpu_weight
            .as_ref()
            .filter(|_| !self.limits.cpu_weight.is_written())
        {
            self.limits.cpu_weight.origin = weight.origin.clone();
        }
        self.files.extend(bounds.files.iter().cloned());
        below.extend(self.raise_needs(bounds));
        below.extend(self.check_passed(floor));
        self.permitted.push(floor.lists.clone());
        below
    }

    /// A bound that is merely preferred would be no floor: every control that a clause of the
    /// floor is about is required, unless the floor itself says otherwise.
    fn raise_needs(&mut self, bounds: &Layer) -> Vec<Conflict> {
        let mut below = Vec::new();
        let written = |kind| bounds.needs.iter().find(|need| need.value.0 == kind);
        let implied = SCALARS.iter().filter_map(|scalar| {
            let origin = (scalar.in_layer)(bounds)?.origin;
            Some(
                scalar
                    .controls
                    .iter()
                    .map(move |kind| (*kind, origin.clone(), false)),
            )
        });
        let named = bounds
            .needs
            .iter()
            .map(|need| (need.value.0, need.origin.clone(), true));
        for (kind, origin, named) in implied.flatten().chain(named).collect::<Vec<_>>() {
            if written(kind).is_some_and(|need| need.value.1 == Need::Prefer) {
                continue;
            }
            let Some(need) = self
                .demands()
                .get(kind)
                .map(|demand| demand.need)
                .or(named.then_some(Need::Prefer))
            else {
                continue;
            };
            match self.written_need(kind) {
                _ if need == Need::Require => {}
                Some(prefer) if prefer.value.1 == Need::Prefer => below.push(too_loose(
                    prefer.origin.clone(),
                    &format!("{kind} is only preferred"),
                    &origin,
                    "require it, or remove the line",
                )),
                _ => self.needs.push(Clause {
                    value: (kind, Need::Require),
                    origin,
                }),
            }
        }
        below
    }

    fn check_passed(&self, floor: &Floor) -> Vec<Conflict> {
        let Some(permitted) = &floor.lists.pass else {
            return Vec::new();
        };
        let passed = self.variables.iter().filter_map(|clause| match &clause.value {
            Variable::Pass(name) => Some((name, &clause.origin)),
            Variable::Set { .. } => None,
        });
        passed
            .filter(|(name, _)| !permitted.value.iter().any(|pattern| covers(pattern, name)))
            .map(|(name, origin)| {
                too_loose(
                    origin.clone(),
                    &format!("the variable {name} may not pass"),
                    &permitted.origin,
                    "remove it",
                )
            })
            .collect()
    }
}

/// Whether every name that `name` stands for is one that `pattern` stands for.
fn covers(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

/// What an untrusted layer loosens: where, and in which words.
#[derive(Default)]
struct Loosenings(Vec<(Origin, String)>);

impl Loosenings {
    /// What is shared with other projects is no matter of this one.
    fn budget(&mut self, layer: &Layer) {
        let written = [
            layer.budget_memory.as_ref().map(|clause| &clause.origin),
            layer.budget_cpus.as_ref().map(|clause| &clause.origin),
        ];
        for origin in written.into_iter().flatten() {
            let what = "sets the budget that all sandboxes of the host share".to_owned();
            self.add(origin, what);
        }
    }

    /// Most of one preset's that are told: whoever sees three knows that it does not fit.
    const TOLD: usize = 3;

    fn value(&mut self, scalar: &Scalar, new: &Seen, old: &Seen) {
        let text = format!(
            "writes {} = {}, which is looser than {} ({})",
            scalar.key, new.shown, old.shown, old.origin
        );
        self.add(&new.origin, text);
    }

    fn add(&mut self, origin: &Origin, what: String) {
        self.0.push((origin.clone(), what));
    }

    /// As errors; what a preset brings is told in one, at the clause that brings it.
    fn conflicts(self, by: Option<&Clause<String>>) -> Vec<Conflict> {
        let conflict = |origin, what| {
            Conflict {
            origin,
            what: format!("{what}, but may only tighten: the command could have written it"),
            fix: "remove it there; write it in your own policy, as a flag, or name the file with --policy if you trust it"
                .to_owned(),
        }
        };
        let Some(preset) = by.filter(|_| !self.0.is_empty()) else {
            let own = self.0.into_iter();
            return own
                .map(|(origin, what)| conflict(origin, format!("the project's policy {what}")))
                .collect();
        };
        let told: Vec<&str> = self
            .0
            .iter()
            .take(Self::TOLD)
            .map(|(_, what)| what.as_str())
            .collect();
        let more = match self.0.len() - told.len() {
            0 => String::new(),
            count => format!(" and {count} more"),
        };
        let what = format!(
            "the project's policy has the preset {}, which {}{more}",
            preset.value,
            told.join(", ")
        );
        vec![conflict(preset.origin.clone(), what)]
    }
}

fn misplaced(floor: &Floor) -> Conflict {
    Conflict {
        origin: floor.origin.clone(),
        what: "a floor can only stand in the organisation's files".to_owned(),
        fix: "remove it, or let root write it to a file in /etc/stockade".to_owned(),
    }
}

fn too_loose(origin: Origin, what: &str, floor: &Origin, tighter: &str) -> Conflict {
    Conflict {
        origin,
        what: format!("{what}, the floor of your organisation ({floor})"),
        fix: format!("tighten it ({tighter}), or ask who keeps that file"),
    }
}

/// Controls that were required before and are neither required now nor replaced by a
/// required one that permits less.
fn lost(before: &Demands, policy: &Policy) -> Vec<ControlKind> {
    let now = policy.demands();
    let required = |kind| now.get(kind).is_some_and(|demand| demand.need == Need::Require);
    let no_workspace = policy.workspace_mode.value == WorkspaceMode::None;
    let replaced = |kind| match kind {
        ControlKind::WorkspaceCopyOnWrite => no_workspace || required(ControlKind::WorkspaceReadOnly),
        ControlKind::WorkspaceReadOnly => no_workspace,
        ControlKind::WorkspaceProtected => {
            no_workspace
                || required(ControlKind::WorkspaceCopyOnWrite)
                || required(ControlKind::WorkspaceReadOnly)
        }
        ControlKind::NetworkAllowlist => required(ControlKind::NetworkNone),
        _ => false,
    };
    before
        .iter()
        .filter(|demand| demand.need == Need::Require)
        .map(|demand| demand.control.kind())
        .filter(|kind| !required(*kind) && !replaced(*kind))
        .collect()
}

/// The clause of a layer that is about a control.
fn writer_of(kind: ControlKind, layer: &Layer) -> Origin {
    SCALARS
        .iter()
        .filter(|scalar| scalar.controls.contains(&kind))
        .find_map(|scalar| (scalar.in_layer)(layer))
        .map_or(Origin::Default, |seen| seen.origin)
}
