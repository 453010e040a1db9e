//! Results of a command that trouble whoever looks at them or takes them over.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use stockade_domain::ControlKind;

use crate::canary::token;
use crate::finished::{Finished, finish};
use crate::project::Standing;
use crate::tree::Tree;
use crate::{Field, Probe, Project, Severity, Verdict, ensure, ensure_sound, host, skip};

pub const ALL: &[Probe] = &[
    Probe::question(
        "WS08",
        Severity::Critical,
        "a directory that becomes a link between the look and the writing",
        swapped,
    )
    .needs(COPIED),
    Probe::question(
        "WS09",
        Severity::High,
        "pipes, sockets, devices, set-id bits and capabilities among the results",
        special,
    )
    .needs(COPIED),
    Probe::question(
        "WS10",
        Severity::High,
        "names of any bytes: they arrive as they are, and are shown escaped",
        odd_names,
    )
    .needs(COPIED),
    Probe::question(
        "WS11",
        Severity::Critical,
        "a tree that is copied out, with links and then files through them",
        copied_out,
    ),
    Probe::question(
        "WS12",
        Severity::Low,
        "names that collide by case, or are none elsewhere, and paths that are too long",
        colliding,
    )
    .needs(COPIED),
    Probe::question(
        "WS13",
        Severity::High,
        "content that changed, with its length, times and mode put back",
        forged,
    )
    .needs(COPIED),
    Probe::question(
        "WS14",
        Severity::High,
        "a file that the host changed meanwhile",
        conflict,
    )
    .needs(COPIED),
    Probe::question(
        "WS14-killed",
        Severity::High,
        "taking over that is killed half-way leaves all of it or nothing",
        killed,
    )
    .needs(COPIED),
    Probe::question(
        "WS15",
        Severity::Critical,
        "text that shows as something else when it is reviewed",
        deceiving,
    )
    .needs(COPIED),
    Probe::question(
        "WS16",
        Severity::High,
        "names that are options of programs on the host",
        options,
    )
    .needs(COPIED),
];

const COPIED: &[ControlKind] = &[ControlKind::WorkspaceCopyOnWrite];
const HARMLESS: &str = "harmless";

/// A directory outside of the project in which nothing must change.
struct Elsewhere {
    path: PathBuf,
    before: Tree,
}

impl Elsewhere {
    fn new(field: &Field) -> Verdict<Self> {
        let name = format!("outside/elsewhere-{}", field.ground.number());
        field.ground.file(&format!("{name}/file"), token()?)?;
        let path = field.ground.path(&name);
        Ok(Self {
            before: Tree::of(&path),
            path,
        })
    }

    fn text(&self) -> String {
        self.path.display().to_string()
    }

    fn changes(&self) -> Option<String> {
        let now = Tree::of(&self.path);
        (now != self.before).then(|| self.before.differences(&now))
    }
}

/// Names below a directory with what is no harmless file, as it is seen without following links.
fn oddities(directory: &Path, below: &str, found: &mut Vec<String>) {
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        let name = format!("{below}{}", entry.file_name().to_string_lossy());
        let Ok(seen) = entry.path().symlink_metadata() else {
            continue;
        };
        let kind = seen.file_type();
        if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
            found.push(format!("{name} is no file"));
        } else if seen.is_file() && seen.mode() & 0o6000 != 0 {
            found.push(format!("{name} has mode {:o}", seen.mode() & 0o7777));
        }
        let mut value = [0_u8; 64];
        let attributes = [
            "security.capability",
            "user.overlay.opaque",
            "user.overlay.redirect",
        ];
        let set = attributes
            .into_iter()
            .filter(|attribute| rustix::fs::lgetxattr(entry.path(), *attribute, &mut value).is_ok());
        found.extend(set.map(|attribute| format!("{name} has {attribute}")));
        if seen.is_dir() {
            oddities(&entry.path(), &format!("{name}/"), found);
        }
    }
}

fn odd(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    oddities(&project.path(""), "", &mut found);
    found
}

fn special(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["WS09", token.as_str()];
    let control = Project::new(field)?;
    control.outside(&words)?;
    let made = odd(&control);
    ensure_sound!(made.len() > 4, "the control made too little: {made:?}");
    let project = Project::new(field)?;
    project.inside(&[], &words)?;
    let said = project.apply(&["--all", "--ignored"])?;
    ensure_sound!(project.holds(HARMLESS, &token), "nothing arrived: {}", said.all());
    let arrived = odd(&project);
    ensure!(arrived.is_empty(), "{arrived:?} arrived: {}", said.all());
    Ok(())
}

