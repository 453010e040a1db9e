//! What readers of all formats share: taking values out of a tree, and noting what does not fit.

use std::collections::{BTreeSet, HashSet};

use crate::limits::MAX_SHOWN;
use crate::model::{Unknown, Workload};
use crate::node::{Cursor, Where};

/// What has been read so far.
#[derive(Default)]
pub(crate) struct Gather {
    pub workloads: Vec<Workload>,
    pub unknown: Vec<Unknown>,
    told: HashSet<Unknown>,
    pub notes: BTreeSet<String>,
}

impl Gather {
    pub fn unknown(&mut self, at: Where, what: impl Into<String>) {
        let one = Unknown {
            at,
            what: what.into(),
        };
        // Aliases lead to the same place many times.
        if self.told.insert(one.clone()) {
            self.unknown.push(one);
        }
    }

    /// The items of a list; what is none is noted.
    pub fn list(&mut self, at: Option<Cursor>) -> Vec<Cursor> {
        let Some(at) = at else { return Vec::new() };
        at.items().unwrap_or_else(|| {
            self.unknown(at.at(), format!("{} should be a list", at.path));
            Vec::new()
        })
    }

    /// The entries of a map; what is none is noted.
    pub fn map(&mut self, at: Option<Cursor>) -> Vec<(String, Cursor)> {
        let Some(at) = at else { return Vec::new() };
        at.entries().unwrap_or_else(|| {
            self.unknown(at.at(), format!("{} should be a map", at.path));
            Vec::new()
        })
    }

    /// A text or number; what is none is noted.
    pub fn text(&mut self, at: Option<Cursor>) -> Option<(String, Where)> {
        let at = at?;
        match at.text() {
            Some(text) => Some((text.to_owned(), at.at())),
            None => {
                self.unknown(at.at(), format!("{} should be one value", at.path));
                None
            }
        }
    }

    /// True or false; what is neither is noted.
    pub fn flag(&mut self, at: Option<Cursor>) -> Option<(bool, Where)> {
        let (text, at) = self.text(at)?;
        let value = truth(&text);
        if value.is_none() {
            let what = format!("{} should be true or false, and is {}", at.path, shown(&text));
            self.unknown(at.clone(), what);
        }
        Some((value?, at))
    }

    /// Notes every key that is not among those that are understood. Extensions (`x-…`) mean nothing.
    pub fn only(&mut self, at: &Cursor, known: &[&[&str]]) {
        let Some(entries) = at.entries() else {
            self.unknown(at.at(), format!("{} should be a map", at.path));
            return;
        };
        for (name, below) in entries {
            let is_known = known.iter().any(|some| some.contains(&name.as_str()));
            if !is_known && !name.starts_with("x-") {
                self.unknown(below.at(), format!("{} is not known here", shown(&below.path)));
            }
        }
    }
}

/// Generous, so that nothing that an engine takes for true passes for something else.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "1" | "t" => Some(true),
        "false" | "no" | "off" | "n" | "0" | "f" => Some(false),
        _ => None,
    }
}

/// A value cut to what a line can hold.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A path of the host in one form: no `.`, `..` or doubled slashes, `/run` for `/var/run`. What is relative stays so.
pub(crate) fn tidy_path(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != ".." && *last != "~") => {
                parts.pop();
            }
            ".." if is_absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    let tidy = match (is_absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    };
    match tidy.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => tidy,
    }
}

/// A capability's name as rules write it.
pub(crate) fn tidy_capability(name: &str) -> String {
    let name = name.trim().to_ascii_uppercase();
    name.strip_prefix("CAP_").map(str::to_owned).unwrap_or(name)
}

/// How exactly an image is named.
pub(crate) fn image_tag(image: &str) -> &'static str {
    if image.contains("@sha256:") || image.contains("@sha512:") || image.starts_with("sha256:") {
        return "digest";
    }
    // A colon before the last slash belongs to a registry's port.
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None | Some((_, "latest" | "")) => "latest",
        Some(_) => "tag",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_one_form() {
        let cases = [
            ("/var/run/docker.sock", "/run/docker.sock"),
            ("//var/./run/../run//docker.sock/", "/run/docker.sock"),
            ("/..", "/"),
            ("/var/running", "/var/running"),
            ("./data", "data"),
            (".", "."),
            ("../x", "../x"),
            ("~/.ssh/", "~/.ssh"),
            ("//./pipe/docker_engine", "/pipe/docker_engine"),
        ];
        for (path, tidy) in cases {
            assert_eq!(tidy_path(path), tidy);
        }
    }

    #[test]
    fn images_are_as_exact_as_their_last_part_says() {
        let cases = [
            ("redis", "latest"),
            ("redis:latest", "latest"),
            ("registry:5000/redis", "latest"),
            ("registry:5000/redis:7", "tag"),
            ("redis:7@sha256:abc", "digest"),
        ];
        for (image, tag) in cases {
            assert_eq!(image_tag(image), tag, "{image}");
        }
    }
}
