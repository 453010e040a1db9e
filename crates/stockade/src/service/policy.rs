//! Policies: the layers that hold here, what follows from them, and what is wrong with one.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use stockade_domain::demand::Origin;
use stockade_domain::environment::Variable;
use stockade_domain::policy::strict::SCALARS;
use stockade_domain::policy::{FileAccess, FloorLists, HostDefaults, Layer, LayerKind, Layers, Policy};
use stockade_domain::target::Facts;
use stockade_domain::{Demand, Demands, Level, Need, Support};
use stockade_host::driver::Driver;
use stockade_host::layers::{Found, LayerFile, Places};
use stockade_host::view::{self, Context};

use super::plan::Launch;
use super::probed::{self, Last};
use super::{Result, auto, drivers, state_path};
use crate::failure::Failure;

/// The layers that hold for a run that is started here.
pub struct Gathered {
    /// What they say.
    pub layers: Layers,
    /// The files that they come from.
    pub files: Vec<LayerFile>,
    /// The process and its user.
    pub context: Context,
    /// The driver that they name.
    pub driver: String,
}

/// Reads every layer. Which project it is follows from the others: a project cannot name
/// another one.
pub fn gather(launch: Launch) -> Result<Gathered> {
    let context = Context::of_process(state_path()).map_err(Failure::NoCurrentDirectory)?;
    let mut found = Found::read(&Places::of_process())?;
    if let Some(named) = &launch.policy {
        found.read_named(named)?;
    }
    found.layers.below_named = launch.preset.map(|preset| Layer {
        preset: Some(preset),
        ..Layer::default()
    });
    found.layers.flags = launch.overrides;
    let own = Policy::layered(defaults(), &found.layers)?;
    if let Some(root) = view::project_root(&own, &context) {
        found.read_project(&root)?;
    }
    Ok(Gathered {
        context: context.with_policies(&found.files),
        layers: found.layers,
        files: found.files,
        driver: own.driver.value,
    })
}

/// Physical memory of this machine.
pub(super) fn memory_bytes() -> u64 {
    let seen = rustix::system::sysinfo();
    // The kernel's own type differs by architecture.
    #[allow(clippy::useless_conversion)]
    let units = u64::from(seen.totalram);
    units.saturating_mul(u64::from(seen.mem_unit))
}

/// The defaults of this machine.
fn defaults() -> Policy {
    Policy::defaults(&HostDefaults {
        memory_bytes: memory_bytes(),
        processors: std::thread::available_parallelism()
            .map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX)),
    })
}

/// Everything that holds for a run, with who says so and who enforces it.
#[derive(Serialize)]
pub struct Explained {
    /// The files that were read, lowest first.
    pub layers: Vec<LayerFile>,
    /// The driver that the policy names.
    pub driver: String,
    /// Every clause of the merged policy.
    pub clauses: Vec<ClauseRow>,
    /// Every bound of the organisation.
    pub floor: Vec<ClauseRow>,
    /// Every control that follows, in report order, with the answer of each driver.
    pub controls: Vec<ControlRow>,
    /// The drivers, in the order of the answers.
    pub drivers: Vec<DriverRow>,
}

/// One clause.
#[derive(Serialize)]
pub struct ClauseRow {
    /// Its key.
    pub clause: String,
    /// Its value, as a policy writes it.
    pub value: String,
    /// Who wrote it.
    pub origin: Origin,
    /// What a project may write instead.
    pub tighter: &'static str,
}

/// One control.
#[derive(Serialize)]
pub struct ControlRow {
    /// What is asked for, how much and by whom.
    pub demand: Demand,
    /// One answer for each driver that could be asked.
    pub support: Vec<Support>,
}

/// One driver.
#[derive(Serialize)]
pub struct DriverRow {
    /// Its name.
    pub driver: &'static str,
    /// What a sandbox would share with the host.
    pub level: Level,
    /// Required controls that it cannot enforce here: none means that a run is possible.
    pub refused: usize,
    /// What is known of it from probes.
    pub probed: Last,
    /// Whether that keeps a run from being begun.
    pub contradicted: bool,
}

impl Explained {
    /// Whether a driver that would be asked meets the policy here.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let asked = |row: &&DriverRow| self.driver == auto::AUTO || self.driver == row.driver;
        self.drivers
            .iter()
            .filter(asked)
            .any(|row| row.refused == 0 && !row.contradicted)
    }
}

/// Explains what would hold for a run. Creates nothing.
///
/// # Errors
/// A layer that cannot be used, clauses that cannot hold together, an unknown driver.
pub async fn explain(launch: Launch) -> Result<Explained> {
    let gathered = gather(launch)?;
    let target = strongest(&gathered.driver)?.survey().await?;
    let Facts::Host(facts) = &target.facts;
    let policy = Policy::layered(
        Policy::defaults(&HostDefaults::from(facts.as_ref())),
        &gathered.layers,
    )?;
    let demands = policy.demands();
    let mut controls: Vec<ControlRow> = demands
        .iter()
        .map(|demand| ControlRow {
            demand: demand.clone(),
            support: Vec::new(),
        })
        .collect();
    let mut rows = Vec::new();
    for driver in drivers()? {
        rows.push(ask(driver.as_ref(), &demands, &mut controls).await?);
    }
    Ok(Explained {
        layers: gathered.files,
        driver: gathered.driver,
        clauses: clauses(&policy),
        floor: floor(&gathered.layers),
        controls,
        drivers: rows,
    })
}