/// Bytes that do something to a terminal, or to the order of letters.
fn raw(bytes: &[u8]) -> Option<&'static str> {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    if has(b"\x1b") {
        Some("an escape sequence")
    } else if has(b"\r") || has(b"\x07") {
        Some("a control byte")
    } else if has("\u{202e}".as_bytes()) || has("\u{2066}".as_bytes()) {
        Some("a mark of text direction")
    } else if has("\u{200b}".as_bytes()) {
        Some("an invisible letter")
    } else {
        None
    }
}

/// What a person looks at before a yes.
const LOOKED_AT: [&[&str]; 6] = [
    &["diff", "--no-pager"],
    &["diff", "--no-pager", "--stat"],
    &["diff", "--no-pager", "--name-only"],
    &["diff", "--html", "-"],
    &["changes", "pending"],
    &["apply", "--all", "--dry-run"],
];

fn shown_escaped(project: &Project) -> Verdict {
    for words in LOOKED_AT {
        let told = project.stockade(words)?;
        ensure_sound!(
            matches!(told.code, 0 | 1),
            "{words:?} did not work: {}",
            told.all()
        );
        for bytes in [told.stdout.as_slice(), told.stderr.as_bytes()] {
            if let Some(what) = raw(bytes) {
                return crate::fail(format!("{words:?} shows {what} as it is"));
            }
        }
    }
    Ok(())
}

fn names(directory: &Path) -> Vec<Vec<u8>> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let mut names: Vec<Vec<u8>> = entries
        .map(|entry| entry.file_name().as_bytes().to_vec())
        .collect();
    names.sort();
    names
}

fn odd_names(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["WS10", token.as_str()];
    let control = Project::new(field)?;
    control.outside(&words)?;
    let made = names(&control.path(""));
    ensure_sound!(
        made.len() > 8 && made.iter().any(|name| raw(name).is_some()),
        "the control made too little: {made:?}"
    );
    let project = Project::new(field)?;
    project.inside(&[], &words)?;
    shown_escaped(&project)?;
    let said = project.apply(&["--all", "--ignored"])?;
    ensure!(
        raw(said.stderr.as_bytes()).is_none() && raw(&said.stdout).is_none(),
        "apply shows them as they are"
    );
    let arrived = names(&project.path(""));
    ensure!(
        arrived == made,
        "{:?} arrived instead of {:?}: {}",
        arrived
            .iter()
            .map(|name| name.escape_ascii().to_string())
            .collect::<Vec<_>>(),
        made.iter()
            .map(|name| name.escape_ascii().to_string())
            .collect::<Vec<_>>(),
        said.all()
    );
    Ok(())
}

fn deceiving(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["WS15", token.as_str()];
    let project = Project::new(field)?;
    project.inside(&[], &words)?;
    // The control: what is not for a person's eyes has it as it is.
    let patch = project.stockade(&["diff", "--patch", "-"])?.expect(0)?;
    ensure_sound!(
        raw(&patch.stdout).is_some() && patch.text().contains(&token),
        "the change set has no such text: {}",
        patch.all()
    );
    shown_escaped(&project)?;
    let told = project.stockade(&["diff", "--no-pager"])?.text();
    ensure!(
        told.contains(&token) || told.contains("more"),
        "the end of a long line is missing, and that is not told: {told}"
    );
    Ok(())
}

fn colliding(field: &Field) -> Verdict {
    let kept = token()?;
    let token = token()?;
    let plant = || -> Verdict<Project<'_>> {
        let project = Project::new(field)?;
        project.file("README", &kept)?;
        Ok(project)
    };
    let control = plant()?;
    control.outside(&["WS12", &token, "README"])?;
    ensure_sound!(!control.holds("README", &kept), "the control changed nothing");
    let project = plant()?;
    project.inside(&[], &["WS12", &token, "readme"])?;
    let pending = project.changes()?.len();
    ensure_sound!(pending >= 8, "only {pending} changes");
    let said = project.apply(&["--all", "--ignored"])?;
    ensure!(
        project.holds("README", &kept),
        "a name that differs by case replaced the host's file: {}",
        said.all()
    );
    for name in ["con", "aux.txt", "a:b", "dot.", "space ", "A", "a", "readme"] {
        ensure!(
            project.holds(name, &token) || said.stderr.contains(name),
            "{name:?} neither arrived nor was it said why: {}",
            said.all()
        );
    }
    Ok(())
}

