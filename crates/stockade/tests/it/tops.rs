//! `stockade top`.

use serde_json::Value;

use crate::pty::Terminal;
use crate::world::World;

fn with_sandbox(test: impl FnOnce(&World)) {
    let world = World::new();
    let script = "echo x > file; while :; do :; done";
    let arguments = ["run", "-q", "-d", "--name", "busy", "--", "sh", "-c", script];
    assert!(
        world
            .stockade(&arguments)
            .output()
            .expect("it runs")
            .status
            .success()
    );
    test(&world);
    let _ = world.stockade(&["rm", "-f", "busy"]).output();
}

#[test]
fn once_it_writes_a_table_or_json() {
    with_sandbox(|world| {
        let output = world.stockade(&["top"]).output().expect("it runs");
        let text = world.tidy(&output.stdout);
        assert!(
            text.contains("CPU %") && text.contains("busy") && text.contains("running"),
            "{text}"
        );
        let output = world.stockade(&["top", "--json"]).output().expect("it runs");
        let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(rows[0]["name"], "busy");
        assert!(
            rows[0]["disk_bytes"].as_u64().is_some_and(|bytes| bytes > 0),
            "{rows}"
        );
        // Where processor time is counted at all, a busy loop uses some.
        assert!(
            rows[0]["cpu_us"].is_null() || rows[0]["cpu_us"].as_u64() > Some(0),
            "{rows}"
        );
    });
}

#[test]
fn live_it_gives_the_terminal_back() {
    with_sandbox(|world| {
        for keys in ["q", "\x03"] {
            let mut terminal = Terminal::start(&world.stockade(&["top", "-i", "200ms"]));
            terminal.expect("busy");
            terminal.expect("1 sandboxes");
            terminal.resize(10, 40);
            terminal.keys("m");
            terminal.keys(keys);
            assert_eq!(terminal.end(), 0);
            assert!(terminal.is_cooked());
            assert!(
                !terminal.contents().contains("sandboxes"),
                "{}",
                terminal.contents()
            );
        }
    });
}

#[test]
fn without_sandboxes_it_says_so() {
    let world = World::new();
    let output = world.stockade(&["top", "--once"]).output().expect("it runs");
    assert!(world.tidy(&output.stderr).contains("no sandbox runs"));
    let output = world.stockade(&["top", "--json"]).output().expect("it runs");
    assert_eq!(output.stdout, b"[]\n");
}
