//! YAML, from the events of the parser: without recursion, and within bounds.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::error::Unreadable;
use crate::limits::{MAX_DEPTH, MAX_VALUES};
use crate::node::{Mark, Node, Value};

/// What a text holds.
#[derive(Default)]
pub(crate) struct Yaml {
    pub documents: Vec<Rc<Node>>,
    /// Tags that change a meaning in a way that we do not know, with their places.
    pub tags: Vec<(String, Mark)>,
}

/// Reads every document of a text.
pub(crate) fn parse(text: &str) -> Result<Yaml, Unreadable> {
    let mut reading = Reading::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            Unreadable::at(place(mark.line(), mark.col()), error.info())
        })?;
        reading.event(event, &span)?;
    }
    Ok(reading.done)
}

fn place(line: usize, column: usize) -> Mark {
    Some((
        u32::try_from(line).ok()?,
        u32::try_from(column).ok()?.saturating_add(1),
    ))
}

/// A node with what it costs: aliases make small texts large.
#[derive(Clone)]
struct Built {
    node: Rc<Node>,
    values: usize,
    height: usize,
}

#[derive(Default)]
struct Reading {
    open: Vec<Frame>,
    anchors: BTreeMap<usize, Built>,
    values: usize,
    done: Yaml,
}

/// A list or map whose end was not seen yet.
struct Frame {
    anchor: usize,
    mark: Mark,
    values: usize,
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Rc<Node>>),
    Map {
        entries: Vec<(String, Mark, Rc<Node>)>,
        names: HashSet<String>,
        key: Option<(String, Mark)>,
        /// What merge keys bring, which explicit keys precede.
        merged: Vec<Rc<Node>>,
    },
}

