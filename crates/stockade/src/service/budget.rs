//! What all sandboxes of the host may use together, as lists show it.

use serde::Serialize;
use stockade_host::meter::BudgetUse;

/// Limits that all sandboxes share, and what they use of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// Memory that all may use.
    pub memory_limit_bytes: Option<u64>,
    /// Memory that all use, caches included that the kernel can take back.
    pub memory_bytes: Option<u64>,
    /// Processor time that all may use, in thousandths of one processor.
    pub cpu_limit_permille: Option<u32>,
}

impl From<BudgetUse> for Shared {
    fn from(found: BudgetUse) -> Self {
        Self {
            memory_limit_bytes: found.budget.memory_bytes,
            memory_bytes: found.memory_bytes,
            cpu_limit_permille: found.budget.cpu_millis,
        }
    }
}
