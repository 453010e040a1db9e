//! How long a sandbox takes: from nothing, and one more command in a live one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::Bench;
use super::measure::{Contender, interleaved, median};
use super::peers;
use super::place::Live;
use super::rows::Row;

const TRUE: [&str; 1] = ["/bin/true"];
const UNLIMITED: [&str; 6] = ["--memory", "none", "--pids", "none", "--cpus", "none"];
const UNSHARE: [&str; 3] = ["-Urmpinf", "--mount-proc", "/bin/true"];

/// Joining a cgroup can be fast right after another join and slow after a pause, so both
/// are measured.
const GAPS: [(&str, Duration); 2] = [
    ("back to back", Duration::ZERO),
    ("100 ms apart", Duration::from_millis(100)),
];

/// The whole of `stockade run -- /bin/true` beside bubblewrap and unshare.
pub fn cold(bench: &Bench) -> Result<Vec<Row>> {
    let contenders = contenders(bench)?;
    let mut rows = Vec::new();
    for (gap_name, gap) in GAPS {
        let times = interleaved(&contenders, bench.runs, gap)?;
        let medians: Vec<f64> = times.iter().map(|list| median(list)).collect();
        let [unlimited, limited, bwrap, small_bwrap, unshare, bare] = medians[..] else {
            continue;
        };
        let row = |what: &str, value: f64| Row::new(&format!("{what}, {gap_name}"), value, "ms");
        rows.extend([
            row("stockade run without limits", unlimited)
                .beside("bwrap", bwrap)
                .at_most(1.0),
            row("stockade run without limits", unlimited)
                .beside("unshare", unshare)
                .at_most(2.0),
            row("stockade run, default limits", limited)
                .beside("bwrap", bwrap)
                .at_most(1.2),
            row("bwrap, the same file view", bwrap),
            row("bwrap, --ro-bind / / alone", small_bwrap),
            row("unshare -Urmpinf --mount-proc", unshare),
            row("/bin/true without any sandbox", bare),
        ]);
    }
    Ok(rows)
}

fn contenders(bench: &Bench) -> Result<Vec<Contender>> {
    let view = peers::bwrap_arguments(&bench.place)?;
    let small = ["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]
        .map(str::to_owned)
        .to_vec();
    let place = bench.place.clone();
    let make =
        |name: &str, build: fn(&super::place::Place, &[String]) -> std::process::Command, with: &[String]| {
            let (place, with) = (place.clone(), with.to_vec());
            Contender::new(name, move || build(&place, &with))
        };
    Ok(vec![
        make(
            "stockade without limits",
            |place, _| place.run(&UNLIMITED, &TRUE),
            &[],
        ),
        make("stockade", |place, _| place.run(&[], &TRUE), &[]),
        make("bwrap", |place, view| peers::bwrap(place, view, &TRUE), &view),
        make(
            "bwrap alone",
            |place, view| peers::bwrap(place, view, &TRUE),
            &small,
        ),
        make(
            "unshare",
            |place, _| {
                let mut command = place.outside(Path::new("unshare"));
                command.args(UNSHARE);
                command
            },
            &[],
        ),
        make("true", |place, _| place.outside(Path::new(TRUE[0])), &[]),
    ])
}

/// One more command in a sandbox that lives, beside a cold start of bubblewrap.
pub fn exec(bench: &Bench) -> Result<Vec<Row>> {
    let place = bench.place.clone();
    let _live = Live::start(&place, "bench-exec")?;
    let view = peers::bwrap_arguments(&place)?;
    let (inside, peer) = (place.clone(), place);
    let contenders = [
        Contender::new("stockade exec", move || {
            inside.stockade(&["exec", "bench-exec", "--", "/bin/true"])
        }),
        Contender::new("bwrap", move || peers::bwrap(&peer, &view, &TRUE)),
    ];
    let times = interleaved(&contenders, bench.runs, Duration::ZERO)?;
    let bwrap = median(&times[1]);
    Ok(vec![
        Row::new("stockade exec /bin/true", median(&times[0]), "ms")
            .beside("a cold bwrap", bwrap)
            .at_most(1.0),
        Row::new(
            "exec /bin/true over an open connection",
            over_open_connection(bench)?,
            "ms",
        )
        .beside("a cold bwrap", bwrap)
        .at_most(0.5),
    ])
}

/// As the library's example tells it: microseconds, a line each. The first one warms up.
fn over_open_connection(bench: &Bench) -> Result<f64> {
    let output = bench
        .place
        .outside(&bench.open_connection)
        .arg((bench.runs + 1).to_string())
        .output()?;
    ensure!(
        output.status.success(),
        "open_connection: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout)?;
    let times: Vec<f64> = lines.lines().skip(1).map(str::parse).collect::<Result<_, _>>()?;
    Ok(median(&times) / 1000.0)
}
