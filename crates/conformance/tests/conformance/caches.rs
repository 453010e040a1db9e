//! Caches of package managers: seen inside, never written outside, kept for the project.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use stockade_conformance::world::HOST_PATH;
use stockade_conformance::{Ability, Behaviour, ControlKind, Sandbox, Verdict, World, ensure, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "caches-copy-on-write",
        "what is added to a cache stays with the project, and the host's is as before",
        copy_on_write,
    )
    .uses(&[Ability::Caches]),
    Behaviour::test(
        "caches-of-one-project",
        "another project does not see what was added",
        of_one_project,
    )
    .uses(&[Ability::Caches]),
    Behaviour::test(
        "caches-side-by-side",
        "two sandboxes of a project can both write to its caches",
        side_by_side,
    )
    .uses(&[Ability::Caches]),
    Behaviour::test(
        "caches-no-credentials",
        "what lies beside the caches stays hidden, and all of it if the policy says so",
        no_credentials,
    )
    .uses(&[Ability::Caches]),
    Behaviour::test(
        "caches-disk",
        "what is added to caches counts against the disk limit",
        disk,
    )
    .uses(&[Ability::Caches])
    .needs(&[ControlKind::Disk]),
    Behaviour::test(
        "caches-cargo",
        "cargo of this machine builds a crate that was fetched before, offline, and writes nothing outside",
        cargo,
    )
    .uses(&[Ability::OwnLinks]),
];

/// A home with the caches of cargo and npm as those lay them out, and their programs.
fn home(world: &World) -> Verdict {
    for (name, text) in [
        ("home/.cargo/bin/cargo", "#!/bin/sh\necho cargo\n"),
        ("home/.cargo/bin/npm", "#!/bin/sh\necho npm\n"),
        ("home/.cargo/registry/cache/index/one-1.0.0.crate", "one"),
        ("home/.cargo/registry/index/.cargo-index-lock", ""),
        ("home/.cargo/credentials.toml", "token = \"secret\""),
        ("home/.npm/_cacache/index-v5/00", "zero"),
        ("home/.npm/_logs/log", "secret"),
        ("home/.npmrc", "secret"),
    ] {
        let path = world.file(name, text)?;
        if name.contains("/bin/") {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    Ok(())
}

fn sandbox<'w>(world: &'w World<'w>) -> Sandbox<'w> {
    let own = world.path("home/.cargo/bin").display().to_string();
    world.sandbox().variable("PATH", format!("{own}:{HOST_PATH}"))
}

/// Every file below a directory with its content and time of change.
fn contents(directory: &Path) -> Verdict<BTreeMap<String, (Vec<u8>, std::time::SystemTime)>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let modified = path.metadata()?.modified()?;
        let mut content = Vec::new();
        if path.is_dir() {
            for entry in std::fs::read_dir(&path)? {
                pending.push(entry?.path());
            }
        } else {
            content = std::fs::read(&path)?;
        }
        found.insert(path.display().to_string(), (content, modified));
    }
    Ok(found)
}

fn copy_on_write(world: &World) -> Verdict {
    home(world)?;
    let before = contents(&world.path("home"))?;
    let work = "cd ~/.cargo/registry && cat cache/index/one-1.0.0.crate && echo two > cache/index/two \
        && rm cache/index/one-1.0.0.crate && touch ~/.cargo/.package-cache \
        && cat ~/.npm/_cacache/index-v5/00 && echo one > ~/.npm/_cacache/index-v5/01";
    sandbox(world).shell(work)?.expect(0)?.expect_text("onezero")?;
    ensure!(
        contents(&world.path("home"))? == before,
        "the host's home was written"
    );
    let again =
        "cat ~/.cargo/registry/cache/index/two ~/.npm/_cacache/index-v5/01; ls ~/.cargo/registry/cache/index";
    sandbox(world)
        .shell(again)?
        .expect(0)?
        .expect_text("two\none\ntwo")?;
    // Without a change set too: the caches are not the workspace's.
    let read_only = sandbox(world).flags(&["--workspace-mode", "ro"]);
    read_only.shell(again)?.expect(0)?.expect_text("two\none\ntwo")?;
    ensure!(
        contents(&world.path("home"))? == before,
        "the host's home was written"
    );
    Ok(())
}

fn of_one_project(world: &World) -> Verdict {
    home(world)?;
    std::fs::create_dir(world.path("other"))?;
    let add = "echo mine > ~/.cargo/registry/mine";
    let see = "cat ~/.cargo/registry/mine || cat ~/.cargo/registry/cache/index/one-1.0.0.crate";
    sandbox(world).shell(add)?.expect(0)?;
    sandbox(world).shell(see)?.expect(0)?.expect_text("mine")?;
    let other = sandbox(world).directory(world.path("other"));
    other.shell(see)?.expect(0)?.expect_text("one").map(drop)
}