impl Reading {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Unreadable> {
        let mark = place(span.start.line(), span.start.col());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.tag(tag.as_deref(), mark);
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain && !is_text,
                };
                self.close(value, mark, anchor, 1, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                self.tag(tag.as_deref(), mark);
                self.begin(anchor, mark, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.tag(tag.as_deref(), mark);
                let content = Content::Map {
                    entries: Vec::new(),
                    names: HashSet::new(),
                    key: None,
                    merged: Vec::new(),
                };
                self.begin(anchor, mark, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => {
                let Some(built) = self.anchors.get(&anchor).cloned() else {
                    return Err(Unreadable::at(
                        mark,
                        "this alias stands for something that it is a part of",
                    ));
                };
                self.take(built, mark)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn tag(&mut self, tag: Option<&Tag>, mark: Mark) {
        if let Some(tag) = tag.filter(|tag| !tag.is_yaml_core_schema()) {
            self.done.tags.push((tag.to_string(), mark));
        }
    }

    fn begin(&mut self, anchor: usize, mark: Mark, content: Content) -> Result<(), Unreadable> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(mark));
        }
        self.open.push(Frame {
            anchor,
            mark,
            values: 1,
            height: 0,
            content,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Unreadable> {
        let Some(frame) = self.open.pop() else {
            return Err(Unreadable::at(None, "something ends that did not begin"));
        };
        let value = match frame.content {
            Content::List(items) => Value::List(items),
            Content::Map {
                mut entries,
                mut names,
                merged,
                ..
            } => {
                for from in merged {
                    merge(&from, &mut entries, &mut names, frame.mark)?;
                }
                Value::Map(entries)
            }
        };
        self.close(value, frame.mark, frame.anchor, frame.values, frame.height)
    }

    fn close(
        &mut self,
        value: Value,
        mark: Mark,
        anchor: usize,
        values: usize,
        height: usize,
    ) -> Result<(), Unreadable> {
        let built = Built {
            node: Rc::new(Node { value, mark }),
            values,
            height,
        };
        if anchor > 0 {
            self.anchors.insert(anchor, built.clone());
        }
        self.take(built, mark)
    }

    /// Puts a node where it belongs: into the list or map that is open, or it is a document.
    fn take(&mut self, built: Built, mark: Mark) -> Result<(), Unreadable> {
        let Some(frame) = self.open.last_mut() else {
            self.values = self.values.saturating_add(built.values);
            if self.values > MAX_VALUES {
                return Err(too_many(mark));
            }
            self.done.documents.push(built.node);
            return Ok(());
        };
        frame.values = frame.values.saturating_add(built.values);
        frame.height = frame.height.max(built.height + 1);
        if frame.values > MAX_VALUES {
            return Err(too_many(mark));
        }
        if frame.height > MAX_DEPTH {
            return Err(too_deep(mark));
        }
        match &mut frame.content {
            Content::List(items) => items.push(built.node),
            Content::Map {
                entries,
                names,
                key,
                merged,
            } => match key.take() {
                None => *key = Some((key_text(&built.node, mark)?, mark)),
                Some((name, _)) if name == "<<" => merged.push(built.node),
                Some((name, at)) => {
                    if !names.insert(name.clone()) {
                        return Err(Unreadable::at(at, format!("the key {name} is there twice")));
                    }
                    entries.push((name, at, built.node));
                }
            },
        }
        Ok(())
    }
}

fn key_text(node: &Node, mark: Mark) -> Result<String, Unreadable> {
    match &node.value {
        Value::Scalar { text, .. } => Ok(text.clone()),
        Value::List(_) | Value::Map(_) => Err(Unreadable::at(mark, "a list or map cannot be a key")),
    }
}

/// Takes over what is not there yet.
fn merge(
    from: &Node,
    entries: &mut Vec<(String, Mark, Rc<Node>)>,
    names: &mut HashSet<String>,
    mark: Mark,
) -> Result<(), Unreadable> {
    match &from.value {
        Value::Map(more) => {
            for (name, at, node) in more {
                if names.insert(name.clone()) {
                    entries.push((name.clone(), *at, Rc::clone(node)));
                }
            }
            Ok(())
        }
        Value::List(maps) if maps.iter().all(|one| matches!(one.value, Value::Map(_))) => {
            maps.iter().try_for_each(|one| merge(one, entries, names, mark))
        }
        Value::List(_) | Value::Scalar { .. } => Err(Unreadable::at(
            mark,
            "the merge key << takes a map, or a list of maps",
        )),
    }
}

fn too_deep(mark: Mark) -> Unreadable {
    Unreadable::at(mark, format!("this is nested more than {MAX_DEPTH} deep"))
}

fn too_many(mark: Mark) -> Unreadable {
    Unreadable::at(
        mark,
        format!("with its aliases followed, this has more than {MAX_VALUES} values"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Cursor;

    fn root(text: &str) -> Cursor {
        let yaml = parse(text).unwrap();
        Cursor::root(Rc::clone(&yaml.documents[0]), "f".into())
    }

    fn refused(text: &str) -> String {
        parse(text).err().expect("it is refused").to_string()
    }

    #[test]
    fn everything_knows_where_it_stands() {
        let root = root("a:\n  b:\n    - x\n    - y: z\n");
        let found = root.find(&["a", "b"]).unwrap().items().unwrap()[1]
            .get("y")
            .unwrap();
        assert_eq!(found.at().to_string(), "f:4:7");
        assert_eq!(found.path, "a.b[1].y");
    }

    #[test]
    fn merge_keys_bring_what_is_not_there() {
        let root = root("base: &b {x: 1, y: 2}\nmore: &m {z: 3}\none: {<<: [*b, *m], x: 9}\n");
        let text = |key| root.find(&["one", key]).unwrap().text().unwrap().to_owned();
        assert_eq!([text("x"), text("y"), text("z")], ["9", "2", "3"]);
    }

    #[test]
    fn aliases_that_multiply_are_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let one = format!("*a{}", level - 1);
            text.push_str(&format!("a{level}: &a{level} [{}]\n", vec![one; 10].join(", ")));
        }
        assert!(refused(&text).contains("more than 100000 values"));
    }

    #[test]
    fn depth_is_bounded_by_brackets_indentation_and_aliases() {
        assert!(refused(&"[".repeat(100)).contains("deep"));
        assert!(
            refused(&"[".repeat(100_000)).contains("limit"),
            "the parser's own"
        );
        let nested: String = (0..200)
            .map(|level| format!("{}a:\n", " ".repeat(level)))
            .collect();
        assert!(refused(&nested).contains("deep"));
        let chain: String = (1..200)
            .map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1))
            .collect();
        assert!(refused(&format!("a0: &a0 [x]\n{chain}")).contains("deep"));
    }

    #[test]
    fn what_says_two_things_is_refused() {
        assert_eq!(
            refused("a: 1\na: 2\n"),
            "line 2, column 1: the key a is there twice"
        );
        assert!(refused("a: &a [*a]").contains("part of"));
        assert!(refused("? [a]\n: b\n").contains("cannot be a key"));
        assert!(refused("a: {<<: 3}").contains("merge key"));
    }

    #[test]
    fn foreign_tags_are_told() {
        assert_eq!(parse("a: !reset []\nb: !!str x").unwrap().tags.len(), 1);
    }
}
