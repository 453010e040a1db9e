//! `volumes:` of a service, in its short and its long form.

use super::Use;
use super::layers::{Layers, Said};
use crate::gather::{Gather, tidy_path};
use crate::model::{Key, Workload};
use crate::node::Cursor;

/// Keys of the long form.
const LONG: &[&str] = &[
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "read_only",
    "readonly",
    "bind",
    "volume",
    "tmpfs",
    "image",
    "consistency",
];

/// Adds what of the host is inside; returns the named volumes.
pub(super) fn read(layers: &Layers<'_>, workload: &mut Workload, gather: &mut Gather) -> Vec<(String, Use)> {
    let mut volumes = Vec::new();
    for item in layers.items("volumes", gather) {
        let named = if item.is_map() {
            long(layers, &item, workload, gather)
        } else {
            layers
                .quietly(Some(item), gather)
                .and_then(|said| short(&said, workload, gather))
        };
        volumes.extend(named);
    }
    volumes
}

/// `SOURCE:TARGET[:OPTIONS]`, or a target alone.
fn short(said: &Said, workload: &mut Workload, gather: &mut Gather) -> Option<(String, Use)> {
    let parts = split(&said.text);
    let (source, options) = match parts.as_slice() {
        [source, _, options] => (*source, *options),
        [source, _] => (*source, ""),
        // An anonymous volume, unless a variable holds the rest.
        _ if said.is_known => return None,
        _ => ("${", ""),
    };
    let options: Vec<&str> = options.split(',').collect();
    let writes = !options.iter().any(|one| matches!(*one, "ro" | "readonly"));
    let shared = options.iter().find(|one| matches!(**one, "shared" | "rshared"));
    if let Some(shared) = shared {
        workload.set(Key::MountPropagation, *shared, said.at.clone());
    }
    mount(source, writes, said, workload, gather)
}

/// At colons that are in no variable, and belong to no drive (`C:\data`).
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut braces) = (Vec::new(), 0, 0usize);
    let bytes = text.as_bytes();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => braces += 1,
            b'}' => braces = braces.saturating_sub(1),
            b':' if braces == 0 => {
                let is_drive = at == from + 1
                    && bytes.get(from).is_some_and(u8::is_ascii_alphabetic)
                    && matches!(bytes.get(at + 1), Some(b'\\' | b'/'))
                    && parts.is_empty();
                if !is_drive {
                    parts.push(&text[from..at]);
                    from = at + 1;
                }
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn long(
    layers: &Layers<'_>,
    item: &Cursor,
    workload: &mut Workload,
    gather: &mut Gather,
) -> Option<(String, Use)> {
    gather.only(item, &[LONG]);
    let kind = item.get("type");
    let kind = kind.as_ref().and_then(Cursor::text).unwrap_or("volume");
    let read_only = item.get("read_only").or_else(|| item.get("readonly"));
    let writes = !layers.flag(read_only, gather).is_some_and(|(value, _)| value);
    let propagation = layers.said(item.find(&["bind", "propagation"]), gather);
    if let Some(propagation) = propagation {
        workload.set(Key::MountPropagation, propagation.text, propagation.at);
    }
    let source = layers.quietly(item.get("source").or_else(|| item.get("src")), gather);
    match (kind, source) {
        ("bind" | "npipe" | "volume" | "cluster", Some(said)) => {
            let path = if kind == "bind" && !looks_like_path(&said.text) && said.is_known {
                format!("./{}", said.text)
            } else {
                said.text.clone()
            };
            mount(&path, writes, &said, workload, gather)
        }
        ("volume" | "tmpfs" | "image" | "cluster", None) | ("tmpfs" | "image", Some(_)) => None,
        _ => {
            gather.unknown(
                item.at(),
                format!("{} is a mount of a kind that is not known here", item.path),
            );
            None
        }
    }
}

fn looks_like_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~', '\\'])
        || source.get(1..3).is_some_and(|next| matches!(next, ":\\" | ":/"))
}

/// A path of the host, or the name of a volume.
fn mount(
    source: &str,
    writes: bool,
    said: &Said,
    workload: &mut Workload,
    gather: &mut Gather,
) -> Option<(String, Use)> {
    let is_known = !source.contains("${");
    if is_known && !looks_like_path(source) {
        let used = Use {
            workload: workload.name.clone(),
            at: said.at.clone(),
            writes,
        };
        return Some((source.to_owned(), used));
    }
    if !is_known {
        let what = format!(
            "{}: what is mounted is known only when it is started: {}",
            said.path,
            crate::gather::shown(&said.text)
        );
        gather.unknown(said.at.clone(), what);
    }
    let key = if writes {
        Key::MountWritable
    } else {
        Key::MountReadOnly
    };
    workload.add(
        key,
        tidy_path(source),
        source.to_owned(),
        is_known,
        said.at.clone(),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_part_but_not_in_variables_and_drives() {
        assert_eq!(split("/a:/b:ro"), ["/a", "/b", "ro"]);
        assert_eq!(split("${A:-x}:/b"), ["${A:-x}", "/b"]);
        assert_eq!(split("C:\\data:/b"), ["C:\\data", "/b"]);
        assert_eq!(split("/only"), ["/only"]);
    }
}
