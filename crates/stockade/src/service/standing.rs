//! What a driver says here of each control: of those that the policy asks for, and of every other.

use stockade_domain::units::{ByteCount, CpuLimit, DurationMs};
use stockade_domain::{Control, ControlKind, Demand, Need, Origin, Support};

use super::policy::Explained;
use super::{Result, driver};

/// One driver.
pub(super) struct Standing {
    /// What it says of each control, those that the policy asks for first.
    pub claims: Vec<(ControlKind, Support)>,
    /// What the policy requires and it cannot enforce: it has to be given up by name.
    pub given_up: Vec<ControlKind>,
    /// Why it is no wall at all for whoever runs this: it does not even keep files from being read.
    pub refused: Option<String>,
}

impl Standing {
    /// Asks a driver.
    ///
    /// # Errors
    /// The host cannot be looked at.
    pub async fn of(explained: &Explained, name: &str) -> Result<Self> {
        let driver = driver(name)?;
        let target = driver.survey().await?;
        let at = explained.drivers.iter().position(|row| row.driver == name);
        let mut claims = Vec::new();
        let mut given_up = Vec::new();
        for row in &explained.controls {
            let kind = row.demand.control.kind();
            let Some(support) = at.and_then(|at| row.support.get(at)) else {
                continue;
            };
            if row.demand.need == Need::Require && is_absent(support) {
                given_up.push(kind);
            }
            claims.push((kind, support.clone()));
        }
        for kind in ControlKind::ALL {
            let Some(control) = some(kind) else { continue };
            if !claims.iter().any(|(claimed, _)| *claimed == kind) {
                let demand = Demand {
                    control,
                    need: Need::Prefer,
                    origin: Origin::Default,
                };
                claims.push((kind, driver.support(&target, &demand)));
            }
        }
        let mut this = Self {
            claims,
            given_up,
            refused: None,
        };
        this.refused = this.absence(ControlKind::FilesUnreadable);
        Ok(this)
    }

    /// Why a control is not enforced, with what to do; none where it is.
    pub fn absence(&self, kind: ControlKind) -> Option<String> {
        match self.claims.iter().find(|(claimed, _)| *claimed == kind) {
            Some((_, Support::Absent { why, fix: Some(fix) })) => Some(format!("{why} ({fix})")),
            Some((_, Support::Absent { why, fix: None })) => Some(why.clone()),
            Some(_) => None,
            None => Some(format!("it says nothing of {kind}")),
        }
    }
}

/// A control as a policy could ask for it, a limit with some value: what a driver says of it does not
/// depend on that. A budget has no meaning but in a policy that sets one.
fn some(kind: ControlKind) -> Option<Control> {
    match kind {
        ControlKind::BudgetMemory | ControlKind::BudgetCpu => None,
        ControlKind::Cpu => Some(Control::Cpu(CpuLimit {
            quota_millis: Some(1000),
            weight: CpuLimit::DEFAULT_WEIGHT,
        })),
        ControlKind::Memory => Some(Control::Memory(ByteCount(1 << 30))),
        ControlKind::Pids => Some(Control::Pids(1024)),
        ControlKind::Disk => Some(Control::Disk(ByteCount(1 << 30))),
        ControlKind::WallTime => Some(Control::WallTime(DurationMs(3_600_000))),
        ControlKind::Output => Some(Control::Output(ByteCount(1 << 30))),
        wall => Some(Control::Wall(wall)),
    }
}

fn is_absent(support: &Support) -> bool {
    matches!(support, Support::Absent { .. })
}
