//! Layers of a policy, through the real program: who may say what, and what nobody may loosen.

use serde_json::Value;
use stockade_conformance::{Ability, Behaviour, Verdict, World, ensure, host, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "layers-project-tightens",
        "the project's policy is read by itself, and tightens",
        project_tightens,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "layers-project-cannot-loosen",
        "what the project's policy would loosen is refused; named by the user, the same file is trusted",
        project_cannot_loosen,
    )
    .uses(&[Ability::Holes]),
    Behaviour::test(
        "layers-user",
        "the user's policy holds in every project, and flags win over it",
        user,
    ),
    Behaviour::test(
        "layers-files-kept",
        "no command can write what the next run reads as policy, even in a writable project",
        files_kept,
    )
    .uses(&[Ability::Holes]),
    Behaviour::test(
        "layers-floor",
        "no file and no flag gets below the organisation's floor",
        floor,
    ),
    Behaviour::test(
        "layers-organisation-writable",
        "an organisation's policy that others can write is refused",
        organisation_writable,
    ),
    Behaviour::test(
        "layers-explain",
        "`policy explain` names the place of each clause and who enforces it",
        explain,
    ),
    Behaviour::test(
        "layers-preset",
        "a preset holds; one that does not exist is refused with the nearest",
        preset,
    )
    .uses(&[Ability::Modes]),
];

const TOUCH: [&str; 2] = ["touch", "ran"];

fn project(world: &World, text: &str) -> Verdict<String> {
    let path = world.file("work/stockade.toml", format!("version = 1\n{text}"))?;
    Ok(path.display().to_string())
}

fn project_tightens(world: &World) -> Verdict {
    world.run(&TOUCH)?.expect(0)?;
    project(world, "[workspace]\nmode = \"ro\"\n")?;
    let finished = world.run(&TOUCH)?;
    ensure!(finished.code == 1, "exit {}: {}", finished.code, finished.all());
    finished.complains(&["cannot touch"])?;
    // What the user types wins over the project.
    world
        .sandbox()
        .flags(&["--workspace-mode", "cow"])
        .run(&TOUCH)?
        .expect(0)?;
    // A mistake in it is no reason to run without it.
    project(world, "[workspace]\nmod = \"ro\"\n")?;
    world
        .run(&["true"])?
        .expect(125)?
        .complains(&["stockade.toml:3", "mode"])
        .map(drop)
}

fn project_cannot_loosen(world: &World) -> Verdict {
    world.file("outside/secret", "s")?;
    let secret = world.path("outside/secret").display().to_string();
    let shows = format!("[files]\nro = [\"{secret}\"]\n");
    let writes = format!("[files]\nrw = [\"{secret}\"]\n");
    for text in [
        "[workspace]\nmode = \"rw\"\n",
        "[network]\nmode = \"host\"\n",
        shows.as_str(),
        writes.as_str(),
        "[environment]\npass = [\"HOST_SECRET\"]\n",
        "[limits]\npids = \"none\"\n",
        "[need]\nsyscall-filter = \"prefer\"\n",
        "[sandbox]\nnested-namespaces = true\n",
    ] {
        let file = project(world, text)?;
        let refused = world.run(&TOUCH)?;
        ensure!(
            refused.code == 125,
            "{text}: exit {}: {}",
            refused.code,
            refused.all()
        );
        ensure!(!world.path("work/ran").exists(), "{text}: the command ran");
        refused.complains(&["stockade.toml:3", "only tighten", "fix:"])?;
        world
            .sandbox()
            .flags(&["--policy", &file])
            .run(&["true"])?
            .expect(0)?;
    }
    Ok(())
}

fn user(world: &World) -> Verdict {
    world.file(
        "config/stockade/policy.toml",
        "version = 1\n[limits]\noutput = \"1K\"\n",
    )?;
    let configured = || world.sandbox().variable("XDG_CONFIG_HOME", world.path("config"));
    let print = "head -c 5000 /dev/zero";
    world.shell(print)?.expect(0)?;
    configured().shell(print)?.expect(137)?;
    configured()
        .flags(&["--output", "none"])
        .shell(print)?
        .expect(0)?;
    // The project may go below it, not above.
    project(world, "[limits]\noutput = \"2K\"\n")?;
    configured()
        .run(&["true"])?
        .expect(125)?
        .complains(&["stockade.toml:3", "1 KiB", "policy.toml:3"])?;
    project(world, "[limits]\noutput = \"100\"\n")?;
    configured().shell("head -c 500 /dev/zero")?.expect(137).map(drop)
}

