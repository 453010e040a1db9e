//! What acts on the host later, planted by a command in its workspace.

use stockade_domain::ControlKind;

use crate::canary::token;
use crate::{Field, Probe, Project, Severity, Verdict, ensure, ensure_sound, skip};

pub const ALL: &[Probe] = &[
    Probe::question(
        "WS01",
        Severity::Critical,
        "hooks, settings and attributes of git",
        |field| {
            held_back(
                field,
                &[
                    ".git/hooks/pre-commit",
                    ".git/hooks/post-checkout",
                    ".git/config",
                    ".git/config.worktree",
                    ".git/info/attributes",
                    ".gitattributes",
                    ".gitmodules",
                    ".githooks/pre-push",
                ],
            )
        },
    )
    .needs(COPIED),
    Probe::question(
        "WS01-live",
        Severity::Critical,
        "the same in a workspace that is written in place, and by moving what is above",
        in_place,
    )
    .needs(&[ControlKind::WorkspaceProtected]),
    Probe::question(
        "WS02",
        Severity::Critical,
        "repositories that are moved away and built anew",
        rebuilt,
    )
    .needs(COPIED),
    Probe::question(
        "WS03",
        Severity::High,
        "repositories elsewhere: submodules, worktrees, bare ones, `.git` files",
        |field| {
            held_back(
                field,
                &[
                    ".git/modules/lib/config",
                    ".git/modules/lib/hooks/post-checkout",
                    ".git/worktrees/w/gitdir",
                    ".git/worktrees/w/commondir",
                    ".git/commondir",
                    ".git/objects/info/alternates",
                    "lib/.git",
                    "deep/below/.git/hooks/pre-commit",
                ],
            )
        },
    )
    .needs(COPIED),
    Probe::question(
        "WS04",
        Severity::High,
        "start-up files of shells and tools, and build files, newly made",
        |field| {
            held_back(
                field,
                &[
                    ".bashrc",
                    ".profile",
                    ".zshrc",
                    ".envrc",
                    ".npmrc",
                    ".pypirc",
                    "Makefile",
                    "conftest.py",
                    "build.rs",
                    "below/sitecustomize.py",
                ],
            )
        },
    )
    .needs(COPIED),
    Probe::question(
        "WS05",
        Severity::Critical,
        "settings of editors, agents, hooks managers and CI",
        |field| held_back(field, SETTINGS),
    )
    .needs(COPIED),
    Probe::question(
        "WS06",
        Severity::Critical,
        "our own policy, written by what it is to bind",
        |field| held_back(field, &["stockade.toml", ".stockade/state"]),
    )
    .needs(COPIED),
    Probe::question(
        "WS06-loosen",
        Severity::Critical,
        "a policy in the project that opens what lies outside",
        loosened,
    )
    .needs(&[ControlKind::FilesUnreadable]),
    Probe::question(
        "WS07",
        Severity::High,
        "protected places that did not exist, or become links",
        linked,
    )
    .needs(COPIED),
    Probe::question(
        "WS07-links",
        Severity::High,
        "what the host's own links and settings make it obey, by its other name",
        |field| {
            held_back_in(
                field,
                with_links,
                &[
                    "tools/hooks/pre-commit",
                    "conf/claude/settings.json",
                    "conf/editor/tasks.json",
                ],
            )
        },
    )
    .needs(COPIED),
    Probe::question(
        "FS19",
        Severity::Medium,
        "other spellings of protected names: case, invisible letters, short names",
        |field| {
            held_back(
                field,
                &[
                    ".GIT/hooks/pre-commit",
                    ".Git/config",
                    "git~1/config",
                    ".g\u{200c}it/hooks/pre-commit",
                    ".VsCode/tasks.json",
                    "agents.MD",
                    ".claude. /settings.json",
                ],
            )
        },
    )
    .needs(COPIED),
];

const COPIED: &[ControlKind] = &[ControlKind::WorkspaceCopyOnWrite];

