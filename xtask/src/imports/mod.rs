//! `imports`: the arrows between crates and modules are the ones that were drawn.

mod crates;
mod modules;
mod paths;

use anyhow::Result;

use crate::Findings;
use crate::tree::Tree;

/// Looks at the crates' manifests and at every Rust file.
pub fn check(tree: &Tree) -> Result<Findings> {
    let crates = crates::check(tree)?;
    let modules = modules::check(tree)?;
    for (package, uses) in &crates.development_only {
        println!("note: {package} uses {} in its tests only", uses.join(", "));
    }
    Ok(Findings {
        looked_at: format!(
            "{} crates and {} guarded files import as drawn",
            crates.count, modules.guarded
        ),
        problems: [crates.problems, modules.problems].concat(),
    })
}