fn files_kept(world: &World) -> Verdict {
    let attack = "for file in stockade.toml deep/er/named.toml; do
        (echo 'version = 1' > $file) 2>/dev/null && echo \"wrote $file\"
        rm -f $file 2>/dev/null && echo \"removed $file\"
        mv $file moved 2>/dev/null && echo \"moved $file\"
    done
    mv deep away 2>/dev/null && echo 'moved deep'
    mv deep/er away 2>/dev/null && echo 'moved deep/er'
    echo x > control && echo wrote control";
    project(world, "[limits]\noutput = \"1M\"\n")?;
    let named = world.file(
        "work/deep/er/named.toml",
        "version = 1\n[workspace]\nmode = \"rw\"\n",
    )?;
    let named = named.display().to_string();
    let kept = world
        .sandbox()
        .flags(&["--policy", &named])
        .shell(attack)?
        .expect(0)?;
    ensure!(kept.text() == "wrote control\n", "{}", kept.text());
    ensure!(
        world.path("work/control").exists(),
        "the workspace is writable in place"
    );
    for (file, text) in [
        ("stockade.toml", "output = \"1M\""),
        ("deep/er/named.toml", "mode = \"rw\""),
    ] {
        let found = std::fs::read_to_string(world.path("work").join(file))?;
        ensure!(found.contains(text), "{file}: {found}");
    }
    // The positive control: files that are no policies of this run can be written.
    world.file("work/deep/er/other.toml", "x")?;
    let other = "echo y > deep/er/other.toml";
    world
        .sandbox()
        .flags(&["--workspace-mode", "rw"])
        .shell(other)?
        .expect(0)
        .map(drop)
}

