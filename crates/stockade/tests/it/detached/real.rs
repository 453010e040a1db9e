//! Real programs.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Yard;
use super::pause::skip;

/// True if a program is installed where sandboxes find it.
fn has(yard: &Yard, program: &str) -> bool {
    let prepared = yard.stockade(&[]);
    let path = prepared
        .get_envs()
        .find(|(name, _)| *name == "PATH")
        .and_then(|(_, value)| value);
    let found = Command::new(program)
        .env("PATH", path.expect("the tests' PATH"))
        .arg("--version")
        .output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        skip(program, "it is not installed in a directory of the system");
    }
    is_there
}

#[test]
fn a_node_server_runs_detached_and_is_reached_from_inside() {
    let yard = Yard::new();
    if !has(&yard, "node") {
        return;
    }
    yard.file(
        "package.json",
        r#"{"name": "app", "scripts": {"dev": "node server.js"}}"#,
    );
    yard.file(
        "server.js",
        "require('http').createServer((_, answer) => answer.end('served'))\
         .listen(48731, '127.0.0.1', () => console.log('listening'));",
    );
    yard.ok(&["run", "-q", "-d", "--name", "box", "--", "node", "server.js"]);
    yard.until_logged("listening");
    let ask = "require('http').get('http://127.0.0.1:48731', r => r.on('data', d => console.log(String(d))))";
    assert_eq!(yard.ok(&["exec", "box", "--", "node", "-e", ask]), "served\n");
    // Outside it is not there.
    assert!(std::net::TcpStream::connect("127.0.0.1:48731").is_err());
}

#[test]
fn a_python_project_has_its_virtual_environment() {
    let yard = Yard::new();
    if !has(&yard, "python3") {
        return;
    }
    yard.file("app.py", "import sys; print(sys.prefix != sys.base_prefix)");
    yard.ok(&["create", "-q", "--name", "box"]);
    yard.ok(&[
        "exec",
        "box",
        "--",
        "python3",
        "-m",
        "venv",
        "--without-pip",
        ".venv",
    ]);
    assert_eq!(
        yard.ok(&["exec", "box", "--", ".venv/bin/python", "app.py"]),
        "True\n"
    );
    yard.ok(&["cp", "-q", "app.py", "box:/tmp"]);
    assert_eq!(
        yard.ok(&["exec", "box", "--", ".venv/bin/python", "/tmp/app.py"]),
        "True\n"
    );
    assert!(!yard.project().join(".venv").exists());
}

/// The directory of the toolchain that this process would compile with.
fn toolchain() -> Option<String> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let root = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Path::new(&root).join("bin/cargo").is_file().then_some(root)
}

/// What the landlock driver does not enforce, given up by name.
const LANDLOCK: &[&str] = &[
    "--driver=landlock",
    "--prefer=names-hidden",
    "--prefer=processes-hidden",
    "--prefer=hostname-private",
    "--prefer=second-wall",
];

fn build_detached(yard: &Yard, root: &str, driver: &[&str]) {
    yard.file(
        "Cargo.toml",
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    );
    fs::create_dir(yard.project().join("src")).expect("a directory");
    yard.file("src/main.rs", "fn main() { println!(\"built inside\"); }");
    let path = format!("PATH={root}/bin:/usr/bin:/bin");
    let flags = [driver, &["--ro", root, "--env", &path]].concat();
    yard.detach(&flags, "cargo build --offline && echo built; exec sleep 1000");
    yard.until_logged("built");
    // Where the program lies is told by the sandbox: landlock's has the project at another place.
    let built = yard.ok(&["exec", "box", "--", "sh", "-c", "realpath target/debug/sample"]);
    assert_eq!(yard.ok(&["exec", "box", "--", built.trim()]), "built inside\n");
    assert!(!yard.project().join("target").exists());
}

fn builds_detached(driver: &[&str]) {
    let yard = Yard::new();
    let Some(root) = toolchain() else {
        return skip("cargo", "cargo and rustc are not on this user's PATH");
    };
    if has(&yard, "gcc") {
        build_detached(&yard, &root, driver);
    }
}

#[test]
fn a_rust_build_runs_detached_and_its_program_is_run_later() {
    builds_detached(&["--driver=native"]);
}

#[test]
fn a_rust_build_runs_detached_behind_landlock_alone() {
    // Root gets no such sandbox, and is told so.
    if rustix::process::geteuid().is_root() {
        let said = Yard::new().refused(&[&["run"], LANDLOCK, &["--", "true"]].concat());
        assert!(said.contains("landlock"), "{said}");
        return;
    }
    builds_detached(LANDLOCK);
}
