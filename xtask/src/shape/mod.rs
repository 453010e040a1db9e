//! `shape`: files and functions stay small enough to read, and unsafe code stands only
//! where it is looked for.

mod allowances;
mod functions;
mod unsafety;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Findings;
use crate::tree::Tree;

/// Lines in one file.
const MAX_FILE_LINES: usize = 600;
/// Lines in one function, from `fn` to its closing brace.
const MAX_FUNCTION_LINES: usize = 70;

/// The only files that may hold unsafe code. A listed file must exist, so that the list
/// never says more than the tree.
const UNSAFE_FILES: &[&str] = &[
    "crates/guest/src/sys.rs",
    "crates/host/src/sys.rs",
    "crates/linux/src/child/sys.rs",
    "crates/linux/src/fds/sys.rs",
    "crates/linux/src/landlock/sys.rs",
    "crates/linux/src/seccomp/sys.rs",
    "crates/linux/src/sys.rs",
    "crates/linux/src/trial/sys.rs",
    "crates/linux/tests/walls/sys.rs",
    "crates/probes/src/inside/sys.rs",
    "crates/stockade/src/sys.rs",
];

/// Files whose length nobody chose: written by tools, or a licence.
const ANY_LENGTH: &[&str] = &[
    "Cargo.lock",
    "fuzz/Cargo.lock",
    "LICENSE",
    "docs/man/",
    "docs/matrix.md",
    "completions/",
    "docs/schema/",
    "fuzz/corpus/",
];

/// Looks at every file of the tree.
pub fn check(tree: &Tree) -> Result<Findings> {
    let files = tree.files()?;
    let mut problems = missing_files(&tree.root, UNSAFE_FILES);
    let mut rust_files = 0;
    for file in &files {
        let bytes = std::fs::read(tree.root.join(file))?;
        // What is not text (a corpus, a picture) has no lines.
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        problems.extend(too_long(file, &text));
        if file.extension().is_some_and(|ending| ending == "rs") {
            rust_files += 1;
            problems.extend(check_rust(file, &text)?);
        }
    }
    let looked_at = format!(
        "{} files up to {MAX_FILE_LINES} lines; {rust_files} Rust files with functions up to \
         {MAX_FUNCTION_LINES} lines; unsafe in {} named files",
        files.len(),
        UNSAFE_FILES.len()
    );
    Ok(Findings { looked_at, problems })
}

fn check_rust(file: &Path, text: &str) -> Result<Vec<String>> {
    let at = |line: usize, problem: &str| format!("{}:{line}: {problem}", file.display());
    let syntax = syn::parse_file(text).with_context(|| format!("parsing {}", file.display()))?;
    let tokens: proc_macro2::TokenStream = text
        .parse()
        .map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?;
    let mut problems = Vec::new();
    for (name, line, lines) in functions::longer_than(&syntax, MAX_FUNCTION_LINES) {
        let problem =
            format!("fn {name} has {lines} lines, more than {MAX_FUNCTION_LINES}: divide it by meaning");
        problems.push(at(line, &problem));
    }
    let may = UNSAFE_FILES.iter().any(|name| file == Path::new(name));
    for (line, problem) in unsafety::problems(tokens, text, may) {
        problems.push(at(line, problem));
    }
    for (line, lint) in allowances::outside_tests(file, &syntax) {
        problems.push(at(
            line,
            &format!("allows {lint} outside tests: return an error instead"),
        ));
    }
    Ok(problems)
}

fn too_long(file: &Path, text: &str) -> Option<String> {
    if ANY_LENGTH
        .iter()
        .any(|start| file.to_string_lossy().starts_with(start))
    {
        return None;
    }
    let lines = text.lines().count();
    (lines > MAX_FILE_LINES).then(|| {
        format!(
            "{}: {lines} lines, more than {MAX_FILE_LINES}: divide it by meaning",
            file.display()
        )
    })
}

fn missing_files(root: &Path, named: &[&str]) -> Vec<String> {
    let missing = named
        .iter()
        .map(PathBuf::from)
        .filter(|file| !root.join(file).is_file());
    missing
        .map(|file| {
            format!(
                "{}: named as holding unsafe code, but there is no such file",
                file.display()
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_600_lines_passes_and_601_do_not() {
        assert!(too_long(Path::new("a.rs"), &"x\n".repeat(600)).is_none());
        assert!(too_long(Path::new("a.rs"), &"x\n".repeat(601)).is_some());
        assert!(too_long(Path::new("Cargo.lock"), &"x\n".repeat(601)).is_none());
    }

    #[test]
    fn a_named_file_must_exist() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(missing_files(place.path(), &["sys.rs"]).len(), 1);
        std::fs::write(place.path().join("sys.rs"), "").unwrap();
        assert!(missing_files(place.path(), &["sys.rs"]).is_empty());
    }

    #[test]
    fn all_three_checks_look_at_a_file() {
        let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(70));
        let text = format!("{long}\nfn u() {{ unsafe {{ g() }} }}\n#[allow(clippy::panic)]\nfn p() {{}}\n");
        assert_eq!(
            check_rust(Path::new("crates/x/src/lib.rs"), &text).unwrap().len(),
            3
        );
    }
}
