//! `stockade rpc`, as a program drives it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

struct Rpc {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    last: u64,
}

impl Rpc {
    fn start(world: &World) -> Self {
        let mut child = world
            .stockade(&["rpc"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut rpc = Self {
            stdin: child.stdin.take(),
            child,
            stdout,
            last: 0,
        };
        let hello = rpc.line();
        assert_eq!(
            (&hello["hello"]["version"], &hello["hello"]["protocol"]),
            (&json!(1), &json!("stockade-rpc"))
        );
        rpc
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    fn say(&mut self, line: &[u8]) {
        let stdin = self.stdin.as_mut().expect("open");
        stdin
            .write_all(line)
            .and_then(|()| stdin.write_all(b"\n"))
            .expect("it reads");
    }

    fn ask(&mut self, method: &str, params: impl serde::Serialize) -> u64 {
        self.last += 1;
        let request = json!({"id": self.last, "method": method, "params": params});
        self.say(request.to_string().as_bytes());
        self.last
    }

    /// The answer to a request, with what was said of it before.
    fn answer(&mut self, id: u64) -> (Vec<Value>, Value) {
        let mut events = Vec::new();
        loop {
            let line = self.line();
            match (line["id"] == id, line.get("event").is_some()) {
                (true, true) => events.push(line),
                (true, false) => return (events, line),
                (false, _) => {}
            }
        }
    }

    fn call(&mut self, method: &str, params: impl serde::Serialize) -> Value {
        let id = self.ask(method, params);
        let (_, answer) = self.answer(id);
        assert!(answer.get("result").is_some(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn error(&mut self, method: &str, params: impl serde::Serialize) -> Value {
        let id = self.ask(method, params);
        let (_, answer) = self.answer(id);
        assert!(answer.get("error").is_some(), "{method}: {answer}");
        answer["error"].clone()
    }

    fn create(&mut self) -> String {
        let made = self.call("create", json!({"flags": []}));
        assert_eq!(made["verified"], made["controls"]);
        made["sandbox"].as_str().expect("an id").to_owned()
    }

    /// Runs a command; returns its standard output and code.
    fn exec(&mut self, sandbox: &str, argv: &[&str]) -> (String, Value) {
        let id = self.ask("exec", json!({"sandbox": sandbox, "argv": argv}));
        let (events, answer) = self.answer(id);
        let said = |event: &Value| {
            (event["event"] == "stdout").then(|| event["text"].as_str().expect("text").to_owned())
        };
        (
            events.iter().filter_map(said).collect(),
            answer["result"]["code"].clone(),
        )
    }
}

impl Drop for Rpc {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

fn listed(world: &World) -> Value {
    let output = world.stockade(&["ls", "--json"]).output().expect("ls");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn until_none(world: &World) {
    let deadline = Instant::now() + PATIENCE;
    while listed(world) != json!([]) {
        assert!(Instant::now() < deadline, "{}", listed(world));
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_sandbox_is_made_used_and_destroyed() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let sandbox = rpc.create();
    assert_eq!(
        rpc.exec(&sandbox, &["sh", "-c", "echo hi; exit 4"]),
        ("hi\n".to_owned(), json!(4))
    );
    assert_eq!(rpc.call("list", json!({}))["sandboxes"][0]["id"], json!(sandbox));
    assert_eq!(
        rpc.call("inspect", json!({"sandbox": sandbox}))["state"],
        "running"
    );
    rpc.call("destroy", json!({"sandbox": sandbox}));
    assert_eq!(listed(&world), json!([]));
    let gone = rpc.error("exec", json!({"sandbox": sandbox, "argv": ["true"]}));
    assert_eq!(gone["kind"], "not-found");
}

#[test]
fn files_of_any_bytes_go_in_and_out() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let sandbox = rpc.create();
    let place = |path: &str| json!({"sandbox": sandbox, "path": path});
    let with = |path: &str, more: Value| {
        let mut params = place(path);
        params
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        params
    };
    rpc.call("make_directory", with("/tmp/a/b", json!({"parents": true})));
    rpc.call("write_file", with("/tmp/a/b/bytes", json!({"base64": "/wD+"})));
    assert_eq!(
        rpc.call("read_file", place("/tmp/a/b/bytes")),
        json!({"base64": "/wD+", "size": 3, "end": true})
    );
    let large = "x".repeat(1_500_000);
    rpc.call("write_file", with("/tmp/a/large", json!({"text": large})));
    let first = rpc.call("read_file", with("/tmp/a/large", json!({"offset": 1_000_000})));
    assert_eq!(
        (first["text"].as_str().map(str::len), &first["end"]),
        (Some(500_000), &json!(true))
    );
    let names = rpc.call("list_files", place("/tmp/a"));
    assert_eq!(
        names["entries"],
        json!([{"name": "b", "kind": "directory"}, {"name": "large", "kind": "file"}])
    );
    rpc.call("rename_file", with("/tmp/a/large", json!({"to": "/tmp/a/l2"})));
    assert_eq!(rpc.call("stat_file", place("/tmp/a/l2"))["size"], 1_500_000);
    rpc.call("remove_file", with("/tmp/a", json!({"recursive": true})));
    assert_eq!(rpc.error("stat_file", place("/tmp/a"))["kind"], "file");
}

#[test]
fn input_reaches_a_command_in_order() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let sandbox = rpc.create();
    let exec = rpc.ask(
        "exec",
        json!({"sandbox": sandbox, "argv": ["cat"], "stdin": true, "env": {"A": "b"}}),
    );
    for part in ["one ", "two ", "three"] {
        rpc.ask("input", json!({"exec": exec, "text": part}));
    }
    rpc.ask("end_input", json!({"exec": exec}));
    let (events, answer) = rpc.answer(exec);
    let text: String = events.iter().filter_map(|event| event["text"].as_str()).collect();
    assert_eq!(
        (text.as_str(), &answer["result"]["code"]),
        ("one two three", &json!(0))
    );
}

#[test]
fn a_command_is_signalled_and_cancelled() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let sandbox = rpc.create();
    for (method, params, what) in [
        ("signal", json!({"number": 15}), "result"),
        ("cancel", json!({}), "error"),
    ] {
        let exec = rpc.ask("exec", json!({"sandbox": sandbox, "argv": ["sleep", "1000"]}));
        assert_eq!(rpc.line()["event"], "started");
        let mut params = params;
        params["exec"] = exec.into();
        rpc.ask(method, params);
        let (_, answer) = rpc.answer(exec);
        assert!(answer.get(what).is_some(), "{answer}");
    }
}

#[test]
fn sandboxes_end_with_the_connection() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    rpc.create();
    drop(rpc);
    assert_eq!(listed(&world), json!([]));
    let mut killed = Rpc::start(&world);
    killed.create();
    killed.child.kill().expect("it is ours");
    until_none(&world);
}

#[test]
fn what_was_asked_before_the_end_of_input_is_answered() {
    let world = World::new();
    let mut rpc = world
        .stockade(&["rpc"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut input = rpc.stdin.take().expect("a pipe");
    // The last one has no end of line.
    let asked =
        "{\"id\":1,\"method\":\"create\"}\n{\"id\":2,\"method\":\"nosuch\"}\n{\"id\":3,\"method\":\"list\"}";
    input.write_all(asked.as_bytes()).expect("it reads");
    drop(input);
    let output = rpc.wait_with_output().expect("it ends");
    let mut answers: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|answer: &Value| answer.get("id").is_some())
        .collect();
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers.len(), 3, "{answers:?}");
    assert!(answers[0]["result"]["sandbox"].is_string(), "{answers:?}");
    assert_eq!(answers[1]["error"]["kind"], "bad-request");
    assert!(answers[2]["result"]["sandboxes"].is_array(), "{answers:?}");
    // And what was created has ended with it.
    assert_eq!(listed(&world), json!([]));
}

#[test]
fn what_is_kept_outlives_the_connection() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let made = rpc.call("create", json!({"flags": ["--name", "box"], "keep": true}));
    drop(rpc);
    assert_eq!(listed(&world)[0]["id"], made["sandbox"]);
    assert!(
        world
            .stockade(&["rm", "-f", "box"])
            .status()
            .expect("rm")
            .success()
    );
}

#[test]
fn mistakes_are_told_and_end_nothing() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    rpc.say(b"no json");
    assert_eq!(rpc.line()["error"]["kind"], "bad-request");
    rpc.say(&vec![b'x'; 3 << 20]);
    let said = rpc.line();
    assert!(
        said["error"]["message"]
            .as_str()
            .expect("text")
            .contains("longer than"),
        "{said}"
    );
    let said = rpc.error("no-such-method", json!({}));
    assert!(
        said["message"].as_str().expect("text").contains("create"),
        "{said}"
    );
    let said = rpc.error("create", json!({"flags": ["--no-such-flag"]}));
    assert_eq!(
        (&said["kind"], &said["code"]),
        (&json!("not-created"), &json!(125))
    );
    let said = rpc.error("exec", json!({"sandbox": "nobody", "argv": ["true"]}));
    assert_eq!(said["kind"], "not-found");
    let said = rpc.error("create", json!({"flagz": []}));
    assert!(
        said["message"].as_str().expect("text").contains("flagz"),
        "{said}"
    );
    let sandbox = rpc.create();
    let said = rpc.error("exec", json!({"sandbox": sandbox, "argv": ["no-such-command"]}));
    assert_eq!((&said["kind"], &said["code"]), (&json!("command"), &json!(127)));
    rpc.call("ping", json!({}));
}

#[test]
fn a_program_that_does_not_read_makes_commands_wait_and_nothing_grow() {
    let world = World::new();
    let mut rpc = Rpc::start(&world);
    let sandbox = rpc.create();
    let flood = rpc.ask(
        "exec",
        json!({"sandbox": sandbox, "argv": ["sh", "-c", "head -c 30000000 /dev/zero; echo end"]}),
    );
    std::thread::sleep(Duration::from_millis(300));
    let status = std::fs::read_to_string(format!("/proc/{}/status", rpc.child.id())).expect("it lives");
    let resident = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("a size");
    let kilobytes: u64 = resident
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|size| size.parse().ok())
        .expect("a number");
    assert!(kilobytes < 100_000, "{resident}");
    let (events, answer) = rpc.answer(flood);
    assert!(events.len() > 100, "{}", events.len());
    assert_eq!(answer["result"]["code"], 0);
}

#[test]
fn the_example_in_python_works() {
    let world = World::new();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/rpc.py");
    if !Command::new("python3")
        .arg("-V")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        if let Some(log) = std::env::var_os("STOCKADE_SKIP_LOG") {
            let mut log = std::fs::File::options()
                .append(true)
                .create(true)
                .open(log)
                .expect("the log of skips");
            writeln!(log, "SKIP rpc-example: python3 is not installed").expect("it is written");
        }
        return;
    }
    let prepared = world.stockade(&[]);
    let mut python = Command::new("python3");
    python
        .args([example, world.program()])
        .current_dir(world.project());
    for (name, value) in prepared.get_envs() {
        if name != "PATH"
            && let Some(value) = value
        {
            python.env(name, value);
        }
    }
    let output = python.output().expect("it runs");
    let text = world.tidy(&output.stdout);
    assert!(output.status.success(), "{text}{}", world.tidy(&output.stderr));
    assert_eq!(
        text,
        "version 1\nstarted \nstdout hello from inside\nexit code 3\n"
    );
}
