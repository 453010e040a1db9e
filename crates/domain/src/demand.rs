//! What a policy asks for: controls, how much each is needed, and who wrote it.

use serde::{Deserialize, Serialize};

use crate::control::{Control, ControlKind};

/// How much a control is needed. There is no best effort: a preferred control that
/// cannot be had is printed and kept in the audit log.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Without it there is no sandbox.
    Require,
    /// Without it the run goes on and says so.
    Prefer,
}

/// Where a demand comes from, so that a refusal can point at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody wrote it: a default of Stockade.
    Default,
    /// A policy file; `line` and `column` count from 1.
    File {
        /// The file as it was named.
        path: String,
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
    },
    /// A command-line flag, as it would be typed.
    Flag(String),
    /// Another control that cannot stand without this one.
    DependencyOf(ControlKind),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => out.write_str("default policy"),
            Self::File { path, line, column } => write!(out, "{path}:{line}:{column}"),
            Self::Flag(flag) => out.write_str(flag),
            Self::DependencyOf(kind) => write!(out, "needed by {kind}"),
        }
    }
}

/// One control that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The control and its value.
    pub control: Control,
    /// How much it is needed.
    pub need: Need,
    /// Who asked.
    pub origin: Origin,
}

/// All that a policy asks for: one demand a control, dependencies included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demands(Vec<Demand>);

impl Demands {
    /// Collects demands. A later demand for the same control replaces an earlier one,
    /// except that a requirement is never replaced by a preference from a dependency.
    #[must_use]
    pub fn new(demands: impl IntoIterator<Item = Demand>) -> Self {
        let mut all = Self::default();
        for demand in demands {
            all.set(demand);
        }
        all.close_over_dependencies();
        all
    }

    fn set(&mut self, demand: Demand) {
        match self.position(demand.control.kind()) {
            Some(index) => self.0[index] = demand,
            None => self.0.push(demand),
        }
    }

    fn position(&self, kind: ControlKind) -> Option<usize> {
        self.0.iter().position(|demand| demand.control.kind() == kind)
    }

    fn close_over_dependencies(&mut self) {
        let mut index = 0;
        while index < self.0.len() {
            let (kind, need) = (self.0[index].control.kind(), self.0[index].need);
            for dependency in kind.depends_on() {
                match self.position(*dependency) {
                    Some(present) => self.0[present].need = self.0[present].need.min(need),
                    None => self.0.push(Demand {
                        control: Control::Wall(*dependency),
                        need,
                        origin: Origin::DependencyOf(kind),
                    }),
                }
            }
            index += 1;
        }
        self.0.sort_by_key(|demand| demand.control.kind());
    }

    /// The demands, in report order.
    pub fn iter(&self) -> impl Iterator<Item = &Demand> {
        self.0.iter()
    }

    /// The demand for a control, if it is asked for.
    #[must_use]
    pub fn get(&self, kind: ControlKind) -> Option<&Demand> {
        self.position(kind).map(|index| &self.0[index])
    }
}
