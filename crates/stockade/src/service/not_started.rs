//! What to do about a command that did not start.

use stockade_host::Error;
use stockade_host::error::CommandFailure;

/// Adds what to do, where the error does not say it already. `hidden` tells of a command that
/// exists on the host and that the policy hides: without namespaces it is found, and refused.
pub fn explain(error: Error, hidden: impl FnOnce(&str) -> Option<String>) -> Error {
    let Error::Command {
        kind,
        command,
        text,
        remedy: None,
    } = error
    else {
        return error;
    };
    let remedy = match kind {
        CommandFailure::NotFound => hidden(&command).or_else(|| Some(where_to_look(&command))),
        CommandFailure::NotExecutable => {
            hidden(&command).or_else(|| Some(format!("chmod +x {command}, or name the program that runs it")))
        }
        CommandFailure::BadDirectory => Some("name a directory that exists inside".to_owned()),
        CommandFailure::Refused | CommandFailure::Other => None,
    };
    Error::Command {
        kind,
        command,
        text,
        remedy,
    }
}

fn where_to_look(command: &str) -> String {
    if command.contains('/') {
        "check the path: `stockade run --dry-run` lists what exists inside".to_owned()
    } else {
        format!(
            "check the name, or install it on the host; a program of the project needs its path: ./{command}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(kind: CommandFailure, command: &str, hidden: Option<&str>) -> Option<String> {
        let error = Error::Command {
            kind,
            command: command.to_owned(),
            text: String::new(),
            remedy: None,
        };
        match explain(error, |_| hidden.map(str::to_owned)) {
            Error::Command { remedy, .. } => remedy,
            _ => None,
        }
    }

    #[test]
    fn a_hidden_command_is_told_to_be_hidden() {
        let told = remedy(CommandFailure::NotFound, "tool", Some("it is hidden"));
        assert_eq!(told.as_deref(), Some("it is hidden"));
        let refused = remedy(CommandFailure::NotExecutable, "tool", Some("it is hidden"));
        assert_eq!(refused.as_deref(), Some("it is hidden"));
    }

    #[test]
    fn a_name_and_a_path_are_looked_for_in_different_places() {
        let name = remedy(CommandFailure::NotFound, "tool", None).unwrap_or_default();
        let path = remedy(CommandFailure::NotFound, "./tool", None).unwrap_or_default();
        assert!(
            name.contains("./tool") && path.contains("--dry-run"),
            "{name} {path}"
        );
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let error = explain(Error::protocol("x"), |_| None);
        assert!(matches!(error, Error::Protocol { .. }));
    }
}
