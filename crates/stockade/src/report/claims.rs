//! What is said of sandboxes, and what this host shows of it.

use std::fmt::Write;

use super::{Paint, harmless};
use crate::service::probe::claims::{Shown, Source, Told};

/// A paragraph for each claim.
pub fn claims_text(claims: &[Told], paint: Paint) -> String {
    let mut text = String::new();
    for one in claims {
        let (word, seen) = match &one.shown {
            Shown::True { seen } => (paint.bold("TRUE here"), seen),
            Shown::False { seen } => (paint.yellow("FALSE here"), seen),
            Shown::Not { why } => ("not shown".to_owned(), why),
        };
        let first: String = seen
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{} ({})", paint.bold(one.claim), source(one.source));
        let _ = writeln!(text, "  {word}: {}", harmless(&first));
        let _ = writeln!(text, "  Stockade: {}", one.stockade);
    }
    text
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Articles => "articles",
        Source::Incidents => "incidents",
        Source::Belief => "common belief",
    }
}
