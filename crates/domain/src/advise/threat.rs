//! What there is to fear: the questions, and their answers as data.

use serde::{Deserialize, Serialize};

/// An answer out of few. Its name is the one that it has in files.
pub trait Answer: Copy + PartialEq + Serialize + for<'a> Deserialize<'a> + 'static {
    /// Every answer, the mildest first.
    const ALL: &'static [Self];

    /// What it means, in words.
    fn meaning(self) -> &'static str;
}

/// An answer out of few.
macro_rules! answers {
    ($(#[$about:meta])* $name:ident { $($(#[$says:meta])* $variant:ident => $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$says])* $variant,)+
        }

        impl Answer for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }
    };
}

answers! {
    /// Who wrote what will run.
    Code {
        /// The user.
        Own => "I wrote it, or read it",
        /// Colleagues.
        Team => "my team wrote it",
        /// An AI agent, and what it writes.
        Agent => "an AI agent, and what it writes and starts",
        /// Strangers: a package, a repository, a plugin.
        Public => "strangers: packages, repositories, what users upload",
        /// Somebody who attacks.
        Hostile => "known or thought to be hostile",
    }
}

answers! {
    /// What it reads, and could be steered by.
    Reads {
        /// Only what the user trusts.
        Trusted => "only what I trust: my own files and instructions",
        /// Web pages, issues, mail, documents of others.
        Untrusted => "also text of strangers: web pages, issues, mail, documents",
    }
}

answers! {
    /// The worth of what it can reach.
    Data {
        /// Nothing that matters.
        None => "nothing that matters",
        /// The sources, for example.
        Internal => "internal: sources, drafts",
        /// Keys, customers' data.
        Secret => "secret: keys, customers' data",
        /// The law asks for it.
        Regulated => "regulated: health, payment, personal data under law",
    }
}

answers! {
    /// The network that it needs.
    Network {
        /// None.
        None => "none",
        /// Some hosts.
        Allowlist => "some hosts, which can be named",
        /// Any.
        Open => "any",
    }
}

answers! {
    /// Whose sandboxes share the host.
    Tenancy {
        /// One owner's.
        Single => "mine alone",
        /// Several owners'.
        Multi => "of several owners, who must not meet",
    }
}

answers! {
    /// How long it runs.
    Lifetime {
        /// Up to minutes.
        Short => "up to minutes",
        /// Hours and more.
        Long => "hours or days",
    }
}

answers! {
    /// The operating system of the host.
    System {
        /// Linux.
        Linux => "Linux",
        /// macOS.
        Macos => "macOS",
        /// Windows.
        Windows => "Windows",
    }
}

answers! {
    /// What it is for.
    Purpose {
        /// Trying something out.
        Try => "to try something out",
        /// Daily work.
        Development => "for daily work",
        /// Others rely on it.
        Production => "in production: others rely on it",
    }
}

answers! {
    /// What not every way of isolating gives.
    Ability {
        /// A graphics processor.
        Gpu => "a graphics processor",
        /// A Docker daemon inside.
        NestedDocker => "Docker inside",
        /// A database server beside it.
        Database => "a database server",
        /// A whole system with an init.
        Init => "a whole system with an init",
        /// Another operating system.
        OtherSystem => "another operating system",
        /// Graphical programs.
        Desktop => "a desktop",
        /// The same on every developer's machine.
        Portable => "the same on every developer's machine",
        /// Images of a registry.
        Images => "images of a registry",
        /// Placement on many machines.
        Many => "many machines",
        /// One program that never changes.
        FixedFunction => "one program that never changes",
    }
}

/// All answers. What is not answered is a coding agent on its developer's own machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Threat {
    /// Who wrote what will run.
    pub code: Code,
    /// What it reads.
    pub reads: Reads,
    /// The worth of what it can reach.
    pub data: Data,
    /// The network that it needs.
    pub network: Network,
    /// Whose sandboxes share the host.
    pub tenancy: Tenancy,
    /// How many at once.
    pub agents: u32,
    /// How long each runs.
    pub lifetime: Lifetime,
    /// The operating system of the host.
    pub system: System,
    /// What it is for.
    pub purpose: Purpose,
    /// What it needs besides.
    pub needs: Vec<Ability>,
    /// How long the start may take, in milliseconds.
    pub start_ms: Option<u64>,
    /// It may cost money by the hour.
    pub paid: bool,
}

impl Default for Threat {
    fn default() -> Self {
        Self {
            code: Code::Agent,
            reads: Reads::Trusted,
            data: Data::Internal,
            network: Network::None,
            tenancy: Tenancy::Single,
            agents: 1,
            lifetime: Lifetime::Short,
            system: System::Linux,
            purpose: Purpose::Development,
            needs: Vec::new(),
            start_ms: None,
            paid: false,
        }
    }
}
