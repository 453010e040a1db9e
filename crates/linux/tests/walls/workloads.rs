//! Programs that people develop with, behind all walls. Each prints `fine` at its end. A
//! program that is not installed is skipped, by name.

use std::path::Path;
use std::process::Command;

use crate::helper::{Wall, command};

crate::tests![development_tools_work_behind_all_walls,];

/// A program and what it runs, with its working directory as the only writable place besides
/// /tmp, /dev and /proc.
struct Workload {
    program: &'static str,
    script: &'static str,
}

const WORKLOADS: &[Workload] = &[
    Workload {
        program: "bash",
        script: "set -e; exec 2>&1; f() { sleep 0.01 & wait; }; f; x=$(seq 1 100 | sort -rn | head -1); [ $x = 100 ]; \
                 cat <(echo a) | grep -q a; mkfifo p; echo hi > p & read y < p; [ $y = hi ]; trap 'echo t' USR1; \
                 kill -USR1 $$; ulimit -a > /dev/null; setsid true; chmod 700 p; ln -s p l; mv l m; cp -a m n; \
                 find . -name '*' | xargs ls -l > /dev/null; tar cf t.tar p m; rm -rf p m n; echo fine",
    },
    Workload {
        program: "python3",
        script: r#"exec python3 - <<'END'
import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, os, select, signal, socket, subprocess, tempfile, threading
threads = [threading.Thread(target=lambda: sum(range(1000))) for _ in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert subprocess.run(['sh', '-c', 'echo hi'], capture_output=True).stdout == b'hi\n'
with multiprocessing.get_context('fork').Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
async def main():
    async def serve(reader, writer): writer.write(await reader.readline()); await writer.drain(); writer.close()
    server = await asyncio.start_server(serve, '127.0.0.1', 0)
    reader, writer = await asyncio.open_connection('127.0.0.1', server.sockets[0].getsockname()[1])
    writer.write(b'x\n'); assert await reader.readline() == b'x\n'
    process = await asyncio.create_subprocess_exec('true'); assert await process.wait() == 0
asyncio.run(main())
socket.getaddrinfo('localhost', 80); socket.if_nameindex(); a, b = socket.socketpair(); a.send(b'1')
fd = os.memfd_create('x'); os.write(fd, b'12'); mmap.mmap(fd, 2)
select.epoll().close(); os.getrandom(4); os.sched_getaffinity(0); os.pidfd_open(os.getpid())
with tempfile.TemporaryDirectory() as d: open(os.path.join(d, 'f'), 'w').write('x')
signal.setitimer(signal.ITIMER_REAL, 10); signal.alarm(0)
assert ctypes.CDLL(None).getpid() == os.getpid()
with concurrent.futures.ThreadPoolExecutor() as p: assert list(p.map(abs, [-3])) == [3]
print('fine')
END"#,
    },
    Workload {
        program: "gcc",
        script: "set -e; printf '#include <pthread.h>\\n#include <stdio.h>\\nvoid *f(void *p) { return p; }\\nint main(void) \
                 { pthread_t t; if (pthread_create(&t, 0, f, 0)) return 1; pthread_join(t, 0); puts(\"fine\"); }' > a.c; \
                 gcc -O1 -pthread a.c -o a; ./a",
    },
    Workload {
        program: "cargo",
        script: "cargo --version && rustc --version && echo fine",
    },
    Workload {
        program: "node",
        script: r#"exec node -e "
const {Worker} = require('worker_threads'), {execSync} = require('child_process'), fs = require('fs'), http = require('http');
fs.writeFileSync('f', 'x'); execSync('true'); fs.watch('.').close(); require('os').networkInterfaces(); require('crypto').randomBytes(4);
new Worker('require(\"worker_threads\").parentPort.postMessage(1)', {eval: true}).on('message', () => {
  const server = http.createServer((q, a) => a.end('hi')).listen(0, '127.0.0.1', () =>
    http.get({port: server.address().port, host: '127.0.0.1'}, r => { r.resume(); server.close(); console.log('fine'); }));
});""#,
    },
    Workload {
        program: "git",
        script: "set -e; export GIT_CONFIG_NOSYSTEM=1; git init -q r; cd r; git config user.email a@b; git config user.name a; \
                 echo x > f; git add f; git commit -q -m m; git gc -q; git clone -q . ../c; git -C ../c log -1 > /dev/null; echo fine",
    },
    Workload {
        program: "perl",
        script: r#"perl -MSocket -e 'socketpair(A,B,AF_UNIX,SOCK_STREAM,0) or die; if (!fork) { syswrite A,"x"; exit } sysread B,$x,1; wait; print "$x fine\n"'"#,
    },
    Workload {
        program: "java",
        script: "echo 'class A { public static void main(String[] a) throws Exception { Thread t = new Thread(() -> {}); t.start(); t.join(); System.out.println(\"fine\"); } }' > A.java; exec java A.java",
    },
    Workload {
        program: "go",
        script: "set -e; printf 'package main\\nimport (\"fmt\"; \"net\")\\nfunc main() { c := make(chan int); go func() { c <- 1 }(); <-c; l, e := net.Listen(\"tcp\", \"127.0.0.1:0\"); if e != nil { panic(e) }; l.Close(); net.Interfaces(); fmt.Println(\"fine\") }' > m.go; GOCACHE=$PWD/gc GOFLAGS=-mod=mod go run m.go",
    },
    Workload {
        program: "strace",
        script: "strace -f -o out sh -c 'true | true' && grep -q execve out && echo fine",
    },
    Workload {
        program: "gdb",
        script: "gdb -q -batch -ex run -ex quit --args /bin/echo hello 2>&1 | grep -q 'exited normally' && echo fine",
    },
    Workload {
        program: "sqlite3",
        script: "sqlite3 d 'pragma journal_mode=wal; create table t(a); insert into t values(1); select * from t' && echo fine",
    },
    Workload {
        program: "make",
        script: "printf 'all: a b\\n\\techo fine\\na b:\\n\\ttrue\\n' > Makefile; make -j4",
    },
    Workload {
        program: "npm",
        script: "mkdir p && cd p && HOME=$PWD npm_config_cache=$PWD/c npm init -y > /dev/null && echo fine",
    },
];

fn installed(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    found.is_ok_and(|output| output.status.success())
}

fn run(walls: &[Wall], workload: &Workload, directory: &Path) -> (bool, String) {
    let output = command("exec", walls, &["bash", "-c", workload.script])
        .current_dir(directory)
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (
        output.status.success() && text.lines().any(|line| line.ends_with("fine")),
        text,
    )
}

/// What works without walls works behind the filter, the file rules and the inner domain.
fn development_tools_work_behind_all_walls() {
    let mut broken = Vec::new();
    for workload in WORKLOADS {
        let (bare, confined) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if !installed(workload.program) || !run(&[], workload, bare.path()).0 {
            println!(
                "skipped: {} is not installed or does not work here at all",
                workload.program
            );
            continue;
        }
        let walls = [
            Wall::NoNewPrivs,
            Wall::Landlock {
                read: "/".into(),
                write: "/".into(),
            },
            Wall::Seccomp,
            Wall::Nested,
        ];
        let (fine, text) = run(&walls, workload, confined.path());
        if fine {
            println!("{} works", workload.program);
        } else {
            broken.push(format!("{}:\n{text}", workload.program));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
