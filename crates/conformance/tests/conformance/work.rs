//! Real work: builds, tests, version control.

use std::time::Duration;

use stockade_conformance::{Ability, Behaviour, Verdict, World, ensure, program, skip};

pub const ALL: &[Behaviour] = &[
    Behaviour::test(
        "work-python-unittest",
        "a test suite of Python runs and its failure is told",
        unittest,
    ),
    Behaviour::test(
        "work-make",
        "make and a C compiler build a program that runs",
        make,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "work-cargo",
        "cargo builds a crate with a dependency, and runs its tests",
        cargo,
    )
    .uses(&[Ability::Modes, Ability::OwnLinks]),
    Behaviour::test("work-git", "git makes a repository and commits", git).uses(&[Ability::Modes]),
    Behaviour::test(
        "work-git-identity",
        "git knows inside who commits, and none of the host's helpers and secrets",
        git_identity,
    )
    .uses(&[Ability::Modes]),
    Behaviour::test(
        "work-shell",
        "pipes, globs, subshells, here documents and job control of a shell",
        shell,
    ),
    Behaviour::test(
        "work-multiprocessing",
        "Python's process pool, sockets on the loopback, locks and threads",
        multiprocessing,
    )
    .uses(&[Ability::Sockets, Ability::SharedMemory]),
];

pub fn needs(name: &str) -> Verdict {
    if program::find(name).is_none() {
        skip(format!("{name} is missing"))
    } else {
        Ok(())
    }
}

fn unittest(world: &World) -> Verdict {
    needs("python3")?;
    world.file("work/package/__init__.py", "def double(n):\n    return 2 * n\n")?;
    let test = "import unittest, tempfile, os\nfrom package import double\n\nclass T(unittest.TestCase):\n    def test_double(self):\n        self.assertEqual(double(2), 4)\n    def test_files(self):\n        with tempfile.NamedTemporaryFile() as f:\n            f.write(b'x')\n            f.flush()\n            os.fsync(f.fileno())\n";
    world.file("work/test_package.py", test)?;
    world
        .run(&["python3", "-m", "unittest"])?
        .expect(0)?
        .complains(&["Ran 2 tests", "OK"])?;
    world.file("work/package/__init__.py", "def double(n):\n    return n\n")?;
    world
        .run(&["python3", "-B", "-m", "unittest"])?
        .expect(1)?
        .complains(&["FAILED"])
        .map(drop)
}

fn make(world: &World) -> Verdict {
    for tool in ["make", "gcc"] {
        needs(tool)?;
    }
    world.file(
        "work/hello.c",
        "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n",
    )?;
    world.file(
        "work/Makefile",
        "CC = gcc\nall: hello\n\t./hello\nhello: hello.o\n\t$(CC) -o $@ $^\n",
    )?;
    let finished = world.run(&["make", "-j2"])?.expect(0)?;
    ensure!(
        finished.text().lines().any(|line| line == "hello"),
        "{}",
        finished.all()
    );
    ensure!(!world.path("work/hello").exists(), "the result is on the host");
    Ok(())
}

/// The directory of the toolchain that builds this suite.
pub fn toolchain() -> Option<String> {
    let own = std::env::var("PATH").unwrap_or_default();
    let output = std::process::Command::new("rustc")
        .env("PATH", own)
        .args(["--print", "sysroot"])
        .output()
        .ok()?;
    let root = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    std::path::Path::new(&root)
        .join("bin/cargo")
        .is_file()
        .then_some(root)
}

