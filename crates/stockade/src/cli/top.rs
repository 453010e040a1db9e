//! `stockade top`.

use std::time::Duration;

use rustix::termios::isatty;
use stockade_domain::units::ByteCount;
use stockade_host::shim::Signals;
use stockade_host::shim::stdio::Input;
use tokio::signal::unix::{SignalKind, signal};

use super::Result;
use super::args::TopArgs;
use crate::failure::Failure;
use crate::report::{self, Paint, Shown};
use crate::service;
use crate::service::budget::Shared;
use crate::service::top::{Monitor, Row};
use crate::terminal::{Screen, size, usual_size};

/// Shorter than this shows nothing but itself.
const MIN_INTERVAL: Duration = Duration::from_millis(100);
/// Between the two looks that a figure of processor time takes.
const ONCE: Duration = Duration::from_millis(200);
const HEADING: [&str; 8] = [
    "NAME",
    "STATE",
    "CPU %",
    "MEMORY",
    "PIDS",
    "DISK",
    "NET IN/OUT",
    "AGE",
];
const CTRL_C: u8 = 3;
const ESCAPE: u8 = 27;

/// By what rows are sorted.
#[derive(Clone, Copy)]
enum Order {
    Cpu,
    Memory,
    Age,
}

/// `stockade top`
pub fn top(args: &TopArgs) -> Result {
    let is_live = isatty(rustix::stdio::stdout()) && isatty(rustix::stdio::stdin());
    let mut monitor = Monitor::new()?;
    if args.once || args.json || !is_live {
        monitor.look()?;
        std::thread::sleep(ONCE);
        let rows = monitor.look()?;
        if args.json {
            report::json(&rows)?;
        } else if rows.is_empty() {
            report::note("no sandbox runs");
        } else {
            report::out(&table(rows, Order::Cpu))?;
            if let Some(shared) = monitor.budget() {
                report::note(&report::budget_text(&shared));
            }
        }
        return Ok(0);
    }
    let interval = Duration::from_millis(args.interval.0).max(MIN_INTERVAL);
    service::block_on(live(&mut monitor, interval))
}

async fn live(monitor: &mut Monitor, interval: Duration) -> Result {
    let mut signals = Signals::install()?;
    let mut resized = signal(SignalKind::window_change())?;
    let mut keys = Input::standard();
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut screen = Screen::enter()?;
    let mut order = Order::Cpu;
    let mut rows = Vec::new();
    let mut typed = [0; 16];
    loop {
        tokio::select! {
            _ = ticks.tick() => rows = monitor.look()?,
            _ = resized.recv() => {}
            _ = signals.next() => return Ok(0),
            count = keys.read(&mut typed) => {
                let count = count.map_err(Failure::Streams)?;
                if count == 0 {
                    return Ok(0);
                }
                for key in &typed[..count] {
                    match *key {
                        b'q' | CTRL_C | ESCAPE => return Ok(0),
                        b'c' => order = Order::Cpu,
                        b'm' => order = Order::Memory,
                        b'a' => order = Order::Age,
                        _ => {}
                    }
                }
            }
        }
        let shared = monitor.budget();
        screen.show(&frame(&rows, shared.as_ref(), order))?;
    }
}

/// What fits on the screen.
fn frame(rows: &[Row], shared: Option<&Shared>, order: Order) -> Vec<String> {
    let size = size().unwrap_or_else(usual_size);
    let paused = rows.iter().filter(|row| row.state.name() == "paused").count();
    let memory: u64 = rows.iter().filter_map(|row| row.usage.memory_bytes).sum();
    let used = shared.map_or_else(|| format!("{} of memory", ByteCount(memory)), report::budget_text);
    let mut lines = vec![format!(
        "{} sandboxes, {paused} paused · {used} · q ends, c m a sort",
        rows.len(),
    )];
    lines.extend(table(rows.to_vec(), order).lines().map(str::to_owned));
    lines.truncate(usize::from(size.rows));
    lines
        .iter()
        .map(|line| report::cut(line, usize::from(size.columns)))
        .collect()
}

fn table(mut rows: Vec<Row>, order: Order) -> String {
    rows.sort_by_key(|row| {
        std::cmp::Reverse(match order {
            Order::Cpu => row.cpu_permille.unwrap_or(0),
            Order::Memory => row.usage.memory_bytes.unwrap_or(0),
            Order::Age => row.age_seconds,
        })
    });
    report::table(Paint::plain(), &HEADING, rows.iter().map(cells))
}

fn cells(row: &Row) -> Vec<String> {
    let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let bytes = |value: Option<u64>| shown(value.map(|bytes| ByteCount(bytes).to_string()));
    let more = if row.disk_is_whole { "" } else { "+" };
    let traffic = row
        .traffic
        .map(|traffic| format!("{}/{}", ByteCount(traffic.received), ByteCount(traffic.sent)));
    vec![
        report::cut(&Shown::new(&row.name).to_string(), 32),
        row.state.name().to_owned(),
        shown(row.cpu_permille.map(|cpu| format!("{}.{}", cpu / 10, cpu % 10))),
        bytes(row.usage.memory_bytes),
        shown(row.usage.pids.map(|pids| pids.to_string())),
        format!("{}{more}", bytes(row.usage.disk_bytes)),
        shown(traffic),
        report::age(row.age_seconds),
    ]
}
