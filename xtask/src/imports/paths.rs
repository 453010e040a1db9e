//! Every path that a Rust file names, made absolute within its crate.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as segments from the crate's root (`crate` left out), and its line.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// Where it stands.
    pub line: usize,
    /// Its segments.
    pub segments: Vec<String>,
}

/// The module that a source file below `src/` is: `drivers/native/create.rs` is
/// `drivers::native::create`.
pub fn module_of(below_src: &Path) -> Vec<String> {
    let mut segments: Vec<String> = below_src
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into())
        .collect();
    if segments
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str()))
    {
        segments.pop();
    }
    segments
}

/// All paths of a file that stands at `module`. Tokens are read, not the syntax tree: so
/// what stands inside macros counts, and a doc comment does not.
pub fn named(tokens: TokenStream, module: &[String]) -> Vec<Named> {
    let mut found = Vec::new();
    collect(
        tokens,
        &Place {
            module: module.to_vec(),
            prefix: Vec::new(),
        },
        &mut found,
    );
    found
}

struct Place {
    module: Vec<String>,
    /// The path before the braces of a use tree, as written.
    prefix: Vec<String>,
}

fn collect(tokens: TokenStream, place: &Place, found: &mut Vec<Named>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut index = 0;
    while index < tokens.len() {
        match &tokens[index] {
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                // `mod name { … }`: paths inside are relative to it.
                if ident == "mod" && is_brace(tokens.get(index + 2)) {
                    index += 2;
                    enter_module(&tokens[index - 1], &tokens[index], place, found);
                } else {
                    let (segments, used) = read_path(&tokens[index..]);
                    let whole = [place.prefix.clone(), segments].concat();
                    index += used - 1;
                    if is_brace(tokens.get(index + 3)) && is_colons(&tokens[index + 1..]) {
                        index += 3;
                        let inner = Place {
                            module: place.module.clone(),
                            prefix: whole,
                        };
                        descend(&tokens[index], &inner, found);
                    } else {
                        found.push(Named {
                            line,
                            segments: absolute(&whole, &place.module),
                        });
                    }
                }
            }
            group => descend(group, place, found),
        }
        index += 1;
    }
}

fn enter_module(name: &TokenTree, body: &TokenTree, place: &Place, found: &mut Vec<Named>) {
    let module = [place.module.clone(), vec![name.to_string()]].concat();
    descend(
        body,
        &Place {
            module,
            prefix: Vec::new(),
        },
        found,
    );
}

fn descend(token: &TokenTree, place: &Place, found: &mut Vec<Named>) {
    if let TokenTree::Group(group) = token {
        collect(group.stream(), place, found);
    }
}

fn is_brace(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace)
}

fn is_colons(tokens: &[TokenTree]) -> bool {
    let colon =
        |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    colon(tokens.first()) && colon(tokens.get(1))
}

/// The segments that begin with the first token, and how many tokens they take.
fn read_path(tokens: &[TokenTree]) -> (Vec<String>, usize) {
    let mut segments = vec![tokens[0].to_string()];
    let mut used = 1;
    while is_colons(&tokens[used..]) {
        let Some(TokenTree::Ident(next)) = tokens.get(used + 2) else {
            break;
        };
        segments.push(next.to_string());
        used += 3;
    }
    (segments, used)
}

fn absolute(written: &[String], module: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut rest = written;
    match written.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &written[1..];
        }
        Some("self") => rest = &written[1..],
        Some("super") => {}
        // A bare name may be a child of this module or a crate: as written is what rules want.
        _ => return written.to_vec(),
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    base
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str, module: &str) -> Vec<String> {
        let module: Vec<String> = module.split("::").map(str::to_owned).collect();
        let named = named(text.parse().unwrap(), &module);
        named
            .iter()
            .map(|named| named.segments.join("::"))
            .filter(|path| path.contains("::"))
            .collect()
    }

    #[test]
    fn files_are_modules() {
        assert_eq!(
            module_of(Path::new("drivers/native/create.rs")),
            ["drivers", "native", "create"]
        );
        assert_eq!(
            module_of(Path::new("drivers/native/mod.rs")),
            ["drivers", "native"]
        );
        assert!(module_of(Path::new("lib.rs")).is_empty());
    }

    #[test]
    fn relative_paths_become_absolute() {
        let text = "use super::super::docker::run; use crate::state::Record; use self::own::X;";
        let expected = [
            "drivers::docker::run",
            "state::Record",
            "drivers::native::create::own::X",
        ];
        assert_eq!(paths(text, "drivers::native::create"), expected);
    }

    #[test]
    fn use_trees_and_macros_are_seen() {
        let text =
            "use crate::drivers::{docker::{a, b::c}, native};\nfn f() { log!(crate::drivers::podman::X); }";
        let expected = [
            "drivers::docker::a",
            "drivers::docker::b::c",
            "drivers::native",
            "drivers::podman::X",
        ];
        assert_eq!(paths(text, "open"), expected);
    }

    #[test]
    fn an_inner_module_shifts_super() {
        assert_eq!(
            paths("mod tests { use super::super::y::Z; }", "drivers::native"),
            ["drivers::y::Z"]
        );
    }

    #[test]
    fn comments_and_strings_name_nothing() {
        assert!(
            paths(
                "/// crate::drivers::docker\nconst X: &str = \"crate::drivers\";",
                "a"
            )
            .is_empty()
        );
    }
}
