//! What all sandboxes share, in a clause.

use stockade_domain::units::{ByteCount, CpuMillis};

use crate::service::budget::Shared;

/// How much of the budget is used.
pub fn budget_text(shared: &Shared) -> String {
    let mut parts = Vec::new();
    if let Some(limit) = shared.memory_limit_bytes {
        let used = shared
            .memory_bytes
            .map_or_else(|| "?".to_owned(), |bytes| ByteCount(bytes).to_string());
        parts.push(format!("{used} of {} of memory", ByteCount(limit)));
    }
    parts.extend(
        shared
            .cpu_limit_permille
            .map(|millis| format!("at most {}", CpuMillis(millis))),
    );
    format!("all together {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_limits_are_told() {
        let mut shared = Shared {
            memory_limit_bytes: Some(16 << 30),
            memory_bytes: Some(3 << 30),
            cpu_limit_permille: Some(7000),
        };
        assert_eq!(
            budget_text(&shared),
            "all together 3 GiB of 16 GiB of memory, at most 7.00 processors"
        );
        shared.memory_limit_bytes = None;
        assert_eq!(budget_text(&shared), "all together at most 7.00 processors");
    }
}
