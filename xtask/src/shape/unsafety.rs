//! Where unsafe code stands, and that each block says why it is sound.
//!
//! The tokens of the file are read, not its syntax tree, so that the inside of macros and
//! attributes such as `#[unsafe(no_mangle)]` is seen as well.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

const SAFETY: &str = "SAFETY:";

/// The problems with the uses of `unsafe`, each with its line.
pub fn problems(tokens: TokenStream, text: &str, allowed: bool) -> Vec<(usize, &'static str)> {
    let mut uses = Vec::new();
    collect(tokens, &mut uses);
    let lines: Vec<&str> = text.lines().collect();
    let problem = |used: &Use| {
        if !allowed {
            return Some("unsafe code stands only in the files that xtask/src/shape/mod.rs names");
        }
        (used.needs_reason && !has_reason(&lines, used.line))
            .then_some("unsafe without a `// SAFETY:` comment")
    };
    uses.iter()
        .filter_map(|used| Some((used.line, problem(used)?)))
        .collect()
}

struct Use {
    line: usize,
    /// A block or an impl claims soundness; `unsafe fn` only passes the duty on.
    needs_reason: bool,
}

fn collect(tokens: TokenStream, uses: &mut Vec<Use>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" => {
                let needs_reason = match tokens.peek() {
                    Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Brace,
                    Some(TokenTree::Ident(next)) => next == "impl",
                    _ => false,
                };
                uses.push(Use {
                    line: ident.span().start().line,
                    needs_reason,
                });
            }
            TokenTree::Group(group) => collect(group.stream(), uses),
            _ => {}
        }
    }
}

/// True if the comment stands on the line itself or right above the statement it is in.
fn has_reason(lines: &[&str], line: usize) -> bool {
    if lines.get(line - 1).is_some_and(|text| text.contains(SAFETY)) {
        return true;
    }
    let mut in_comment = false;
    for text in lines.iter().take(line - 1).rev().map(|text| text.trim()) {
        if text.starts_with("//") {
            in_comment = true;
            if text.contains(SAFETY) {
                return true;
            }
        } else if in_comment || text.is_empty() || text.ends_with([';', '{', '}']) {
            return false;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, allowed: bool) -> Vec<(usize, &'static str)> {
        problems(text.parse().unwrap(), text, allowed)
    }

    #[test]
    fn a_block_needs_its_reason() {
        assert_eq!(found("fn f() {\n    unsafe { g() }\n}", true).len(), 1);
        assert!(
            found(
                "fn f() {\n    // SAFETY: g has no duty.\n    unsafe { g() }\n}",
                true
            )
            .is_empty()
        );
    }

    #[test]
    fn the_reason_may_be_long_and_the_statement_broken() {
        let text =
            "fn f() {\n    // SAFETY: g has no duty\n    // at all.\n    let x =\n        unsafe { g() };\n}";
        assert!(found(text, true).is_empty());
    }

    #[test]
    fn the_reason_of_another_statement_is_none() {
        let text = "fn f() {\n    // SAFETY: a.\n    unsafe { a() };\n    unsafe { b() };\n}";
        assert_eq!(found(text, true).len(), 1);
        assert_eq!(found(text, true)[0].0, 4);
    }

    #[test]
    fn an_unsafe_function_passes_its_duty_on() {
        assert!(found("unsafe fn f() {}\nextern \"C\" fn g(f: unsafe fn()) {}", true).is_empty());
        assert_eq!(found("unsafe impl Send for X {}", true).len(), 1);
    }

    #[test]
    fn elsewhere_every_kind_is_a_problem() {
        for text in [
            "unsafe fn f() {}",
            "m! { unsafe { x } }",
            "#[unsafe(no_mangle)] fn f() {}",
        ] {
            assert_eq!(found(text, false).len(), 1, "{text}");
        }
        assert!(found("// unsafe in a comment\nconst X: &str = \"unsafe\";", false).is_empty());
    }
}