/// Puts an organisation's files over /etc/stockade for one process alone, and starts it there.
const WITH_ORGANISATION: &str = r#"
set -e
from=$1 over=$2; shift 2
mount -t tmpfs none "$over"
mkdir "$over/upper" "$over/work"
mount -t overlay none -o "lowerdir=/etc,upperdir=$over/upper,workdir=$over/work" /etc
mkdir -p /etc/stockade
cp "$from"/* /etc/stockade/
chmod "$(cat "$from/mode")" /etc/stockade/*.toml
exec "$@"
"#;

/// The launcher that does so, or a skip where it cannot.
fn organisation(world: &World, text: &str, mode: &str) -> Verdict<Vec<String>> {
    if !host::is_root() {
        return skip("only root can put files where an organisation's are");
    }
    world.file("outside/org/org.toml", format!("version = 1\n{text}"))?;
    world.file("outside/org/mode", mode)?;
    std::fs::create_dir_all(world.path("outside/over"))?;
    let (from, over) = (world.path("outside/org"), world.path("outside/over"));
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        WITH_ORGANISATION,
        "sh",
    ];
    let paths = [from.display().to_string(), over.display().to_string()];
    Ok(words.into_iter().map(str::to_owned).chain(paths).collect())
}

fn floor(world: &World) -> Verdict {
    let text = "[limits]\npids = 50\n[floor.limits]\noutput = \"1K\"\n[floor.workspace]\nmode = \"cow\"\n\
        [floor.network]\nmode = \"none\"\n[floor.files]\nrw = []\nhide = [\"/etc/nsswitch.conf\"]\n[floor.environment]\npass = []\n";
    let launcher = organisation(world, text, "644")?;
    let held = || world.sandbox().launcher(&launcher);
    held().shell("echo fine")?.expect(0)?.expect_text("fine")?;
    held().shell("head -c 5000 /dev/zero")?.expect(137)?;
    let hidden = "test ! -s /etc/nsswitch.conf";
    held().shell(hidden)?.expect(0)?;
    world.shell(hidden)?.expect(1)?;
    // A default of the organisation can be changed, its floor cannot.
    held().flags(&["--pids", "60"]).run(&["true"])?.expect(0)?;
    let rw = world.file("outside/data", "x")?.display().to_string();
    let host_network = world.file("outside/host.toml", "version = 1\n[network]\nmode = \"host\"\n")?;
    let host_network = host_network.display().to_string();
    let in_place = [["--workspace-mode", "rw"], ["--rw", rw.as_str()]];
    let everywhere = [
        ["--output", "none"],
        ["--output", "2K"],
        ["--env", "HOST_SECRET"],
        ["--policy", host_network.as_str()],
    ];
    let in_place = in_place.iter().filter(|_| world.offers(Ability::InPlace));
    for flags in everywhere.iter().chain(in_place) {
        let refused = held().flags(flags).run(&TOUCH)?;
        ensure!(
            refused.code == 125,
            "{flags:?}: exit {}: {}",
            refused.code,
            refused.all()
        );
        refused.complains(&["organisation", "/etc/stockade/org.toml:"])?;
        // The positive control: where there is no floor, each of these is fine.
        world.sandbox().flags(flags).run(&["true"])?.expect(0)?;
    }
    Ok(())
}

fn organisation_writable(world: &World) -> Verdict {
    let text = "[floor.limits]\noutput = \"1K\"\n";
    let launcher = organisation(world, text, "666")?;
    let refused = world.sandbox().launcher(&launcher).run(&TOUCH)?.expect(125)?;
    refused.complains(&[
        "/etc/stockade/org.toml",
        "others than root can write it",
        "chown root:root",
    ])?;
    let launcher = organisation(world, text, "644")?;
    world
        .sandbox()
        .launcher(&launcher)
        .run(&["true"])?
        .expect(0)
        .map(drop)
}

fn explain(world: &World) -> Verdict {
    project(world, "preset = \"standard\"\n[limits]\noutput = \"1M\"\n")?;
    let explained = |arguments: &[&str]| {
        let all = [&["policy", "explain"], arguments].concat();
        world.stockade(&all)
    };
    let text = explained(&["--timeout", "5m"])?.expect(0)?.text();
    for part in [
        "stockade.toml:4:10",
        "preset standard:7:8",
        "--timeout",
        "default policy",
        "meets the policy",
    ] {
        ensure!(text.contains(part), "no {part:?} in {text}");
    }
    let json = explained(&["--json", "--driver", "native"])?.expect(0)?.text();
    let json: Value = serde_json::from_str(&json)?;
    let row = |kind: &str| {
        let rows = json["controls"].as_array();
        rows.and_then(|rows| rows.iter().find(|row| row["demand"]["control"]["value"] == kind))
    };
    let network = row("network-none").is_some_and(|row| row["support"][0]["enforced"]["by"] == "host-kernel");
    ensure!(network, "who enforces network-none: {json}");
    // What a driver cannot do is told for it, with the exit code of a refusal.
    let needs = world.file(
        "outside/machine.toml",
        "version = 1\n[need]\nown-machine = \"require\"\n",
    )?;
    let refused = explained(&["--policy", &needs.display().to_string()])?
        .expect(125)?
        .text();
    ensure!(
        refused.contains("refused: 1 required control is missing"),
        "{refused}"
    );
    Ok(())
}

fn preset(world: &World) -> Verdict {
    let names = world.stockade(&["preset", "ls"])?.expect(0)?.text();
    for name in ["locked", "standard", "toolchain"] {
        ensure!(names.contains(name), "{names}");
        // Each is a policy file that can be kept and named.
        let text = world.stockade(&["preset", "show", name])?.expect(0)?.text();
        let file = world
            .file(&format!("outside/{name}.toml"), text)?
            .display()
            .to_string();
        world.stockade(&["policy", "check", &file])?.expect(0)?;
    }
    world
        .sandbox()
        .flags(&["--preset", "standard"])
        .run(&TOUCH)?
        .expect(0)?;
    world
        .sandbox()
        .flags(&["--preset", "toolchain"])
        .run(&TOUCH)?
        .expect(0)?;
    let locked = world.sandbox().flags(&["--preset", "locked"]).run(&TOUCH)?;
    if locked.code != 125 {
        ensure!(locked.code == 1, "exit {}: {}", locked.code, locked.all());
        locked.complains(&["cannot touch"])?;
    } else {
        // Its limits are required, which an ordinary user cannot always have.
        locked.complains(&["memory", "preset locked:"])?;
    }
    world
        .sandbox()
        .flags(&["--preset", "lokked"])
        .run(&TOUCH)?
        .expect(125)?
        .complains(&["no preset lokked", "locked"])
        .map(drop)
}
