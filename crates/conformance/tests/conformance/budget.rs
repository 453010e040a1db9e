//! What all sandboxes may use together: three runaways do not starve the host.
//!
//! Budgets are kept in a control group around all sandboxes that start in one place of the
//! tree, so each test has a place of its own: a small budget must not meet other sandboxes.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use stockade_conformance::run::{Running, Sandbox};
use stockade_conformance::{Behaviour, ControlKind, Verdict, World, ensure, fail, host, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "budget-memory",
        "three memory bombs together stay below the budget, and a process of the host goes on",
        memory,
    )
    .needs(&[ControlKind::Memory])
    .small(),
    Behaviour::test(
        "budget-cpu",
        "three that spin together are held back, and a process of the host goes on",
        processors,
    )
    .needs(&[ControlKind::Cpu])
    .small(),
    Behaviour::test(
        "budget-spent",
        "no sandbox is begun when the budget is used up, with the figure",
        spent,
    )
    .needs(&[ControlKind::Memory])
    .small(),
    Behaviour::test(
        "budget-project",
        "a project cannot set what all sandboxes of the host share",
        project,
    )
    .small(),
];

const CONTROLLERS: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];
const MIB: u64 = 1 << 20;

/// A group of our own in every hierarchy, below the one of this process.
struct Place {
    name: String,
    bases: Vec<PathBuf>,
}

impl Place {
    fn make(world: &World) -> Verdict<Self> {
        if !host::is_root() {
            return skip("only root can make a place of its own in the tree of control groups");
        }
        let groups = fs::read_to_string("/proc/self/cgroup")?;
        // As unique as the directory of this test.
        let root = world.path("work");
        let name = root
            .parent()
            .and_then(|root| root.file_name())
            .unwrap_or_default();
        let name = format!("conformance-{}", name.to_string_lossy().replace('.', "-"));
        let mut place = Self {
            name,
            bases: Vec::new(),
        };
        for controller in CONTROLLERS {
            let own = groups.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                let names = parts.next()?;
                names
                    .split(',')
                    .any(|one| one == controller)
                    .then(|| parts.next())?
            });
            let Some(own) = own else {
                return skip("budgets are tried in hierarchies of cgroup v1, which this host does not have");
            };
            let base = PathBuf::from(format!("/sys/fs/cgroup/{controller}{own}"));
            if !base.join("tasks").exists() {
                return skip(format!("{controller} is not mounted below /sys/fs/cgroup"));
            }
            match fs::create_dir(base.join(&place.name)) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error.into()),
                _ => place.bases.push(base),
            }
        }
        Ok(place)
    }

    /// A run of our program that starts there.
    fn sandbox<'w>(&self, world: &'w World<'w>) -> Sandbox<'w> {
        let join: String = self
            .bases
            .iter()
            .map(|base| format!("echo $$ > {}/{}/cgroup.procs; ", base.display(), self.name))
            .collect();
        let script = format!("set -e; {join} exec \"$0\" \"$@\"");
        world
            .sandbox()
            .launcher(&["sh", "-c", &script])
            .variable("XDG_CONFIG_HOME", world.path("config"))
    }

    /// A file of the group around all sandboxes.
    fn read(&self, controller: &str, file: &str) -> Verdict<String> {
        let position = CONTROLLERS.iter().position(|one| *one == controller);
        match position.and_then(|position| self.bases.get(position)) {
            Some(base) => Ok(fs::read_to_string(
                base.join(&self.name).join("stockade").join(file),
            )?),
            None => fail(format!("no hierarchy of {controller}")),
        }
    }

    fn number(&self, controller: &str, file: &str) -> Verdict<u64> {
        match self.read(controller, file)?.trim().parse() {
            Ok(number) => Ok(number),
            Err(error) => fail(format!("{file}: {error}")),
        }
    }

    /// How often all sandboxes were held back.
    fn throttled(&self) -> Verdict<u64> {
        let text = self.read("cpu", "cpu.stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix("nr_throttled "));
        match line.and_then(|number| number.trim().parse().ok()) {
            Some(count) => Ok(count),
            None => fail(format!("no nr_throttled in {text}")),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for base in &self.bases {
            // What is still in there belongs to a test that has failed, and is told by that.
            let _ = fs::remove_dir(base.join(&self.name));
        }
    }
}

fn configure(world: &World, text: &str) -> Verdict {
    world
        .file(
            "config/stockade/policy.toml",
            format!("version = 1\n[budget]\n{text}\n"),
        )
        .map(drop)
}

/// Takes memory and keeps it; the shell outlives what is killed.
fn holder<'w>(world: &'w World<'w>, place: &Place, bytes: u64) -> Verdict<Running> {
    let payload = world.payload_inside();
    let script = r#"echo up; "$0" load hold "$1"; echo "ended $?"; exec sleep 600"#;
    place
        .sandbox(world)
        .start(&["sh", "-c", script, &payload, &bytes.to_string()])
}