fn cargo(world: &World) -> Verdict {
    let Some(root) = toolchain() else {
        return skip("cargo and rustc are not on this user's PATH");
    };
    needs("gcc")?;
    world.file("work/Cargo.toml", "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\ndependency = { path = \"dependency\" }\n[workspace]\n")?;
    world.file(
        "work/src/main.rs",
        "fn main() { println!(\"{}\", dependency::text()); }\n#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n",
    )?;
    world.file(
        "work/dependency/Cargo.toml",
        "[package]\nname = \"dependency\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
    )?;
    world.file(
        "work/dependency/src/lib.rs",
        "pub fn text() -> &'static str { \"from the dependency\" }\n",
    )?;
    let path = format!("{root}/bin:{}", stockade_conformance::world::HOST_PATH);
    let script = "cargo build --offline 2>&1 && ./target/debug/sample && cargo test --offline 2>&1";
    let sandbox = world
        .sandbox()
        .flags(&["--ro", &root])
        .variable("PATH", path)
        .limit(Duration::from_secs(180));
    let text = sandbox.shell(script)?.expect(0)?.text();
    ensure!(
        text.contains("from the dependency") && text.contains("1 passed"),
        "{text}"
    );
    ensure!(!world.path("work/target").exists(), "the result is on the host");
    Ok(())
}

fn git(world: &World) -> Verdict {
    needs("git")?;
    let script = "git init -q . && git config user.name A && git config user.email a@b.c && echo x > file && git add file \
                  && git commit -qm one && git checkout -qb other && git mv file moved && git commit -qam two && git log --format=%s && git status --short | grep -v attack";
    let finished = world.shell(script)?;
    ensure!(
        finished.text().trim() == "two\none",
        "exit {}: {}",
        finished.code,
        finished.all()
    );
    ensure!(!world.path("work/.git").exists(), "the repository is on the host");
    Ok(())
}

fn git_identity(world: &World) -> Verdict {
    needs("git")?;
    let settings = "[user]\nname = Ada Example\nemail = ada@example.org\n[alias]\nlast = log -1 --format=%an:%ae\n\
                    [credential]\nhelper = \"!echo password=hunter2\"\n[commit]\ngpgsign = true\n";
    world.file("home/.gitconfig", settings)?;
    let script = "git init -q . && echo x > file && git add file && git commit -qm one && git last; \
                  git config --global --list; git config --global pull.rebase true && git config pull.rebase";
    let finished = world.shell(script)?;
    let text = finished.text();
    ensure!(
        text.starts_with("Ada Example:ada@example.org\n"),
        "{}",
        finished.all()
    );
    ensure!(
        text.ends_with("true\n"),
        "the settings inside cannot be changed: {}",
        finished.all()
    );
    ensure!(!text.contains("hunter2") && !text.contains("gpgsign"), "{text}");
    Ok(())
}

fn shell(world: &World) -> Verdict {
    let script = "set -e; mkdir d; for i in 1 2 3; do echo $i > d/$i; done; cat d/* | sort -r | tr '\\n' ' '; (sleep 0.1; echo slow) & wait; cat <<X\nhere\nX\n\
                  mkfifo p; echo fifo > p & cat p; test -x /bin/sh; echo $(( 6 * 7 ))";
    world
        .shell(script)?
        .expect_text("3 2 1 slow\nhere\nfifo\n42")
        .map(drop)
}

const POOL: &str = "
import multiprocessing, socket, threading, os, fcntl, mmap, asyncio
def f(n): return n * n
if __name__ == '__main__':
    with multiprocessing.Pool(4) as pool:
        assert pool.map(f, range(10)) == [n * n for n in range(10)]
    s = socket.create_server(('127.0.0.1', 0))
    c = socket.create_connection(s.getsockname())
    c.sendall(b'x'); assert s.accept()[0].recv(1) == b'x'
    t = [threading.Thread(target=f, args=(1,)) for _ in range(50)]
    [x.start() for x in t]; [x.join() for x in t]
    with open('lock', 'w') as l: fcntl.flock(l, fcntl.LOCK_EX)
    m = mmap.mmap(-1, 4096); m[0] = 1
    async def go():
        p = await asyncio.create_subprocess_exec('echo', 'sub', stdout=-1)
        return (await p.communicate())[0]
    assert asyncio.run(go()) == b'sub\\n'
    q = multiprocessing.Queue(); q.put(1); assert q.get() == 1
    print('all well', os.cpu_count() >= 1)
";

fn multiprocessing(world: &World) -> Verdict {
    needs("python3")?;
    world.file("work/pool.py", POOL)?;
    world
        .run(&["python3", "pool.py"])?
        .expect_text("all well True")
        .map(drop)
}
