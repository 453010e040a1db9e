//! `stockade choose`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use stockade_domain::advise::threat::{
    Ability, Answer, Code, Data, Lifetime, Network, Purpose, Reads, System, Tenancy,
};
use stockade_domain::units::DurationMs;

/// Tells which wall is strong enough for a threat, and why not the others
///
/// Answers are given by flags, in a file, or one by one where a person is at the terminal. What is not
/// answered is a coding agent on its developer's own machine. The lightest wall that is strong enough
/// comes first; nothing weaker is ever offered in its place. Exit code 1 if nothing on this host is
/// strong enough.
#[derive(Args, Debug)]
pub struct ChooseArgs {
    /// Who wrote what will run: own, team, agent, public, hostile
    #[arg(long, value_name = "WHO", value_parser = answer::<Code>)]
    pub code: Option<Code>,
    /// What it reads, and could be steered by: trusted, untrusted
    #[arg(long, value_name = "WHAT", value_parser = answer::<Reads>)]
    pub reads: Option<Reads>,
    /// The worth of what it can reach: none, internal, secret, regulated
    #[arg(long, value_name = "WORTH", value_parser = answer::<Data>)]
    pub data: Option<Data>,
    /// The network that it needs: none, allowlist, open
    #[arg(long, value_name = "WHICH", value_parser = answer::<Network>)]
    pub network: Option<Network>,
    /// Whose sandboxes share the host: single, multi
    #[arg(long, value_name = "WHOSE", value_parser = answer::<Tenancy>)]
    pub tenancy: Option<Tenancy>,
    /// How many run at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub agents: Option<u32>,
    /// How long each runs: short, long
    #[arg(long, value_name = "HOW", value_parser = answer::<Lifetime>)]
    pub lifetime: Option<Lifetime>,
    /// The operating system of the host: linux, macos, windows
    #[arg(long, value_name = "NAME", value_parser = answer::<System>)]
    pub system: Option<System>,
    /// What it is for: try, development, production
    #[arg(long, value_name = "WHAT", value_parser = answer::<Purpose>)]
    pub purpose: Option<Purpose>,
    /// What it needs besides: gpu, nested-docker, database, init, other-system, desktop, portable,
    /// images, many, fixed-function; may be given several times
    #[arg(long, value_name = "ABILITY", value_delimiter = ',', value_parser = answer::<Ability>)]
    pub needs: Vec<Ability>,
    /// How long the start may take: 50ms, 2s
    #[arg(long, value_name = "TIME")]
    pub start: Option<DurationMs>,
    /// It may cost money by the hour
    #[arg(long)]
    pub paid: bool,
    /// Read the answers from a file of TOML; flags come on top
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub threat: Option<PathBuf>,
    /// Write the policy that goes with the choice to a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub policy_out: Option<PathBuf>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl ChooseArgs {
    /// Whether nothing was answered, so that a person can be asked.
    pub fn is_silent(&self) -> bool {
        self.code.is_none()
            && self.reads.is_none()
            && self.data.is_none()
            && self.network.is_none()
            && self.tenancy.is_none()
            && self.agents.is_none()
            && self.lifetime.is_none()
            && self.system.is_none()
            && self.purpose.is_none()
            && self.needs.is_empty()
            && self.start.is_none()
            && !self.paid
            && self.threat.is_none()
    }
}

/// An answer by its name.
fn answer<T: Answer + Send + Sync>(text: &str) -> Result<T, String> {
    let word: StrDeserializer<Error> = text.into_deserializer();
    T::deserialize(word).map_err(|_| {
        let names: Vec<String> = T::ALL.iter().filter_map(name).collect();
        format!("one of {}", names.join(", "))
    })
}

/// How an answer is written.
pub fn name<T: Answer>(answer: &T) -> Option<String> {
    let value = serde_json::to_value(answer).ok()?;
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_by_their_names_and_others_are_refused_with_all() {
        assert_eq!(answer::<Code>("hostile"), Ok(Code::Hostile));
        assert_eq!(answer::<Ability>("nested-docker"), Ok(Ability::NestedDocker));
        assert_eq!(
            answer::<Reads>("all"),
            Err("one of trusted, untrusted".to_owned())
        );
    }
}
