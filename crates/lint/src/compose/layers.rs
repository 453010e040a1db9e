//! A service and what it extends, with its variables put in.

use std::collections::BTreeMap;

use crate::gather::{Gather, truth};
use crate::node::{Cursor, Where};
use crate::variables::fill;

/// The uppermost layer first.
pub(super) struct Layers<'a> {
    all: Vec<Cursor>,
    variables: &'a BTreeMap<String, String>,
}

/// A text with its place.
pub(super) struct Said {
    pub text: String,
    /// False if it depends on a variable without a value.
    pub is_known: bool,
    pub at: Where,
    pub path: String,
}

impl<'a> Layers<'a> {
    pub fn new(all: Vec<Cursor>, variables: &'a BTreeMap<String, String>) -> Self {
        Self { all, variables }
    }

    pub fn at(&self) -> Where {
        self.all.first().map(Cursor::at).unwrap_or_default()
    }

    pub fn each(&self) -> impl Iterator<Item = &Cursor> {
        self.all.iter()
    }

    /// What the uppermost layer says that says anything.
    pub fn find(&self, keys: &[&str]) -> Option<Cursor> {
        self.all.iter().find_map(|layer| layer.find(keys))
    }

    /// The text of a value; what is not known is told.
    pub fn said(&self, at: Option<Cursor>, gather: &mut Gather) -> Option<Said> {
        let said = self.quietly(at, gather)?;
        if !said.is_known {
            let what = format!(
                "{} is known only when it is started: {}",
                said.path,
                crate::gather::shown(&said.text)
            );
            gather.unknown(said.at.clone(), what);
        }
        Some(said)
    }

    /// The same for what may well be unknown.
    pub fn quietly(&self, at: Option<Cursor>, gather: &mut Gather) -> Option<Said> {
        let path = at.as_ref().map(|at| at.path.clone())?;
        let (text, at) = gather.text(at)?;
        let filled = fill(&text, self.variables);
        for name in filled.defaulted {
            gather.notes.insert(format!(
                "{}: the default that is written there was taken for ${name}",
                at.file
            ));
        }
        Some(Said {
            text: filled.text,
            is_known: filled.missing.is_empty(),
            at,
            path,
        })
    }

    /// A truth value; what is neither is told, and so is what is not known.
    pub fn flag(&self, at: Option<Cursor>, gather: &mut Gather) -> Option<(bool, Where)> {
        let said = self.said(at, gather)?;
        match truth(&said.text) {
            Some(value) => Some((value, said.at)),
            None => {
                if said.is_known {
                    gather.unknown(said.at, format!("{} should be true or false", said.path));
                }
                None
            }
        }
    }

    /// Items of a list in all layers.
    pub fn items(&self, key: &str, gather: &mut Gather) -> Vec<Cursor> {
        self.each()
            .flat_map(|layer| gather.list(layer.get(key)))
            .collect()
    }

    /// The texts of a list, or of one value, in all layers.
    pub fn texts(&self, key: &str, gather: &mut Gather) -> Vec<Said> {
        let mut texts = Vec::new();
        for layer in self.each() {
            let Some(list) = layer.get(key) else { continue };
            let items = if list.text().is_some() {
                vec![list]
            } else {
                gather.list(Some(list))
            };
            texts.extend(items.into_iter().filter_map(|item| self.said(Some(item), gather)));
        }
        texts
    }
}