const SETTINGS: &[&str] = &[
    ".vscode/tasks.json",
    ".vscode/settings.json",
    ".vscode/launch.json",
    ".idea/workspace.xml",
    ".cursor/rules/any",
    ".claude/settings.json",
    ".claude/settings.local.json",
    ".claude/hooks/any.sh",
    ".claude/commands/any.md",
    ".claude/agents/any.md",
    ".codex/config.toml",
    ".mcp.json",
    "AGENTS.md",
    "CLAUDE.md",
    ".github/workflows/ci.yml",
    ".husky/pre-commit",
    ".pre-commit-config.yaml",
    ".devcontainer/devcontainer.json",
];

/// What anybody may make: it has to arrive, or nothing is shown of what does not.
const HARMLESS: &str = "harmless";

/// What is not taken over even with a yes.
const NEVER: [&str; 1] = [".git/objects/info/alternates"];

/// Makes a project.
type Plant = for<'a> fn(&'a Field<'a>) -> Verdict<Project<'a>>;

/// Files that a command makes in a repository are marked, and reach the host by a yes alone.
fn held_back(field: &Field, names: &[&str]) -> Verdict {
    held_back_in(field, |field| Project::repository(field), names)
}

/// One whose own links and settings make something obeyed that is called otherwise.
fn with_links<'a>(field: &'a Field<'a>) -> Verdict<Project<'a>> {
    let project = Project::repository(field)?;
    project.file(".git/config", "[core]\n\thooksPath = tools/hooks\n")?;
    for (name, target) in [(".claude", "conf/claude"), (".vscode", "conf/editor")] {
        std::fs::create_dir_all(project.path(target))?;
        std::os::unix::fs::symlink(target, project.path(name))?;
    }
    Ok(project)
}

fn held_back_in(field: &Field, plant: Plant, names: &[&str]) -> Verdict {
    let token = token()?;
    let words = [&["plant", token.as_str(), HARMLESS], names].concat();
    let control = plant(field)?;
    control.outside(&words)?;
    arrived(&control, names, &token, "outside")?;
    let project = plant(field)?;
    let before = project.tree();
    project.inside(&[], &words)?;
    let during = project.tree();
    ensure!(
        before == during,
        "the host was changed at once:{}",
        before.differences(&during)
    );
    let changes = project.changes()?;
    let is_marked = |name: &str| {
        let mut told = changes.iter().filter(|change| change["path"] == name);
        told.any(|change| change["risks"].as_array().is_some_and(|risks| !risks.is_empty()))
    };
    let unmarked: Vec<&&str> = names.iter().filter(|name| !is_marked(name)).collect();
    ensure!(
        unmarked.is_empty(),
        "not marked in a review: {unmarked:?} of {changes:?}"
    );
    without_a_yes(&project, names, &token)
}

/// Asks for all that is harmless, then for all: only then does it come.
fn without_a_yes(project: &Project, names: &[&str], token: &str) -> Verdict {
    let said = project.apply(&["."])?;
    arrived(project, &[HARMLESS], token, "what is harmless")?;
    let came: Vec<&&str> = names.iter().filter(|name| project.holds(name, token)).collect();
    ensure!(came.is_empty(), "{came:?} came without a yes: {}", said.all());
    let said = project.apply(&["--all", "--ignored"])?;
    let (never, others): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| NEVER.contains(name));
    let came: Vec<&&str> = never.iter().filter(|name| project.holds(name, token)).collect();
    ensure!(
        came.is_empty(),
        "{came:?} came, which must not come at all: {}",
        said.all()
    );
    arrived(project, &others, token, &format!("with a yes, {}", said.all()))
}

/// The control: the same files, where nothing keeps them.
fn arrived(project: &Project, names: &[&str], token: &str, how: &str) -> Verdict {
    let missing: Vec<&&str> = names.iter().filter(|name| !project.holds(name, token)).collect();
    ensure_sound!(missing.is_empty(), "{how}: {missing:?} did not arrive");
    Ok(())
}

const REBUILT: [&str; 4] = [
    ".git/hooks/post-checkout",
    ".git/config",
    "below/.git/hooks/post-checkout",
    "below/.git/config",
];

