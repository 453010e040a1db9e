//! The library at work: one sandbox, many commands over one open connection.
//!
//! Prints how long each took, in microseconds; `cargo xtask bench` reads that.
//!
//! ```text
//! cargo run --release -p stockade-host --example open_connection -- 30
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_domain::policy::{HostDefaults, Layers, Overrides, Policy};
use stockade_domain::target::Facts;
use stockade_host::compose::compose;
use stockade_host::driver::{Driver, GuestProgram, Seed, SeedOrigin};
use stockade_host::drivers::native::Native;
use stockade_host::session::{Command, ExecEvent, Session};
use stockade_host::view::Context;
use stockade_host::{CancellationToken, open};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    // This program becomes the guest of its own sandbox.
    if std::env::args()
        .next()
        .is_some_and(|name| name == "stockade-guest")
    {
        stockade_guest::main();
    }
    let count = std::env::args().nth(1).map_or(Ok(30), |count| count.parse())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(measure(count))
}

async fn measure(count: usize) -> Result<(), Failure> {
    let changes = tempfile::tempdir_in("/var/tmp")?;
    let driver: Arc<dyn Driver> = Arc::new(Native::new());
    let target = driver.survey().await?;
    let Facts::Host(facts) = &target.facts;
    let policy = Policy::layered(
        Policy::defaults(&HostDefaults::from(facts.as_ref())),
        &Layers::of_command_line(None, Overrides::default()),
    )?;
    let context = Context::of_process(None)?;
    let composed = compose(&policy, facts, &context, &|workspace| {
        driver.identity(&target, workspace)
    })?;
    let plan = open::plan(driver.as_ref(), &target, composed.spec, &composed.demands)?;
    let environment = plan.spec().environment.clone();

    let mut boundary = open::open(&driver, plan, seed(changes.path())?).await?;
    let session = Session::connect(boundary.link().await?, 0);
    for _ in 0..count {
        let started = Instant::now();
        let mut exec = session.exec(&Command {
            argv: vec!["/bin/true".into()],
            env: environment.clone(),
            cwd: "/".into(),
            tty: None,
            stdin: false,
        })?;
        while !matches!(exec.next().await?, ExecEvent::Exited { .. }) {}
        println!("{}", started.elapsed().as_micros());
    }
    boundary.destroy().await?;
    Ok(())
}

fn seed(directory: &Path) -> Result<Seed, Failure> {
    Ok(Seed {
        id: format!("example-{}", std::process::id()),
        state_dir: directory.to_owned(),
        changes_dir: Some(directory.to_owned()),
        caches_dir: None,
        trees_dir: None,
        guest: GuestProgram {
            path: std::env::current_exe()?,
            arguments: Vec::new(),
        },
        origin: SeedOrigin::Fresh,
        over_link: false,
        progress: Arc::new(|_| {}),
        warn: Arc::new(|_| {}),
        deadline: Instant::now() + Duration::from_secs(10),
        cancel: CancellationToken::new(),
    })
}
