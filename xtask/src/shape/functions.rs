//! How long functions are.

use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Every function of more than `limit` lines: its name, where it begins, its lines.
pub fn longer_than(file: &syn::File, limit: usize) -> Vec<(String, usize, usize)> {
    let mut visitor = Visitor {
        limit,
        found: Vec::new(),
    };
    visitor.visit_file(file);
    visitor.found
}

struct Visitor {
    limit: usize,
    found: Vec<(String, usize, usize)>,
}

impl Visitor {
    /// Attributes and doc comments above `fn` do not count: more of them is no fault.
    fn measure(&mut self, signature: &syn::Signature, block: &syn::Block) {
        let first = signature.span().start().line;
        let lines = block.span().end().line - first + 1;
        if lines > self.limit {
            self.found.push((signature.ident.to_string(), first, lines));
        }
    }
}

impl Visit<'_> for Visitor {
    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.measure(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.measure(&item.sig, block);
        }
        visit::visit_trait_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(text: &str, limit: usize) -> Vec<(String, usize, usize)> {
        longer_than(&syn::parse_file(text).unwrap(), limit)
    }

    #[test]
    fn counts_from_fn_to_the_closing_brace() {
        let text = "/// Doc.\n#[must_use]\nfn f(\n    a: u8,\n) -> u8 {\n    a\n}\n";
        assert_eq!(lengths(text, 4), [("f".to_owned(), 3, 5)]);
        assert!(lengths(text, 5).is_empty());
    }

    #[test]
    fn methods_defaults_and_inner_functions_count() {
        let text = "impl S { fn m() {\n} }\ntrait T { fn d() {\n} fn none(); }\nfn o() { fn i() {\n} }";
        let names: Vec<String> = lengths(text, 1).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["m", "d", "o", "i"]);
    }
}
