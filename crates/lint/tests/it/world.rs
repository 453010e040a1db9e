//! Texts, read and checked.

use std::collections::{BTreeMap, BTreeSet};

use stockade_lint::model::Document;
use stockade_lint::{Beside, Checked, LintError, NothingBeside, Options, check, read, rules};

/// A container as `docker inspect` describes it, set up well.
pub const INSPECT: &str = include_str!("fixtures/docker-inspect.json");

pub fn document(name: &str, text: &str) -> Result<Document, LintError> {
    document_beside(name, text, &NothingBeside)
}

pub fn document_beside(name: &str, text: &str, beside: &dyn Beside) -> Result<Document, LintError> {
    let variables = BTreeMap::from([("KNOWN".to_owned(), "known".to_owned())]);
    let options = Options {
        variables: &variables,
        beside,
    };
    read(name, text.as_bytes(), &options)
}

pub fn checked(document: &Document) -> Checked {
    check(document, &rules::all().expect("the table"), &BTreeSet::new())
}

/// The rules that a text breaks.
pub fn broken(name: &str, text: &str) -> BTreeSet<String> {
    let document = document(name, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    checked(&document)
        .findings
        .into_iter()
        .map(|one| one.rule)
        .collect()
}

/// What was not understood.
pub fn unknown(name: &str, text: &str) -> Vec<String> {
    let document = document(name, text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    document
        .unknown
        .iter()
        .map(|one| format!("{}: {}", one.at, one.what))
        .collect()
}
