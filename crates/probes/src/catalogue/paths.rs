//! Ways out of a root directory, and around what lies over a part of the view.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use stockade_domain::ControlKind;

use crate::canary::{Canary, FileCanary, Seen, TreeCanary, token};
use crate::denial::{arguments, held};
use crate::finished::{Finished, finish};
use crate::project::Standing;
use crate::{Field, Probe, Project, Setting, Severity, Verdict, ensure, ensure_sound, skip};

pub const ALL: &[Probe] = &[
    Probe::question(
        "FS01",
        Severity::Critical,
        "leaving the root by another root below the directory of work",
        |field| out_of_the_root(field, "FS01"),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "FS02",
        Severity::Critical,
        "the same by a directory that another process sends",
        |field| out_of_the_root(field, "FS02"),
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "FS12",
        Severity::Critical,
        "devices that became links before a second command starts",
        replaced_devices,
    )
    .needs(&[ControlKind::FilesUnreadable])
    .small(),
    Probe::question(
        "FS14",
        Severity::Medium,
        "a set-id file of the workspace that gets other content",
        set_id,
    )
    .needs(&[ControlKind::WorkspaceCopyOnWrite]),
    Probe::question(
        "FS15",
        Severity::High,
        "moving the parents of what is read-only in a writable tree",
        |field| nested(field, "FS15"),
    )
    .needs(&[ControlKind::WorkspaceProtected]),
    Probe::question(
        "FS16",
        Severity::High,
        "what is read-only in a writable tree, by every other path",
        |field| nested(field, "FS16"),
    )
    .needs(&[ControlKind::WorkspaceProtected]),
    Probe::question(
        "FS18-names",
        Severity::Medium,
        "names of files outside the view",
        hidden_names,
    )
    .needs(&[ControlKind::NamesHidden]),
];

/// Runs the inside half in another root directory, as who may change it, with its directory of work outside
/// of that root: what walls have to be better than.
///
/// # Errors
/// It does not end in time.
pub fn jailed(field: &Field, directory: &Path, words: &[String]) -> Verdict<Finished> {
    let jail = field
        .ground
        .path(&format!("outside/jail-{}", field.ground.number()));
    std::fs::create_dir(&jail)?;
    let inner = jail.join("attack");
    std::fs::copy(field.ground.helper(), &inner)?;
    std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o755))?;
    let mut command = field.ground.command(Path::new("unshare"));
    command
        .args(["--user", "--map-root-user"])
        .arg(field.ground.helper());
    command.args(["launch", "--root"]).arg(&jail);
    // Outside there is no root to come back to: the jail's own directory is the start, or another.
    match directory.starts_with(&jail) || directory == Path::new("/") {
        true => command.args(["--directory", "/"]),
        false => command.current_dir(directory),
    };
    command.args(["--", "/attack"]).args(words);
    finish(command, Vec::new(), None)
}

fn out_of_the_root(field: &Field, id: &str) -> Verdict {
    let mut canary = FileCanary::at(field, &format!("outside/secret-{}", field.ground.number()))?;
    let words = arguments(id, canary.outside());
    let control = jailed(field, Path::new("/"), &words)?;
    let seen = Seen {
        output: control.text(),
    };
    if canary.reached(&seen).is_none() {
        return skip(format!(
            "inconclusive: ordinary users cannot make namespaces here: {}",
            control.all().trim()
        ));
    }
    let inside = field.wall.attack(&Setting::default(), &words)?;
    held(id, &inside, &mut canary)
}