/// The first driver that is asked.
fn strongest(named: &str) -> Result<Arc<dyn Driver>> {
    let first = auto::candidates(named)?.into_iter().next();
    first.ok_or_else(|| super::unknown_driver(named))
}

async fn ask(driver: &dyn Driver, demands: &Demands, controls: &mut [ControlRow]) -> Result<DriverRow> {
    let target = driver.survey().await?;
    let mut refused = 0;
    for row in controls {
        let support = driver.support(&target, &row.demand);
        refused += usize::from(row.demand.need == Need::Require && !support.is_enforced());
        row.support.push(support);
    }
    let probed = probed::last(driver)?;
    Ok(DriverRow {
        driver: driver.name(),
        level: driver.level(&target, demands),
        refused,
        contradicted: probed::matters(probed.probe.contradictions(), demands.iter()),
        probed,
    })
}

/// The clauses of a policy: those with one value, then the lists.
fn clauses(policy: &Policy) -> Vec<ClauseRow> {
    let scalars = SCALARS.iter().map(|scalar| {
        let seen = (scalar.in_policy)(policy);
        ClauseRow {
            clause: scalar.key.to_owned(),
            value: seen.shown,
            origin: seen.origin,
            tighter: scalar.tighter,
        }
    });
    let files = policy.files.iter().map(|rule| {
        let (key, tighter) = match rule.value.access {
            FileAccess::ReadOnly => ("files.ro", "none"),
            FileAccess::ReadWrite => ("files.rw", "none"),
            FileAccess::Hide => ("files.hide", "more"),
        };
        row(key, rule.value.path.clone(), &rule.origin, tighter)
    });
    let variables = policy.variables.iter().map(|variable| match &variable.value {
        Variable::Pass(name) => row("environment.pass", name.clone(), &variable.origin, "none"),
        // The value may be a secret.
        Variable::Set { name, .. } => row("environment.set", name.clone(), &variable.origin, "none"),
    });
    let needs = policy.needs.iter().map(|need| {
        let (kind, level) = need.value;
        row(
            "need",
            format!("{kind} = {}", need_name(level)),
            &need.origin,
            "require",
        )
    });
    scalars.chain(files).chain(variables).chain(needs).collect()
}

fn row(key: &str, value: String, origin: &Origin, tighter: &'static str) -> ClauseRow {
    ClauseRow {
        clause: key.to_owned(),
        value,
        origin: origin.clone(),
        tighter,
    }
}

fn need_name(need: Need) -> &'static str {
    match need {
        Need::Require => "require",
        Need::Prefer => "prefer",
    }
}

/// What the organisation's floors bound.
fn floor(layers: &Layers) -> Vec<ClauseRow> {
    let floors = layers
        .organisation
        .iter()
        .filter_map(|layer| layer.floor.as_ref());
    floors
        .flat_map(|floor| {
            let bounds = &floor.clauses;
            let scalars = SCALARS.iter().filter_map(|scalar| {
                let seen = (scalar.in_layer)(bounds)?;
                Some(row(scalar.key, seen.shown, &seen.origin, scalar.tighter))
            });
            let hidden = bounds
                .files
                .iter()
                .map(|rule| row("files.hide", rule.value.path.clone(), &rule.origin, "more"));
            let needs = bounds.needs.iter().map(|need| {
                let (kind, level) = need.value;
                row(
                    "need",
                    format!("{kind} = {}", need_name(level)),
                    &need.origin,
                    "require",
                )
            });
            scalars
                .chain(hidden)
                .chain(needs)
                .chain(lists(&floor.lists))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn lists(lists: &FloorLists) -> impl Iterator<Item = ClauseRow> {
    let named = [
        ("files.ro", &lists.read_only),
        ("files.rw", &lists.read_write),
        ("environment.pass", &lists.pass),
    ];
    named.into_iter().filter_map(|(key, list)| {
        let list = list.as_ref()?;
        let value = if list.value.is_empty() {
            "nothing".to_owned()
        } else {
            format!("only {}", list.value.join(", "))
        };
        Some(row(key, value, &list.origin, "fewer"))
    })
}

/// One layer that was checked.
#[derive(Serialize)]
pub struct Checked {
    /// Whose it is.
    pub layer: LayerKind,
    /// The file.
    pub file: String,
}

/// Reads every layer that would hold for a run here, and merges them.
pub fn check_here() -> Result<Vec<Checked>> {
    let gathered = gather(Launch::default())?;
    let policy = Policy::layered(defaults(), &gathered.layers)?;
    strongest(&policy.driver.value)?;
    let checked = |file: LayerFile| Checked {
        layer: file.layer,
        file: file.path.to_string_lossy().into_owned(),
    };
    Ok(gathered.files.into_iter().map(checked).collect())
}

/// Reads one file as a layer of some kind: what contradicts itself is told too. A project's
/// is put over the layers that hold here, which it may not loosen; others over the defaults.
pub fn check(path: &Path, kind: LayerKind) -> Result<()> {
    let mut found = match kind {
        LayerKind::Project => Found::read(&Places::of_process())?,
        _ => Found::default(),
    };
    found.read_named(path)?;
    let mut layers = found.layers;
    let layer = layers.named.take();
    match kind {
        LayerKind::Organisation => layers.organisation = layer.into_iter().collect(),
        LayerKind::User => layers.user = layer,
        LayerKind::Project => layers.project = layer,
        LayerKind::Named | LayerKind::Flags => layers.named = layer,
    }
    let policy = Policy::layered(defaults(), &layers)?;
    strongest(&policy.driver.value)?;
    Ok(())
}
