//! Stockade as a job of the user's shell: Ctrl-Z, `fg`, `bg`.
//!
//! The commands `exec` what they wait in: a shell that is stopped between its vfork and the
//! child's exec waits for the child, which is stopped too, and nobody is told.

use crate::pty::Terminal;
use crate::sandboxes::Live;
use crate::world::World;

/// Text of a prompt that a test can wait for; the quotes keep the typed line from matching.
const PROMPT: &str = "PS1='rea''dy> '\r";

/// A shell of the host that runs this as its job, up to when the job says `started`.
fn start_job(world: &World, job: &str) -> Terminal {
    let mut terminal = Terminal::start(&world.host_shell());
    terminal.keys(PROMPT);
    terminal.expect("ready>");
    terminal.keys(&format!("{} {job}\r", world.program()));
    terminal.expect("started");
    terminal
}

/// Ctrl-Z, until the shell is in charge again.
fn stop_job(terminal: &mut Terminal) {
    terminal.keys("\x1a");
    terminal.expect("Stopped");
    terminal.wait_for("the shell has its terminal back", Terminal::is_cooked);
}

fn leave(mut terminal: Terminal) {
    terminal.keys("exit 0\r");
    assert_eq!(terminal.end(), 0);
}

/// States (`/proc/PID/stat`) of the processes that have a word in their command line.
fn states_of(word: &str) -> Vec<char> {
    let processes = std::fs::read_dir("/proc").expect("/proc");
    let state = |directory: std::path::PathBuf| {
        let line = std::fs::read(directory.join("cmdline")).ok()?;
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        // The sleeping program itself, not the shells and supervisors that name it.
        if words.first() != Some(&b"sleep".as_slice()) || !words.contains(&word.as_bytes()) {
            return None;
        }
        let stat = std::fs::read_to_string(directory.join("stat")).ok()?;
        stat.get(stat.rfind(')')? + 2..)?.chars().next()
    };
    processes.filter_map(|entry| state(entry.ok()?.path())).collect()
}

#[test]
fn ctrl_z_of_a_direct_command_stops_the_job_and_fg_resumes_it() {
    let world = World::new();
    let mut terminal = start_job(&world, "run -q -- sh -c 'echo star\"\"ted; exec sleep 1000'");
    stop_job(&mut terminal);
    terminal.keys("echo 'bet''ween'; fg\r");
    terminal.expect("between");
    // Raw again: the key goes to the command, which it ends.
    terminal.wait_for("raw again", |terminal| !terminal.is_cooked());
    terminal.keys("\x03");
    // What is typed before would still go to the command.
    terminal.wait_for("the command has ended", Terminal::is_cooked);
    terminal.keys("echo code $?\r");
    terminal.expect("code 130");
    leave(terminal);
}

#[test]
fn ctrl_z_of_a_further_command_stops_the_job_and_fg_resumes_it() {
    let world = World::new();
    let _live = Live::start(&world, "box", &[]);
    let mut terminal = start_job(&world, "exec box -- sh -c 'echo star\"\"ted; exec sleep 1000'");
    stop_job(&mut terminal);
    terminal.keys("fg\r");
    terminal.wait_for("raw again", |terminal| !terminal.is_cooked());
    terminal.keys("\x03");
    terminal.wait_for("the command has ended", Terminal::is_cooked);
    terminal.keys("echo code $?\r");
    terminal.expect("code 130");
    leave(terminal);
}

#[test]
fn ctrl_z_without_a_terminal_of_its_own_stops_the_command_too() {
    let world = World::new();
    let time = format!("{}", 100_000 + std::process::id());
    let job = format!("run -q -T -- sh -c 'echo star\"\"ted; sleep {time}'");
    let mut terminal = start_job(&world, &job);
    // The positive control: it is found, and not stopped.
    terminal.wait_for("it sleeps", |_| states_of(&time) == ['S']);
    stop_job(&mut terminal);
    terminal.wait_for("it is stopped", |_| states_of(&time) == ['T']);
    terminal.keys("bg\r");
    terminal.wait_for("it goes on in the background", |_| states_of(&time) == ['S']);
    terminal.keys("kill -INT %1; wait %1; echo co''de $?\r");
    terminal.expect("code 130");
    leave(terminal);
}

#[test]
fn a_background_job_runs_and_leaves_the_terminal_alone() {
    let world = World::new();
    let mut terminal = Terminal::start(&world.host_shell());
    terminal.keys(PROMPT);
    terminal.expect("ready>");
    terminal.keys(&format!(
        "{} run -q -- sh -c 'echo from be''hind' & wait $!; echo code $?\r",
        world.program()
    ));
    terminal.expect("from behind");
    terminal.expect("code 0");
    leave(terminal);
}