fn replaced_devices(field: &Field) -> Verdict {
    // The control: who opens by name what was replaced writes into the host's file.
    let number = field.ground.number();
    let reached = FileCanary::at(field, &format!("outside/reached-{number}"))?;
    let null = field.ground.file(&format!("outside/dev-{number}/null"), "")?;
    let directory = null.parent().unwrap_or(&null).display().to_string();
    let control = Project::new(field)?;
    control.outside(&["FS12", &reached.path().display().to_string(), &directory])?;
    std::fs::write(&null, "output")?;
    ensure_sound!(
        std::fs::read_to_string(reached.path())? == "output",
        "the control replaced nothing"
    );
    let mut canary = FileCanary::at(field, &format!("outside/kept-{number}"))?;
    let path = canary.path().display().to_string();
    let project = Project::new(field)?;
    let sandbox = Standing::start(field, &project, "replaced")?;
    let first = sandbox.attack(&["FS12", &path, "/dev"])?;
    held("FS12", &first, &mut canary)?;
    let second = sandbox.attack(&["FS03", &path])?;
    held("FS12", &second, &mut canary)?;
    let said = sandbox.copy_in(canary.path())?;
    ensure!(
        canary
            .reached(&Seen {
                output: second.text()
            })
            .is_none(),
        "the host's file changed: {}",
        said.all()
    );
    Ok(())
}

fn set_id(field: &Field) -> Verdict {
    let token = token()?;
    let plant = || -> Verdict<Project<'_>> {
        let project = Project::new(field)?;
        let tool = project.file("tool", "before\n")?;
        std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o4755))?;
        Ok(project)
    };
    let mode = |project: &Project| std::fs::metadata(project.path("tool")).map(|found| found.mode() & 0o7777);
    let control = plant()?;
    control.outside(&["FS14", &token])?;
    ensure_sound!(
        control.holds("tool", &token) && mode(&control)? & 0o6000 != 0,
        "the control has mode {:o}",
        mode(&control)?
    );
    let project = plant()?;
    project.inside(&[], &["FS14", &token])?;
    let said = project.apply(&["--all", "--ignored"])?;
    ensure_sound!(project.holds("tool", &token), "nothing arrived: {}", said.all());
    ensure!(
        mode(&project)? & 0o6000 == 0,
        "what was written inside runs as its owner: mode {:o}",
        mode(&project)?
    );
    Ok(())
}

/// A writable tree with a read-only part.
fn nested(field: &Field, id: &str) -> Verdict {
    let plant = || -> Verdict<(String, Box<dyn Canary>)> {
        let name = format!("outside/tree-{}", field.ground.number());
        field.ground.file(&format!("{name}/kept/file"), token()?)?;
        field.ground.file(&format!("{name}/kept/below/file"), token()?)?;
        let path = field.ground.path(&name);
        let kept = TreeCanary::at(field, path.join("kept"), Vec::new());
        Ok((path.display().to_string(), kept))
    };
    let nothing = || Seen {
        output: String::new(),
    };
    let (tree, mut canary) = plant()?;
    Project::new(field)?.outside(&[id, &tree])?;
    ensure_sound!(
        canary.reached(&nothing()).is_some(),
        "the control changed nothing"
    );
    let (tree, mut canary) = plant()?;
    let kept = format!("{tree}/kept");
    let project = Project::new(field)?;
    let tried = project.try_inside(&["--rw", &tree, "--ro", &kept], &[id, &tree])?;
    if tried.code == 125 && !tried.text().contains("note") {
        return skip(format!("this driver shows no such tree: {}", tried.stderr.trim()));
    }
    held(id, &tried, canary.as_mut())?;
    ensure_sound!(
        Path::new(&tree).join("beside").exists(),
        "nothing could be written at all: {}",
        tried.all()
    );
    Ok(())
}

/// A file of a random size: who tells it has seen the file, whatever name it was asked by.
fn hidden_names(field: &Field) -> Verdict {
    let token = token()?;
    let size = 1_000_000 + u64::from_str_radix(&token[7..12], 16)?;
    let name = format!("outside/names-{}/file", field.ground.number());
    let file = field.ground.file(&name, "")?;
    std::fs::File::options().write(true).open(&file)?.set_len(size)?;
    let words = arguments("FS18-names", vec![file.display().to_string()]);
    let told = |finished: &Finished| finished.text().contains(&format!("REACHED {size} bytes"));
    let control = field.ground.outside(&[], &[], &words)?;
    ensure_sound!(told(&control), "the control sees nothing: {}", control.all());
    let inside = field.wall.attack(&Setting::default(), &words)?;
    ensure_sound!(
        inside.text().contains("DONE"),
        "it did not run to its end: {}",
        inside.all()
    );
    ensure!(!told(&inside), "it was seen: {}", inside.all());
    Ok(())
}
