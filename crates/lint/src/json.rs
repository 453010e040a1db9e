//! JSON, as a tree without places.

use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::error::Unreadable;
use crate::limits::MAX_DEPTH;
use crate::node::{Node, Value};

/// Reads a text that is one value.
pub(crate) fn parse(text: &str) -> Result<Rc<Node>, Unreadable> {
    let read: Wrapped = serde_json::from_str(text).map_err(|error| {
        let mark = u32::try_from(error.line())
            .ok()
            .zip(u32::try_from(error.column()).ok());
        Unreadable::at(mark, error.to_string())
    })?;
    if read.height > MAX_DEPTH {
        return Err(Unreadable::at(
            None,
            format!("this is nested more than {MAX_DEPTH} deep"),
        ));
    }
    Ok(read.node)
}

struct Wrapped {
    node: Rc<Node>,
    height: usize,
}

impl Wrapped {
    fn new(value: Value, height: usize) -> Self {
        let node = Rc::new(Node { value, mark: None });
        Self { node, height }
    }

    fn scalar(text: String, plain: bool) -> Self {
        Self::new(Value::Scalar { text, plain }, 0)
    }
}

impl<'de> Deserialize<'de> for Wrapped {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        source.deserialize_any(Tree)
    }
}

struct Tree;

impl<'de> Visitor<'de> for Tree {
    type Value = Wrapped;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar("null".to_owned(), true))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar(value.to_string(), true))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar(value.to_string(), true))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar(value.to_string(), true))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar(value.to_string(), true))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Wrapped, E> {
        Ok(Wrapped::scalar(value.to_owned(), false))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Wrapped, A::Error> {
        let (mut items, mut height) = (Vec::new(), 0);
        while let Some(item) = source.next_element::<Wrapped>()? {
            height = height.max(item.height + 1);
            items.push(item.node);
        }
        Ok(Wrapped::new(Value::List(items), height))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Wrapped, A::Error> {
        let (mut entries, mut names, mut height) = (Vec::new(), HashSet::new(), 0);
        while let Some((name, item)) = source.next_entry::<String, Wrapped>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("the key {name} is there twice")));
            }
            height = height.max(item.height + 1);
            entries.push((name, None, item.node));
        }
        Ok(Wrapped::new(Value::Map(entries), height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Cursor;

    #[test]
    fn values_are_found_by_their_way() {
        let root = Cursor::root(parse(r#"[{"a": {"b": [true, null]}}]"#).unwrap(), "f".into());
        let list = root.items().unwrap()[0].find(&["a", "b"]).unwrap();
        assert_eq!(list.items().unwrap()[0].text(), Some("true"));
        assert_eq!(list.at().to_string(), "f: [0].a.b");
    }

    #[test]
    fn what_says_two_things_or_is_too_deep_is_refused() {
        let refused = |text: &str| parse(text).unwrap_err().to_string();
        assert!(refused(r#"{"a": 1, "a": 2}"#).contains("twice"));
        assert!(refused(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).contains("deep"));
        assert!(refused(&"[".repeat(100_000)).contains("recursion"));
    }
}
