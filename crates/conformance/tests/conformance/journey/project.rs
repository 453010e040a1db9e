//! The project of a journey: a repository elsewhere, what is done inside and outside, and how the
//! tree looked before each apply.

use std::path::Path;

use stockade_conformance::tree::Tree;
use stockade_conformance::{Finished, Verdict, World, ensure, fail, run};

/// Files that an install writes.
pub const PACKAGES: usize = 20_000;

/// Files that are edited outside while changes of them are pending.
const EDITED: [&str; 3] = ["merges", "clashes", "beside"];

/// Builds and reviews of many files on a slow machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

pub struct Project<'w> {
    pub world: &'w World<'w>,
    /// How it was before each apply.
    former: Vec<Tree>,
}

impl<'w> Project<'w> {
    /// A repository elsewhere: some hundred files, a branch, and a main branch that has gone on.
    pub fn begin(world: &'w World<'w>) -> Verdict<Self> {
        super::super::work::needs("git")?;
        super::super::work::needs("python3")?;
        world.file("home/.gitconfig", "[user]\nname = Ada\nemail = ada@example.org\n")?;
        for module in 1..=20 {
            for file in 1..=20 {
                let text = format!("pub fn f{file}() -> u32 {{ {module} }}\n");
                world.file(&format!("outside/origin/src/m{module}/f{file}.rs"), text)?;
            }
        }
        let lines: String = (1..=60).map(|line| format!("{line}\n")).collect();
        for name in EDITED {
            world.file(&format!("outside/origin/{name}"), &lines)?;
        }
        world.file("outside/origin/.gitignore", "node_modules\ntarget\n")?;
        let project = Self {
            world,
            former: Vec::new(),
        };
        let git = |words: &[&str]| git(world, &world.path("outside/origin"), words);
        git(&["init", "-q", "-b", "main"])?;
        git(&["add", "."])?;
        git(&["commit", "-qm", "Begin"])?;
        git(&["checkout", "-qb", "feature"])?;
        world.file("outside/origin/src/m3/f1.rs", "fn list() {}\n")?;
        git(&["commit", "-qam", "Append to the list"])?;
        git(&["checkout", "-q", "main"])?;
        world.file("outside/origin/src/m3/f2.rs", "fn more() {}\n")?;
        git(&["commit", "-qam", "Go on"])?;
        Ok(project)
    }

    /// Where the repository is that is cloned.
    pub fn origin(&self) -> String {
        self.world.path("outside/origin").display().to_string()
    }

    /// A script in a sandbox, which sees the repository read-only.
    pub fn inside(&self, script: &str) -> Verdict<Finished> {
        self.run(&["sh", "-c", script])
    }

    /// A program in Python, in a sandbox.
    pub fn python(&self, program: &str) -> Verdict<Finished> {
        self.run(&["python3", "-c", program])
    }

    fn run(&self, words: &[&str]) -> Verdict<Finished> {
        let sandbox = self.world.sandbox().flags(&["--ro", &self.origin()]);
        sandbox.limit(PATIENCE).run(words)?.expect(0)
    }

    /// Git outside, in the project.
    pub fn git(&self, words: &[&str]) -> Verdict<String> {
        git(self.world, &self.world.work(), words)
    }

    /// The program, which has to end with a code.
    pub fn stockade(&self, words: &[&str], code: i32) -> Verdict<Finished> {
        let mut command = self.world.command(self.world.suite().program());
        command.args(words);
        run::finish(command, Vec::new(), Some(PATIENCE))?.expect(code)
    }

    pub fn diff(&self, flags: &[&str]) -> Verdict<String> {
        Ok(self
            .stockade(&[&["diff", "--no-pager"], flags].concat(), 0)?
            .text())
    }

    /// Applies, and remembers how it was.
    pub fn take(&mut self, words: &[&str], code: i32, says: &[&str]) -> Verdict {
        self.former.push(self.tree());
        let finished = self.stockade(&[&["apply"], words].concat(), code)?;
        finished.complains(says)?;
        ensure!(
            self.former.last() != Some(&self.tree()),
            "{words:?} changed nothing"
        );
        Ok(())
    }

    /// Applies that can be taken back.
    pub fn levels(&self) -> usize {
        self.former.len()
    }

    /// Takes one apply back: to the very tree.
    pub fn undo(&mut self) -> Verdict {
        let Some(former) = self.former.pop() else {
            return fail("nothing was applied");
        };
        self.stockade(&["undo"], 0)?;
        self.is(&former)
            .map_err(|stop| stop.about(&format!("level {}", self.former.len())))
    }

    /// Somebody edits outside what was changed inside: in the same lines, and in others.
    pub fn edit_outside(&self) -> Verdict<Tree> {
        std::thread::sleep(std::time::Duration::from_millis(25));
        for name in EDITED {
            let line = if name == "merges" { "1" } else { "50" };
            let edited: String = std::fs::read_to_string(self.world.work().join(name))?
                .lines()
                .map(|found| {
                    if found == line {
                        format!("{found} outside\n")
                    } else {
                        format!("{found}\n")
                    }
                })
                .collect();
            self.world.file(&format!("work/{name}"), edited)?;
        }
        Ok(self.tree())
    }

    /// It is just as it was.
    pub fn is(&self, former: &Tree) -> Verdict {
        let now = self.tree();
        ensure!(*former == now, "it changed:{}", former.differences(&now));
        Ok(())
    }

    /// A file of the project holds all of these.
    pub fn reads(&self, name: &str, texts: &[&str]) -> Verdict {
        let content = std::fs::read_to_string(self.world.work().join(name))?;
        for text in texts {
            ensure!(content.contains(text), "no {text:?} in {name}:\n{content}");
        }
        Ok(())
    }

    /// All but git's objects, which stay without references that lead to them.
    pub fn tree(&self) -> Tree {
        Tree::of(&self.world.work()).without(Path::new(".git/objects"))
    }
}

/// Git outside, whose settings are the world's.
fn git(world: &World, at: &Path, words: &[&str]) -> Verdict<String> {
    let mut command = world.command(Path::new("git"));
    command.args(words).current_dir(at);
    Ok(run::finish(command, Vec::new(), None)?.expect(0)?.text())
}
