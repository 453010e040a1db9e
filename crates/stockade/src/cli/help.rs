//! `stockade help`: concepts are files of text beside the code, commands explain themselves.

use std::fmt::Write;

use clap::CommandFactory;

use super::Result;
use super::args::{Cli, HelpArgs};
use crate::failure::Failure;
use crate::{report, service};

/// Concepts: name, text. The first line of each says what it is about.
const TOPICS: [(&str, &str); 9] = [
    ("policy", include_str!("../../help/policy.txt")),
    ("workspace", include_str!("../../help/workspace.txt")),
    ("limits", include_str!("../../help/limits.txt")),
    ("exit-codes", include_str!("../../help/exit-codes.txt")),
    ("drivers", include_str!("../../help/drivers.txt")),
    ("levels", include_str!("../../help/levels.txt")),
    ("network", include_str!("../../help/network.txt")),
    ("audit", include_str!("../../help/audit.txt")),
    ("state", include_str!("../../help/state.txt")),
];

/// The names of all topics.
pub fn topic_names() -> Vec<&'static str> {
    TOPICS.iter().map(|(name, _)| *name).collect()
}

/// `stockade help [TOPIC | COMMAND …]`
pub fn help(args: &HelpArgs) -> Result {
    let words: Vec<&str> = args.topic.iter().map(String::as_str).collect();
    report::out(&text(&words)?)?;
    Ok(0)
}

fn text(words: &[&str]) -> std::result::Result<String, Failure> {
    let topic = |name: &str| TOPICS.iter().find(|(topic, _)| *topic == name);
    match words {
        [] => Ok(topics()),
        // `policy` and `audit` are both: the concept names the command.
        [name] if topic(name).is_some() => {
            Ok(topic(name).map(|(_, text)| *text).unwrap_or_default().to_owned())
        }
        _ => of_command(words).ok_or_else(|| unknown(&words.join(" "))),
    }
}

fn topics() -> String {
    let mut text = "Topics (stockade help TOPIC):\n".to_owned();
    for (name, content) in TOPICS {
        let about = content.lines().next().unwrap_or_default();
        let _ = writeln!(text, "  {name:<11} {about}"); // writing to a string cannot fail
    }
    text.push_str("\nCommands (stockade help COMMAND): see stockade --help\n");
    text
}

fn of_command(words: &[&str]) -> Option<String> {
    let mut program = Cli::command();
    program.build();
    let mut command = &mut program;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    Some(format!("{}\n", command.render_long_help()))
}

fn unknown(name: &str) -> Failure {
    let known = TOPICS.map(|(topic, _)| topic);
    Failure::UnknownTopic {
        name: name.to_owned(),
        known: known.to_vec(),
        suggestion: service::nearest(name, &known),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn flags(command: &clap::Command, into: &mut BTreeSet<String>) {
        into.extend(
            command
                .get_arguments()
                .filter_map(|one| Some(format!("--{}", one.get_long()?))),
        );
        command.get_subcommands().for_each(|below| flags(below, into));
    }

    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|letter: char| letter.is_whitespace() || "`,.;:()=|".contains(letter))
    }

    #[test]
    fn every_flag_that_a_topic_names_exists() {
        let mut known = BTreeSet::new();
        flags(&Cli::command(), &mut known);
        assert!(
            known.contains("--workspace-mode") && !known.contains("--nope"),
            "the control"
        );
        for (topic, text) in TOPICS {
            for flag in words(text).filter(|word| word.starts_with("--") && word.len() > 2) {
                assert!(known.contains(flag), "{topic}: {flag}");
            }
        }
    }

    #[test]
    fn every_command_that_a_topic_names_exists() {
        let program = Cli::command();
        for (topic, text) in TOPICS {
            for (at, _) in text.match_indices("stockade ") {
                let name = text[at + "stockade ".len()..]
                    .split(|letter: char| !letter.is_ascii_lowercase())
                    .next();
                let name = name.unwrap_or_default();
                assert!(
                    name.is_empty() || program.find_subcommand(name).is_some(),
                    "{topic}: {name}"
                );
            }
        }
    }

    #[test]
    fn drivers_and_exit_codes_of_the_topics_are_the_real_ones() {
        let of = |name: &str| text(&[name]).unwrap();
        for driver in service::DRIVERS {
            assert!(of("drivers").contains(driver), "{driver}");
        }
        for code in ["124", "125", "126", "127", "137", "128+N"] {
            assert!(of("exit-codes").contains(code), "{code}");
        }
    }

    #[test]
    fn every_topic_is_named_in_the_help_of_the_command() {
        let help = of_command(&["help"]).unwrap();
        for (topic, _) in TOPICS {
            assert!(help.contains(topic), "{topic}");
        }
    }

    #[test]
    fn lines_fit_a_terminal() {
        for (topic, text) in TOPICS {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{topic}");
        }
    }

    #[test]
    fn commands_are_explained_and_typing_mistakes_met() {
        assert!(text(&["policy", "check"]).unwrap().contains("--json"));
        assert!(text(&[]).unwrap().contains("exit-codes"));
        let error = text(&["workspce"]).unwrap_err().to_string();
        assert!(error.contains("did you mean workspace?"), "{error}");
    }
}