fn forged(field: &Field) -> Verdict {
    let (kept, token) = (token()?, token()?);
    let plant = || -> Verdict<Project<'_>> {
        let project = Project::new(field)?;
        project.file("file", &kept)?;
        Ok(project)
    };
    let blind = |project: &Project| -> Verdict<(u64, std::time::SystemTime, u32)> {
        let seen = std::fs::metadata(project.path("file"))?;
        Ok((seen.len(), seen.modified()?, seen.mode()))
    };
    let control = plant()?;
    let before = blind(&control)?;
    control.outside(&["WS13", &token])?;
    ensure_sound!(
        blind(&control)? == before && control.holds("file", &token),
        "the control did not put the times back"
    );
    let project = plant()?;
    project.inside(&[], &["WS13", &token])?;
    let changes = project.changes()?;
    ensure!(
        changes
            .iter()
            .any(|change| change["path"] == "file" && change["content"] == "differs"),
        "the review does not tell of it: {changes:?}"
    );
    Ok(())
}

fn conflict(field: &Field) -> Verdict {
    let (kept, token) = (token()?, token()?);
    let project = Project::new(field)?;
    project.file("many/0", "before\n")?;
    project.file("many/1", "before\n")?;
    project.inside(&[], &["WS14", &token, "2"])?;
    project.file("many/0", &kept)?;
    let said = project.apply(&["--all", "--ignored"])?;
    ensure!(
        project.holds("many/0", &kept),
        "what the host wrote is gone: {}",
        said.all()
    );
    ensure_sound!(
        project.holds("many/1", &token),
        "the file beside it did not arrive: {}",
        said.all()
    );
    // The control: by a yes it is overwritten.
    let said = project.apply(&["--all", "--conflicts", "sandbox"])?;
    ensure_sound!(
        project.holds("many/0", &token),
        "a yes changed nothing: {}",
        said.all()
    );
    Ok(())
}

/// Files that are taken over at once.
const MANY: usize = 80;

fn killed(field: &Field) -> Verdict {
    let token = token()?;
    let project = Project::new(field)?;
    for number in 0..MANY {
        project.file(&format!("many/{number}"), "before\n")?;
    }
    let count = |project: &Project| {
        let all = 0..MANY;
        all.filter(|number| project.holds(&format!("many/{number}"), &token))
            .count()
    };
    // The control: copying one by one, stopped half-way, is seen as neither.
    let control = Project::new(field)?;
    control.file("many/0", "before\n")?;
    control.outside(&["WS14", &token, &(MANY / 2).to_string()])?;
    ensure_sound!(
        count(&control) == MANY / 2,
        "the control is no mixture: {}",
        count(&control)
    );
    let words = ["WS14", token.as_str(), &MANY.to_string()];
    project.inside(&[], &words)?;
    for round in 0..6_u32 {
        let mut apply = project.command(field.wall.program());
        apply.args(["apply", "--all"]).stdin(Stdio::null());
        let mut apply = apply.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        std::thread::sleep(Duration::from_micros(700) * round);
        // It may have ended already.
        let _ = apply.kill();
        apply.wait()?;
        // Whatever looks at the project next ends what was begun, one way or the other.
        let said = project.stockade(&["diff", "--no-pager", "--stat"])?;
        let after = count(&project);
        ensure!(
            after == 0 || after == MANY,
            "round {round}: {after} of {MANY} files arrived: {}",
            said.all()
        );
        if after == MANY {
            project.stockade(&["undo"])?.expect(0)?;
            ensure!(count(&project) == 0, "round {round}: the undo left some");
        }
    }
    let said = project.apply(&["--all"])?;
    ensure_sound!(
        count(&project) == MANY,
        "nothing can be taken over any more: {}",
        said.all()
    );
    Ok(())
}

/// Seconds for which names change places: longer than anything takes here.
const SWAPPING: &str = "60";

/// A process that lets a directory and a link change places until this is dropped.
struct Swapping(std::process::Child);

