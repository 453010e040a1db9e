//! A build with cargo, whose results are kept from one sandbox to the next.

use std::time::Duration;

use stockade_conformance::{Finished, Verdict, World, ensure, skip, world::HOST_PATH};

use super::super::work;

/// Crates of the workspace, each of which uses the one before.
const CRATES: usize = 4;

pub fn cargo(world: &World) -> Verdict {
    let Some(toolchain) = work::toolchain() else {
        return skip("cargo and rustc are not on this user's PATH");
    };
    work::needs("gcc")?;
    prepare(world)?;
    let build = |script: &str| inside(world, &toolchain, script);
    let first = build("cargo build --offline 2>&1 && ./target/debug/part3")?;
    ensure!(
        first.text().contains(&format!("Compiling part{}", CRATES - 1)),
        "{}",
        first.text()
    );
    ensure!(first.text().ends_with("0123\n"), "{}", first.text());
    // The next sandbox finds what was built, with times that make cargo trust it.
    let second = build("cargo build --offline 2>&1; ls -A target/debug/deps | wc -l")?;
    ensure!(
        !second.text().contains("Compiling"),
        "it was built again: {}",
        second.text()
    );
    // One file is changed: what depends on it is built anew, and nothing else.
    let third =
        build("sed -i s/2/two/ part2/src/text && cargo build --offline 2>&1 && ./target/debug/part3")?;
    ensure!(
        third.text().ends_with("01two3\n") && !third.text().contains("Compiling part1"),
        "{}",
        third.text()
    );
    let shown = world
        .stockade(&["diff", "--no-pager", "--stat"])?
        .expect(0)?
        .text();
    ensure!(
        shown.contains("# target: ") && !shown.contains("target/debug") && shown.contains("part2/src/text"),
        "{shown}"
    );
    world
        .stockade(&["apply", "--safe"])?
        .expect(0)?
        .complains(&["files in what git ignores left out"])?;
    ensure!(!world.path("work/target").exists(), "the results are on the host");
    ensure!(
        std::fs::read_to_string(world.path("work/part2/src/text"))? == "two",
        "the change is not"
    );
    // What was built waits for the next build, and is no risk to anybody until it is asked for.
    let fourth = build("ls target/debug/part3 && ./target/debug/part3")?;
    ensure!(fourth.text().ends_with("01two3\n"), "{}", fourth.text());
    Ok(())
}

fn prepare(world: &World) -> Verdict {
    world.file("work/.gitignore", "target\n")?;
    let members: Vec<String> = (0..CRATES).map(|number| format!("\"part{number}\"")).collect();
    let workspace = format!(
        "[workspace]\nresolver = \"2\"\nmembers = [{}]\n",
        members.join(", ")
    );
    world.file("work/Cargo.toml", workspace)?;
    for number in 0..CRATES {
        let (depends, before) = match number {
            0 => (String::new(), "String::new()".to_owned()),
            _ => {
                let name = format!("part{}", number - 1);
                (
                    format!("{name} = {{ path = \"../{name}\" }}\n"),
                    format!("{name}::text()"),
                )
            }
        };
        let manifest = format!(
            "[package]\nname = \"part{number}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{depends}"
        );
        world.file(&format!("work/part{number}/Cargo.toml"), manifest)?;
        world.file(&format!("work/part{number}/src/text"), number.to_string())?;
        let library = format!("pub fn text() -> String {{ {before} + include_str!(\"text\") }}\n");
        world.file(&format!("work/part{number}/src/lib.rs"), library)?;
    }
    let main = format!(
        "fn main() {{ println!(\"{{}}\", part{}::text()); }}\n",
        CRATES - 1
    );
    world.file(&format!("work/part{}/src/main.rs", CRATES - 1), main)?;
    // The lock file is the repository's, as with most programs.
    let packages: String = (0..CRATES)
        .map(|number| {
            let depends = match number {
                0 => String::new(),
                _ => format!("dependencies = [\n \"part{}\",\n]\n", number - 1),
            };
            format!("\n[[package]]\nname = \"part{number}\"\nversion = \"0.1.0\"\n{depends}")
        })
        .collect();
    world.file("work/Cargo.lock", format!("version = 3\n{packages}"))?;
    Ok(())
}

fn inside(world: &World, toolchain: &str, script: &str) -> Verdict<Finished> {
    let sandbox = world
        .sandbox()
        .flags(&["--ro", toolchain])
        .variable("PATH", format!("{toolchain}/bin:{HOST_PATH}"));
    sandbox.limit(Duration::from_secs(180)).shell(script)?.expect(0)
}
