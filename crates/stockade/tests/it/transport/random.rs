//! Random changes, in several steps with looks between them: both ways come to the same.

use super::{Yard, both};

/// How many cases; more are asked for by a variable, and take their time.
fn cases() -> u64 {
    let asked = std::env::var("STOCKADE_RANDOM_CASES").ok();
    asked.map_or(4, |cases| cases.parse().expect("a number"))
}

/// Numbers that are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % sides
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.roll(all.len() as u64)).unwrap()]
    }

    /// A path of up to three names.
    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "d.e", "a-x", "$ODD", "'new\nline'", "A"];
        let depth = self.roll(3) + 1;
        let names: Vec<&str> = (0..depth).map(|_| self.of(&names)).collect();
        names.join("/")
    }

    /// Something that may work or not: both ways it does the same.
    fn step(&mut self) -> String {
        let (path, other) = (self.path(), self.path());
        match self.roll(14) {
            0 | 1 => format!("echo {} > {path}", self.roll(1000)),
            2 => format!("mkdir -p {path}"),
            3 => format!("mkdir -p {path} && echo {} > {path}/f", self.roll(1000)),
            4 => format!("rm -rf {path}"),
            5 => format!("mv {path} {other}"),
            6 => format!("ln {path} {other}"),
            7 => format!("ln -s {other} {path}"),
            8 => {
                let (file, directory) = (
                    self.of(&["600", "644", "4755", "400"]),
                    self.of(&["755", "700", "2750"]),
                );
                format!("if test -f {path}; then chmod {file} {path}; else chmod {directory} {path}; fi")
            }
            9 => format!("echo more >> {path}"),
            10 => format!("truncate -s {} {path}", self.roll(200_000)),
            11 => format!("rm {path}"),
            // What a copy of a directory into itself holds depends on the order of its names.
            12 if !other.starts_with(&path) => format!("cp -r {path} {other}"),
            // Under a name that nothing writes to, which would wait for a reader.
            _ => format!("mkdir -p {path} && mkfifo {path}/pipe"),
        }
    }

    fn script(&mut self, steps: u64) -> String {
        let steps: Vec<String> = (0..steps).map(|_| self.step()).collect();
        format!(
            "ODD=$(printf 'odd\\377')\n({}) 2>/dev/null || :",
            steps.join("\n")
        )
    }
}

#[test]
fn random_changes_are_the_same_by_link_and_by_copy() {
    for seed in 0..cases() {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
        let before = dice.script(40);
        let steps: Vec<String> = (0..4).map(|_| dice.script(15)).collect();
        both(|yard: &Yard| {
            yard.host(&before);
            // So that something is changed in any case.
            yard.host("mkdir -p always; echo 1 > always/1");
            yard.create();
            yard.exec("mkdir -p always/new; echo 2 > always/1; echo 3 > always/new/3");
            for step in &steps {
                yard.exec(step);
                yard.diff();
            }
            yard.ok(&["stop", "box"]);
        });
    }
}