impl Swapping {
    fn start(field: &Field, project: &Project) -> Verdict<Self> {
        let mut command = project.command(field.ground.helper());
        command.args(["swap", SWAPPING, "d", "l"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Swapping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn swapped(field: &Field) -> Verdict {
    let token = token()?;
    let plant = |elsewhere: &Elsewhere| -> Verdict<Project<'_>> {
        let project = Project::new(field)?;
        project.file("d/file", "before\n")?;
        symlink(&elsewhere.path, project.path("l"))?;
        Ok(project)
    };
    // The control: who writes by path is led elsewhere sooner or later.
    let reached = Elsewhere::new(field)?;
    let control = plant(&reached)?;
    let witness = format!("{}/new", reached.text());
    {
        let _swapping = Swapping::start(field, &control)?;
        control.outside(&["write-through", &token, "d/new", &witness])?;
    }
    ensure_sound!(
        reached.changes().is_some(),
        "who writes by path was never led elsewhere"
    );
    let elsewhere = Elsewhere::new(field)?;
    // First at rest, then while it changes.
    let project = plant(&elsewhere)?;
    project.inside(&[], &["WS08", &token])?;
    std::fs::rename(project.path("d"), project.path("kept"))?;
    symlink(&elsewhere.path, project.path("d"))?;
    let said = project.stockade(&["apply", "--all"])?;
    if let Some(how) = elsewhere.changes() {
        return crate::fail(format!("it was led elsewhere:{how}\n{}", said.all()));
    }
    for _ in 0..3 {
        let project = plant(&elsewhere)?;
        project.inside(&[], &["WS08", &token])?;
        let _swapping = Swapping::start(field, &project)?;
        for _ in 0..3 {
            let said = project.stockade(&["apply", "--all", "--conflicts", "sandbox"])?;
            if let Some(how) = elsewhere.changes() {
                return crate::fail(format!("it was led elsewhere in a race:{how}\n{}", said.all()));
            }
        }
    }
    Ok(())
}

fn copied_out(field: &Field) -> Verdict {
    let token = token()?;
    // The control: a copy that follows the links that it has made itself.
    let reached = Elsewhere::new(field)?;
    let control = Project::new(field)?;
    control.outside(&["WS11", &reached.text(), &token])?;
    let secret = std::fs::read_to_string(control.path("tree/direct"))?;
    std::fs::write(control.path("tree/absolute/new"), &token)?;
    ensure_sound!(
        reached.changes().is_some() && secret.starts_with("canary-"),
        "the links of the control lead nowhere"
    );
    let elsewhere = Elsewhere::new(field)?;
    let secret = std::fs::read_to_string(elsewhere.path.join("file"))?;
    let project = Project::new(field)?;
    let sandbox = Standing::start(field, &project, "copied")?;
    let to = field
        .ground
        .path(&format!("outside/copies-{}", field.ground.number()));
    std::fs::create_dir(&to)?;
    let copy = |made: &Finished| -> Verdict<Finished> {
        let text = made.text();
        let place = text.lines().find_map(|line| line.strip_prefix("place "));
        let from = format!("copied:{}/tree", place.unwrap_or_default());
        project.stockade(&["cp", &from, &to.display().to_string()])
    };
    let first = copy(&sandbox.attack(&["WS11", &elsewhere.text(), &token])?)?;
    let second = copy(&sandbox.attack(&["WS11-then", &token])?)?;
    let said = format!("{}{}", first.all(), second.all());
    let has = |name: &str| std::fs::read_to_string(to.join("tree").join(name)).unwrap_or_default();
    ensure_sound!(
        has(HARMLESS) == token && has("second") == token,
        "nothing was copied: {said}"
    );
    ensure!(
        elsewhere.changes().is_none(),
        "it was led elsewhere: {:?}\n{said}",
        elsewhere.changes()
    );
    let read = walk(&to).into_iter().find(|path| {
        std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(&secret))
    });
    ensure!(read.is_none(), "what lies elsewhere was copied: {read:?}\n{said}");
    let mut odd = Vec::new();
    oddities(&to, "", &mut odd);
    ensure!(odd.is_empty(), "{odd:?}\n{said}");
    Ok(())
}

/// Every file below a directory.
fn walk(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in directory.read_dir().into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(walk(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn options(field: &Field) -> Verdict {
    if !host::has_program("tar") {
        return skip("inconclusive: without tar there is no control");
    }
    let token = token()?;
    let witness = |name: &str| {
        let path = field
            .ground
            .path(&format!("outside/{name}-{}", field.ground.number()));
        (path.display().to_string(), path)
    };
    let (text, reached) = witness("obeyed");
    let control = Project::new(field)?;
    control.outside(&["WS16", &token, &text])?;
    let mut tar: Command = control.command(Path::new("sh"));
    tar.args(["-c", "tar cf ../of-the-control.tar --check* zz"]);
    finish(tar, Vec::new(), None)?;
    ensure_sound!(reached.exists(), "tar does not obey the names");
    let (text, canary) = witness("executed");
    let project = Project::new(field)?;
    project.inside(&[], &["WS16", &token, &text])?;
    let others: [&[&str]; 3] = [
        &["diff", "--patch", "-"],
        &["checkpoint"],
        &["apply", "--all", "--ignored"],
    ];
    for words in LOOKED_AT.into_iter().chain(others) {
        let told = project.stockade(words)?;
        ensure!(!canary.exists(), "{words:?} executed what a name says");
        ensure_sound!(
            matches!(told.code, 0 | 1),
            "{words:?} did not work: {}",
            told.all()
        );
    }
    for name in ["-rf", "--help", "--checkpoint-action=exec=sh x.sh", "@x.sh"] {
        ensure!(project.holds(name, &token), "{name} did not arrive");
    }
    Ok(())
}