fn side_by_side(world: &World) -> Verdict {
    home(world)?;
    let flags = ["--workspace-mode", "rw"];
    let first = "echo first > ~/.cargo/registry/first; touch stands; until [ -e go ]; do sleep 0.05; done; ls ~/.cargo/registry";
    let running = sandbox(world).flags(&flags).start(&["sh", "-c", first])?;
    let waited = std::time::Instant::now();
    while !world.path("work/stands").exists() {
        ensure!(
            waited.elapsed().as_secs() < 30,
            "the first sandbox does not stand"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = "echo second > ~/.cargo/registry/second; ls ~/.cargo/registry";
    let second = sandbox(world).flags(&flags).shell(second);
    world.file("work/go", "")?;
    second?.expect(0)?.expect_text("cache\nindex\nsecond")?;
    running.wait()?.expect(0)?.expect_text("cache\nfirst\nindex")?;
    // What the first added is kept.
    let kept = sandbox(world).flags(&flags).shell("ls ~/.cargo/registry")?;
    kept.expect(0)?.expect_text("cache\nfirst\nindex").map(drop)
}

fn no_credentials(world: &World) -> Verdict {
    home(world)?;
    let look = "ls -A ~/.cargo ~/.npm; cat ~/.cargo/credentials.toml ~/.npmrc ~/.npm/_logs/log";
    let seen = sandbox(world).shell(look)?.expect(1)?;
    for part in ["registry", "_cacache"] {
        ensure!(seen.text().contains(part), "{}", seen.text());
    }
    for secret in ["secret", "credentials", "_logs"] {
        ensure!(!seen.text().contains(secret), "{secret}: {}", seen.text());
    }
    let hidden = sandbox(world)
        .policy("[files]\ncaches = \"none\"\n")?
        .shell(look)?;
    ensure!(
        !hidden.text().contains("registry") && !hidden.text().contains("_cacache"),
        "{}",
        hidden.text()
    );
    Ok(())
}

fn disk(world: &World) -> Verdict {
    home(world)?;
    let policy = "[limits]\ndisk = \"16M\"\n[need]\ndisk = \"prefer\"\n";
    let add = |megabytes: u32, then: &str| {
        let fill = "dd if=/dev/zero of=$HOME/.cargo/registry/large bs=1M";
        let script = format!("{fill} count={megabytes} 2>/dev/null; {then}");
        sandbox(world).policy(policy)?.shell(&script)
    };
    add(1, "true")?.expect(0)?;
    // Looked at once a second.
    let full = add(64, "sleep 40")?;
    ensure!(full.code != 0, "nobody noticed: {}", full.all());
    full.complains(&["disk"]).map(drop)
}

/// A crate that the project itself is built with, so that whoever built it has fetched it.
const FETCHED: &str = "strsim";

fn cargo(world: &World) -> Verdict {
    let Some(home) = std::env::var_os("HOME").map(std::path::PathBuf::from) else {
        return skip("there is no home directory");
    };
    let path = format!("{}:{HOST_PATH}", home.join(".cargo/bin").display());
    if !home.join(".cargo/bin/cargo").exists() || !has_crate(&home.join(".cargo/registry/cache")) {
        return skip("the home directory has no cargo, or nothing that it fetched");
    }
    let manifest = format!(
        "[package]\nname = \"p\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{FETCHED} = \"*\"\n"
    );
    world.file("work/Cargo.toml", manifest)?;
    world.file(
        "work/src/main.rs",
        format!("fn main() {{ println!(\"{{}}\", {FETCHED}::levenshtein(\"a\", \"bc\")); }}"),
    )?;
    let began = std::time::SystemTime::now();
    // Unpacking is what needs a cache that can be written.
    let build = "rm -rf ~/.cargo/registry/src && cargo build --offline --quiet && target/debug/p";
    let real = || {
        let sandbox = world.sandbox().variable("HOME", home.clone());
        sandbox
            .variable("PATH", path.clone())
            .limit(std::time::Duration::from_secs(300))
    };
    real().shell(build)?.expect(0)?.expect_text("2")?;
    ensure!(!world.path("work/target").exists(), "the workspace was written");
    for part in ["registry/src", "registry/cache", "registry/index"] {
        let part = home.join(".cargo").join(part);
        let changed = part.metadata().and_then(|metadata| metadata.modified());
        ensure!(
            !changed.is_ok_and(|changed| changed > began),
            "{} was written",
            part.display()
        );
    }
    // The positive control: without the cache there is nothing to build from.
    let without = real().policy("[files]\ncaches = \"none\"\n")?.flags(&["--fresh"]);
    let failed = without.shell("cargo build --offline")?;
    ensure!(failed.code == 101, "exit {}: {}", failed.code, failed.all());
    failed.complains(&[FETCHED]).map(drop)
}

fn has_crate(cache: &Path) -> bool {
    let registries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    registries
        .flat_map(|registry| std::fs::read_dir(registry.path()).into_iter().flatten().flatten())
        .any(|file| file.file_name().to_string_lossy().starts_with(FETCHED))
}