/// Waits until it has all of its memory (true) or was killed over it.
fn settled(holder: &mut Running) -> Verdict<bool> {
    holder.until("the load to hold its memory or to end", |running| {
        if running.complaint().contains("GOT ") {
            return Some(true);
        }
        String::from_utf8_lossy(&running.output())
            .contains("ended 137")
            .then_some(false)
    })
}

fn end(running: Running) -> Verdict {
    running.signal(rustix::process::Signal::TERM)?;
    running.wait().map(drop)
}

fn host_goes_on(world: &World) -> Verdict {
    let finished = world.outside(&[], &[], &["load".into(), "spin".into(), "100".into()])?;
    finished.expect(0)?.complains(&["GOT "]).map(drop)
}

const BUDGET: u64 = 192 * MIB;
const EACH: u64 = 128 * MIB;

fn memory(world: &World) -> Verdict {
    let place = Place::make(world)?;
    for (text, is_bounded) in [("memory = \"192M\"", true), ("memory = \"none\"", false)] {
        configure(world, text)?;
        let mut keeper = place
            .sandbox(world)
            .start(&["sh", "-c", "echo up; exec sleep 600"])?;
        keeper.until_output("up")?;
        let mut bombs = (0..3)
            .map(|_| holder(world, &place, EACH))
            .collect::<Verdict<Vec<_>>>()?;
        let held = bombs.iter_mut().map(settled).collect::<Verdict<Vec<bool>>>()?;
        host_goes_on(world)?;
        let peak = place.number("memory", "memory.max_usage_in_bytes")?;
        let limit = place.number("memory", "memory.limit_in_bytes")?;
        for running in bombs {
            end(running)?;
        }
        end(keeper)?;
        if is_bounded {
            ensure!(limit == BUDGET, "the limit around all is {limit}");
            ensure!(peak <= BUDGET, "{peak} bytes at the peak, above {BUDGET}");
            ensure!(held.contains(&false), "all three got their memory below {BUDGET}");
        } else {
            ensure!(
                limit > 3 * EACH,
                "without a budget the limit around all is {limit}"
            );
            ensure!(peak > 3 * EACH, "the control used only {peak} bytes");
            ensure!(!held.contains(&false), "the control was killed: {held:?}");
        }
    }
    Ok(())
}

fn processors(world: &World) -> Verdict {
    /// More than the bandwidth controller hands out in advance to a few processors.
    const SLACK: f64 = 1.5;
    const QUOTA: f64 = 0.25;
    let place = Place::make(world)?;
    for (text, is_bounded) in [("cpus = 0.25", true), ("cpus = \"none\"", false)] {
        configure(world, text)?;
        let spin = || {
            place
                .sandbox(world)
                .start(&["sh", "-c", "echo up; while :; do :; done"])
        };
        let mut all = (0..3).map(|_| spin()).collect::<Verdict<Vec<_>>>()?;
        for running in &mut all {
            running.until_output("up")?;
        }
        let (began, before) = (Instant::now(), place.number("cpuacct", "cpuacct.usage")?);
        host_goes_on(world)?;
        std::thread::sleep(Duration::from_secs(2));
        let used = place.number("cpuacct", "cpuacct.usage")?.saturating_sub(before);
        let passed = began.elapsed();
        if is_bounded && let Some(first) = all.first_mut() {
            first.until("the kernel to hold them back", |_| {
                place.throttled().ok().filter(|count| *count > 0)
            })?;
        }
        let throttled = place.throttled()?;
        for running in all {
            end(running)?;
        }
        let share = Duration::from_nanos(used).as_secs_f64() / passed.as_secs_f64();
        if is_bounded {
            ensure!(share <= QUOTA * SLACK, "{share:.2} processors of {QUOTA}");
        } else {
            ensure!(
                throttled == 0,
                "without a budget they were held back {throttled} times"
            );
        }
    }
    Ok(())
}

fn spent(world: &World) -> Verdict {
    let place = Place::make(world)?;
    configure(world, "memory = \"192M\"")?;
    let mut greedy = holder(world, &place, 176 * MIB)?;
    ensure!(settled(&mut greedy)?, "it could not take what the budget leaves");
    let refused = place.sandbox(world).run(&["touch", "ran"])?;
    end(greedy)?;
    refused
        .expect(125)?
        .complains(&["no sandbox is begun", "of the 192 MiB", "fix:", "[budget]"])?;
    ensure!(!world.path("work/ran").exists(), "the command ran");
    // The control: the same begins as soon as there is room.
    place.sandbox(world).run(&["true"])?.expect(0).map(drop)
}

fn project(world: &World) -> Verdict {
    for line in ["memory = \"1%\"", "cpus = 0.5", "memory = \"none\""] {
        world.file("work/stockade.toml", format!("version = 1\n[budget]\n{line}\n"))?;
        let refused = world.run(&["true"])?;
        refused
            .expect(125)?
            .complains(&["stockade.toml:3", "budget that all sandboxes", "fix:"])?;
    }
    world.file("work/stockade.toml", "version = 1\n")?;
    world.run(&["true"])?.expect(0).map(drop)
}