fn with_two_repositories<'a>(field: &'a Field<'a>) -> Verdict<Project<'a>> {
    let project = Project::repository(field)?;
    project.file("below/.git/HEAD", "ref: refs/heads/main\n")?;
    project.file("below/.git/config", "[core]\n")?;
    for directory in ["objects/pack", "refs/heads"] {
        std::fs::create_dir_all(project.path("below/.git").join(directory))?;
    }
    Ok(project)
}

fn rebuilt(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["WS02", token.as_str()];
    let control = with_two_repositories(field)?;
    control.outside(&words)?;
    arrived(&control, &REBUILT, &token, "outside")?;
    let project = with_two_repositories(field)?;
    project.inside(&[], &words)?;
    without_a_yes(&project, &REBUILT, &token)
}

const LINKED: [&str; 3] = [".claude", ".vscode", ".git/hooks"];

/// One of them exists and is a directory, one is made.
fn linked(field: &Field) -> Verdict {
    let token = token()?;
    let words = ["WS07", token.as_str()];
    let control = Project::repository(field)?;
    control.outside(&words)?;
    arrived(&control, &LINKED, &token, "outside")?;
    let project = Project::repository(field)?;
    project.file(".vscode/settings.json", "{}\n")?;
    project.inside(&[], &words)?;
    without_a_yes(&project, &LINKED, &token)
}

fn protected<'a>(field: &'a Field<'a>) -> Verdict<Project<'a>> {
    let project = Project::repository(field)?;
    project.file(".git/hooks/post-checkout", "#!/bin/sh\n")?;
    project.file(".vscode/tasks.json", "{}\n")?;
    Ok(project)
}

fn in_place(field: &Field) -> Verdict {
    const NAMES: [&str; 3] = [".git/hooks/post-checkout", ".git/config", ".vscode/tasks.json"];
    let token = token()?;
    let words = ["WS-protected", token.as_str()];
    let kept = |project: &Project| NAMES.map(|name| std::fs::read(project.path(name)).ok());
    let control = protected(field)?;
    let before = kept(&control);
    control.outside(&words)?;
    ensure_sound!(kept(&control) != before, "the control changed nothing");
    let project = protected(field)?;
    let tried = project.try_inside(&["--workspace-mode", "rw"], &words)?;
    if tried.code == 125 && !project.holds(HARMLESS, &token) {
        return skip(format!(
            "this driver writes no workspace in place: {}",
            tried.stderr.trim()
        ));
    }
    ensure_sound!(
        tried.text().contains("DONE") && project.holds(HARMLESS, &token),
        "it did not run to its end, or wrote nothing at all: {}",
        tried.all()
    );
    ensure!(
        kept(&project) == before,
        "what the host runs later was changed: {}",
        tried.all()
    );
    Ok(())
}

/// The policy is on the host, as if somebody had said yes to it; only named by the user it may loosen.
fn loosened(field: &Field) -> Verdict {
    let token = token()?;
    let name = format!("outside/opened-{}/secret", field.ground.number());
    let secret = field.ground.file(&name, &token)?.display().to_string();
    let project = Project::new(field)?;
    let policy = project.file(
        "stockade.toml",
        format!("version = 1\n[files]\nro = [{secret:?}]\n"),
    )?;
    let named = project.inside(&["--policy", &policy.display().to_string()], &["FS03", &secret])?;
    ensure_sound!(
        named.text().contains(&token),
        "named by the user it opens nothing: {}",
        named.all()
    );
    // It may be obeyed where it tightens, or be refused as a whole.
    let obeyed = project.try_inside(&[], &["FS03", &secret])?;
    ensure!(
        !obeyed.text().contains(&token),
        "a file in the project opened what lies outside: {}",
        obeyed.all()
    );
    ensure_sound!(
        obeyed.text().contains("DONE") || obeyed.stderr.contains("stockade.toml"),
        "neither run nor refused by name: {}",
        obeyed.all()
    );
    Ok(())
}
