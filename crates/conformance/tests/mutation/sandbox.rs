//! A sandbox of the default policy, built with a driver that was damaged.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use stockade_conformance::program;
use stockade_domain::policy::{HostDefaults, Layer, Layers, Policy};
use stockade_domain::spec::Network;
use stockade_domain::target::Facts;
use stockade_host::compose::compose;
use stockade_host::driver::{Driver, GuestProgram, Seed, SeedOrigin};
use stockade_host::open;
use stockade_host::view::Context;
use stockade_linux::ops::{Op, Program};
use tokio_util::sync::CancellationToken;

/// A mutation is a plain function: which step it damages is told here.
pub static STEP: AtomicUsize = AtomicUsize::new(0);
/// And so only one test at a time damages anything.
pub static ONE: Mutex<()> = Mutex::new(());

/// How a damage was met.
#[derive(Debug, PartialEq, Eq)]
pub enum Met {
    /// The set-up failed; the error names a step or the receipt a control.
    Refused(String),
    /// The sandbox stood.
    Unnoticed,
}

/// What a test does to a set-up program.
pub type Mutation = fn(&mut Program);

/// The undamaged program, as it was compiled: kept by a mutation that changes nothing.
pub fn undamaged(build: &dyn Fn(Mutation) -> Met) -> Program {
    static KEPT: Mutex<Option<Program>> = Mutex::new(None);
    fn keep(program: &mut Program) {
        *KEPT.lock().unwrap() = Some(program.clone());
    }
    assert_eq!(
        build(keep),
        Met::Unnoticed,
        "the undamaged sandbox does not stand"
    );
    KEPT.lock().unwrap().take().unwrap()
}

/// Leaves out each step of a driver's program, one at a time. `only_takes_away` says without which less can
/// be done inside, never more; each of the others has to be missed.
pub fn leave_out_each(build: &dyn Fn(Mutation) -> Met, only_takes_away: &dyn Fn(&Op, &Program) -> bool) {
    fn leave_out(program: &mut Program) {
        program.ops.remove(STEP.load(Ordering::Relaxed));
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let program = undamaged(build);
    let (mut holes, mut told) = (Vec::new(), 0);
    for (index, op) in program.ops.iter().enumerate() {
        STEP.store(index, Ordering::Relaxed);
        match build(leave_out) {
            Met::Refused(why) => {
                assert!(why.len() > 10, "{op}: {why}");
                told += 1;
            }
            Met::Unnoticed if only_takes_away(op, &program) => {}
            Met::Unnoticed => holes.push(op.to_string()),
        }
    }
    assert!(told > 10, "only {told} steps were missed");
    none(&holes, "left out");
}

/// Passes if there are no holes.
pub fn none(holes: &[impl AsRef<str>], how: &str) {
    let holes: Vec<&str> = holes.iter().map(AsRef::as_ref).collect();
    assert!(
        holes.is_empty(),
        "{how}, and nobody noticed:\n  {}",
        holes.join("\n  ")
    );
}

/// Builds the default sandbox with a driver and some flags, and takes it down again.
pub fn build(driver: &Arc<dyn Driver>, flags: Layer, place: &Path) -> Met {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let target = driver.survey().await.unwrap();
        let Facts::Host(facts) = &target.facts;
        let defaults = Policy::defaults(&HostDefaults::from(facts.as_ref()));
        let policy = Policy::layered(defaults, &Layers::of_command_line(None, flags)).unwrap();
        assert_eq!(policy.network.value, Network::None);
        let composed = compose(&policy, facts, &context(place), &|workspace| {
            driver.identity(&target, workspace)
        })
        .unwrap();
        let plan = open::plan(driver.as_ref(), &target, composed.spec, &composed.demands).unwrap();
        match open::open(driver, plan, seed(place)).await {
            Err(error) => Met::Refused(error.to_string()),
            Ok(mut boundary) => {
                boundary.destroy().await.unwrap();
                Met::Unnoticed
            }
        }
    })
}

fn context(place: &Path) -> Context {
    let variables = [
        ("HOME", place.join("home").display().to_string()),
        ("PATH", "/usr/bin:/bin".to_owned()),
    ];
    Context {
        cwd: place.join("work"),
        variables: variables.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        state_dir: None,
        program: None,
        policy_files: Vec::new(),
    }
}

fn seed(place: &Path) -> Seed {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let id = format!("mutant{:06}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let state_dir = place.join(&id);
    let changes_dir = state_dir.join("changes");
    std::fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&changes_dir)
        .unwrap();
    Seed {
        id,
        state_dir,
        changes_dir: Some(changes_dir),
        caches_dir: None,
        trees_dir: None,
        guest: GuestProgram {
            path: program::stockade().unwrap_or_else(|stop| panic!("{stop:?}")),
            arguments: Vec::new(),
        },
        origin: SeedOrigin::Fresh,
        over_link: false,
        progress: Arc::new(|_| {}),
        warn: Arc::new(|_| {}),
        deadline: Instant::now() + Duration::from_secs(30),
        cancel: CancellationToken::new(),
    }
}

/// A descriptor that programs inherit, as some launchers leave them: without one, nobody can miss
/// that none was closed. Its number is above those that the guest puts its own at.
fn inherited() -> OwnedFd {
    let root = std::fs::File::open("/").unwrap();
    let kept = rustix::io::fcntl_dupfd_cloexec(root, 100).unwrap();
    rustix::io::fcntl_setfd(&kept, rustix::io::FdFlags::empty()).unwrap();
    kept
}

/// A folder to build sandboxes in.
pub fn place() -> tempfile::TempDir {
    static INHERITED: OnceLock<OwnedFd> = OnceLock::new();
    INHERITED.get_or_init(inherited);
    let place = tempfile::tempdir().unwrap();
    for name in ["home", "work"] {
        std::fs::create_dir(place.path().join(name)).unwrap();
    }
    place
}
