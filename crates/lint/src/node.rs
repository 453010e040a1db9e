//! A document as a tree in which everything knows where it stands.

use std::rc::Rc;

use serde::Serialize;

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Where {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1; none where the format tells no places (JSON).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The way through the document: `services.web.volumes[0]`.
    pub path: String,
}

impl std::fmt::Display for Where {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(out, "{}:{line}:{column}", self.file),
            _ if self.path.is_empty() => out.write_str(&self.file),
            _ => write!(out, "{}: {}", self.file, self.path),
        }
    }
}

/// Line and column, from 1; none in JSON.
pub(crate) type Mark = Option<(u32, u32)>;

/// A value with its place. Aliases share what they stand for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub value: Value,
    pub mark: Mark,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Anything that is neither list nor map. `plain` is without quotes: `null` is then no text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Rc<Node>>),
    /// In the order of the file; no key twice.
    Map(Vec<(String, Mark, Rc<Node>)>),
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }
}

/// A node and the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    pub node: Rc<Node>,
    pub file: Rc<str>,
    pub path: String,
    /// Of the key, where there is one: it is what a person looks for.
    mark: Mark,
}

impl Cursor {
    pub fn root(node: Rc<Node>, file: Rc<str>) -> Self {
        let mark = node.mark;
        Self {
            node,
            file,
            path: String::new(),
            mark,
        }
    }

    pub fn at(&self) -> Where {
        Where {
            file: self.file.to_string(),
            line: self.mark.map(|(line, _)| line),
            column: self.mark.map(|(_, column)| column),
            path: self.path.clone(),
        }
    }

    /// What a key holds; none if it is not there or null.
    pub fn get(&self, key: &str) -> Option<Self> {
        let Value::Map(entries) = &self.node.value else {
            return None;
        };
        let (_, mark, node) = entries.iter().find(|(name, ..)| name == key)?;
        (!node.is_null()).then(|| self.below(key, *mark, node))
    }

    /// The same through several keys.
    pub fn find(&self, keys: &[&str]) -> Option<Self> {
        keys.iter().try_fold(self.clone(), |at, key| at.get(key))
    }

    fn below(&self, key: &str, mark: Mark, node: &Rc<Node>) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            node: Rc::clone(node),
            file: Rc::clone(&self.file),
            path: format!("{}{dot}{key}", self.path),
            mark: mark.or(node.mark),
        }
    }

    /// Keys and what they hold; none if it is no map.
    pub fn entries(&self) -> Option<Vec<(String, Self)>> {
        let Value::Map(entries) = &self.node.value else {
            return None;
        };
        let below =
            |(key, mark, node): &(String, Mark, Rc<Node>)| (key.clone(), self.below(key, *mark, node));
        Some(entries.iter().map(below).collect())
    }

    /// The items; none if it is no list.
    pub fn items(&self) -> Option<Vec<Self>> {
        let Value::List(items) = &self.node.value else {
            return None;
        };
        let item = |(index, node): (usize, &Rc<Node>)| Self {
            node: Rc::clone(node),
            file: Rc::clone(&self.file),
            path: format!("{}[{index}]", self.path),
            mark: node.mark,
        };
        Some(items.iter().enumerate().map(item).collect())
    }

    /// The text of what is neither list nor map.
    pub fn text(&self) -> Option<&str> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Some(text),
            _ => None,
        }
    }

    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }
}
