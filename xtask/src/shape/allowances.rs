//! Lints against panics hold outside tests: nobody switches them off there.

use std::path::Path;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lints that only tests may switch off.
const HELD: [&str; 5] = [
    "unwrap_used",
    "expect_used",
    "panic",
    "todo",
    "undocumented_unsafe_blocks",
];

/// Every switched-off lint outside tests, with its line.
pub fn outside_tests(path: &Path, file: &syn::File) -> Vec<(usize, &'static str)> {
    let mut visitor = Visitor { found: Vec::new() };
    if !is_test_path(path) && !is_test_only(&file.attrs) {
        visitor.visit_file(file);
    }
    visitor.found
}

/// Integration tests, and modules that the convention names as tests.
fn is_test_path(path: &Path) -> bool {
    let in_tests = path
        .components()
        .any(|part| part.as_os_str() == "tests" || part.as_os_str() == "benches");
    in_tests || path.file_stem().is_some_and(|stem| stem == "tests")
}

fn is_test_only(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string());
        attribute.path().is_ident("cfg") && condition.is_ok_and(|condition| condition == "test")
    })
}

struct Visitor {
    found: Vec<(usize, &'static str)>,
}

impl<'ast> Visit<'ast> for Visitor {
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if !(attribute.path().is_ident("allow") || attribute.path().is_ident("expect")) {
            return;
        }
        let Ok(list) = attribute.meta.require_list() else {
            return;
        };
        let named = list.tokens.to_string();
        let held = HELD
            .iter()
            .filter(|lint| named.replace(' ', "").split(',').any(|part| names(part, lint)));
        self.found
            .extend(held.map(|lint| (attribute.span().start().line, *lint)));
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test_only(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }
}

fn names(part: &str, lint: &str) -> bool {
    part == lint || part.strip_prefix("clippy::") == Some(lint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, &'static str)> {
        outside_tests(Path::new(path), &syn::parse_file(text).unwrap())
    }

    const ALLOWED: &str = "#[allow(clippy::unwrap_used, clippy::panic)]\nfn f() {}";

    #[test]
    fn an_allowance_outside_tests_is_found() {
        assert_eq!(
            found("crates/x/src/lib.rs", ALLOWED),
            [(1, "unwrap_used"), (1, "panic")]
        );
        assert_eq!(found("crates/x/src/lib.rs", "#![expect(clippy::todo)]").len(), 1);
    }

    #[test]
    fn tests_may() {
        assert!(found("crates/x/tests/it.rs", ALLOWED).is_empty());
        assert!(found("crates/x/src/policy/tests.rs", ALLOWED).is_empty());
        let inside = format!("#[cfg(test)]\nmod tests {{ {ALLOWED} }}");
        assert!(found("crates/x/src/lib.rs", &inside).is_empty());
    }

    #[test]
    fn other_lints_may_be_allowed_anywhere() {
        assert!(
            found(
                "crates/x/src/lib.rs",
                "#[allow(missing_docs, clippy::panic_in_result_fn)]\nfn f() {}"
            )
            .is_empty()
        );
    }
}
