//! Reads `stockade.toml`: strict, bounded, every clause with its place.

mod floor;
mod raw;
mod schema;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml_parser::lexer::TokenKind;

use super::error::{Diagnostic, Place, PolicyError, printable_text};
use super::layer::{Clause, FileAccess, FileRule, Layer, PolicyFile};
use super::{paths, presets};
use crate::control::ControlKind;
use crate::demand::{Need, Origin};
use crate::environment::Variable;
use raw::{RawEnvironment, RawFile, RawFiles, RawLimits, RawNetwork, Written};

pub use schema::schema;

/// The form that this program reads.
pub const VERSION: i64 = 1;
/// Largest file that is read.
pub const MAX_BYTES: usize = 1 << 20;
/// Most entries of one list or table of a policy.
pub const MAX_ITEMS: usize = 256;
/// Most open brackets, and most dots in one key. The form itself needs two of each; the
/// parser's own bounds multiply to thousands of levels, which overflow the stack.
const MAX_DEPTH: usize = 16;

/// Reads a policy file. `file` is its name in errors and origins.
///
/// # Errors
/// The first thing that is wrong, with its place and a remedy.
pub fn parse(text: &str, file: &str) -> Result<PolicyFile, PolicyError> {
    let source = Source { text, file };
    if text.len() > MAX_BYTES {
        return Err(PolicyError::TooLarge {
            file: source.name(),
            bytes: text.len(),
            limit: MAX_BYTES,
        });
    }
    source.check_depth()?;
    let table = DeTable::parse(text).map_err(|error| source.explained(&error))?;
    source.check_version(&table)?;
    let raw =
        RawFile::deserialize(toml::Deserializer::from(table)).map_err(|error| source.explained(&error))?;
    source.layer(raw)
}

/// Reads a policy file from bytes.
///
/// # Errors
/// Those of [`parse`], and bytes that are not UTF-8.
pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<PolicyFile, PolicyError> {
    if bytes.len() > MAX_BYTES {
        return Err(PolicyError::TooLarge {
            file: printable_text(file),
            bytes: bytes.len(),
            limit: MAX_BYTES,
        });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(text, file),
        Err(error) => {
            let text = String::from_utf8_lossy(bytes);
            let at = error.valid_up_to();
            let source = Source { text: &text, file };
            Err(source.error(
                at..at + 1,
                "this is not UTF-8 text",
                Some("save the file as UTF-8".to_owned()),
            ))
        }
    }
}

/// The text with its name: makes errors and origins.
struct Source<'a> {
    text: &'a str,
    file: &'a str,
}

impl Source<'_> {
    fn name(&self) -> String {
        printable_text(self.file)
    }

    fn error(&self, span: Range<usize>, what: impl Into<String>, help: Option<String>) -> PolicyError {
        PolicyError::At(Box::new(Diagnostic::new(
            &self.name(),
            self.text,
            span,
            what,
            help,
        )))
    }

    fn clause<T, U>(&self, spanned: &Spanned<T>, value: U) -> Clause<U> {
        let place = Place::of(self.text, spanned.span().start);
        let column = u32::try_from(place.column_index + 1).unwrap_or(u32::MAX);
        Clause {
            value,
            origin: Origin::File {
                path: self.name(),
                line: place.line,
                column,
            },
        }
    }

    fn clause_of<T>(&self, spanned: Option<Spanned<T>>) -> Option<Clause<T>> {
        spanned.map(|spanned| {
            let clause = self.clause(&spanned, ());
            Clause {
                value: spanned.into_inner(),
                origin: clause.origin,
            }
        })
    }

    fn written<T>(&self, spanned: Option<Spanned<Written<T>>>) -> Option<Clause<T>> {
        self.clause_of(spanned).map(|clause| Clause {
            value: clause.value.0,
            origin: clause.origin,
        })
    }

    /// Bounds the nesting before anything is built from it.
    fn check_depth(&self) -> Result<(), PolicyError> {
        let (mut open, mut dots) = (0usize, 0usize);
        for token in toml_parser::Source::new(self.text).lex() {
            match token.kind() {
                TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => (open, dots) = (open + 1, 0),
                TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket => open = open.saturating_sub(1),
                TokenKind::Dot => dots += 1,
                TokenKind::Newline | TokenKind::Comma | TokenKind::Equals => dots = 0,
                _ => {}
            }
            if open > MAX_DEPTH || dots > MAX_DEPTH {
                let span = token.span().start()..token.span().end();
                let help = Some("a policy has sections and lists, no more".to_owned());
                return Err(self.error(span, "this is nested too deeply", help));
            }
        }
        Ok(())
    }

    fn check_version(&self, table: &Spanned<DeTable<'_>>) -> Result<(), PolicyError> {
        let help = Some(format!(
            "this program reads version {VERSION}: write version = {VERSION} as the first line"
        ));
        let Some(version) = table.get_ref().get("version") else {
            return Err(self.error(0..0, "the version is missing", help));
        };
        let number = match version.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number == Some(VERSION) {
            return Ok(());
        }
        Err(self.error(
            version.span(),
            "this version of the policy's form is not known",
            help,
        ))
    }

    fn explained(&self, error: &toml::de::Error) -> PolicyError {
        let (what, help) = explain(error.message());
        self.error(error.span().unwrap_or(0..0), what, help)
    }

    fn layer(&self, raw: RawFile) -> Result<Layer, PolicyError> {
        let mut layer = Layer {
            preset: self.preset(raw.preset)?,
            floor: raw
                .floor
                .map(|floor| self.floor(floor))
                .transpose()?
                .map(Box::new),
            driver: self.text_clause(raw.driver, "a driver's name, for example native")?,
            image: self.path_clause(raw.image)?,
            workspace_mode: self.clause_of(raw.workspace.mode),
            workspace_path: self.path_clause(raw.workspace.path)?,
            caches: self.clause_of(raw.files.caches),
            files: self.files(RawFiles {
                caches: None,
                ..raw.files
            })?,
            variables: self.variables(&raw.environment)?,
            nested_namespaces: self.clause_of(raw.sandbox.nested_namespaces),
            checkpoints_from_inside: self.clause_of(raw.sandbox.checkpoints_from_inside),
            hostname: self.hostname(raw.sandbox.hostname)?,
            audit_processes: self.clause_of(raw.audit.processes),
            ..Layer::default()
        };
        self.network(raw.network, &mut layer)?;
        self.limits(raw.limits, &mut layer)?;
        layer.budget_memory = self.written(raw.budget.memory);
        layer.budget_cpus = self.written(raw.budget.cpus);
        layer.needs = self.needs(raw.need)?;
        Ok(layer)
    }

    fn needs(
        &self,
        raw: BTreeMap<Spanned<String>, Spanned<Need>>,
    ) -> Result<Vec<Clause<(ControlKind, Need)>>, PolicyError> {
        raw.into_iter()
            .map(|(name, need)| Ok(self.clause(&name, (self.control(&name)?, need.into_inner()))))
            .collect()
    }

    fn preset(&self, name: Option<Spanned<String>>) -> Result<Option<Clause<String>>, PolicyError> {
        if let Some(name) = &name
            && !presets::NAMES.contains(&name.get_ref().as_str())
        {
            let what = format!("there is no preset `{}`", printable_text(name.get_ref()));
            return Err(self.error(name.span(), what, Some(suggest(name.get_ref(), &presets::NAMES))));
        }
        Ok(self.clause_of(name))
    }

    fn text_clause(
        &self,
        spanned: Option<Spanned<String>>,
        expected: &str,
    ) -> Result<Option<Clause<String>>, PolicyError> {
        if let Some(text) = &spanned {
            let value = text.get_ref();
            if value.is_empty()
                || value.len() > 255
                || value.chars().any(|c| c.is_control() || c.is_whitespace())
            {
                return Err(self.error(text.span(), "this is no name", Some(format!("write {expected}"))));
            }
        }
        Ok(self.clause_of(spanned))
    }

    fn path_clause(&self, spanned: Option<Spanned<String>>) -> Result<Option<Clause<String>>, PolicyError> {
        if let Some(text) = &spanned {
            self.check_path(text)?;
        }
        Ok(self.clause_of(spanned))
    }

    fn check_path(&self, text: &Spanned<String>) -> Result<(), PolicyError> {
        paths::check_in_file(text.get_ref()).map_err(|error| {
            self.error(
                text.span(),
                format!("this path {}", error.why),
                Some(error.fix.to_owned()),
            )
        })
    }

    fn check_count<T>(&self, items: &[Spanned<T>]) -> Result<(), PolicyError> {
        match items.get(MAX_ITEMS) {
            None => Ok(()),
            Some(item) => Err(self.error(
                item.span(),
                format!("this list has more than {MAX_ITEMS} entries"),
                Some("name a directory that holds them".to_owned()),
            )),
        }
    }

    fn files(&self, raw: RawFiles) -> Result<Vec<Clause<FileRule>>, PolicyError> {
        let mut rules = Vec::new();
        let lists = [
            (raw.ro, FileAccess::ReadOnly),
            (raw.rw, FileAccess::ReadWrite),
            (raw.hide, FileAccess::Hide),
        ];
        for (paths, access) in lists {
            let paths = paths.map(Spanned::into_inner).unwrap_or_default();
            self.check_count(&paths)?;
            for path in paths {
                self.check_path(&path)?;
                rules.push(self.clause(
                    &path,
                    FileRule {
                        path: path.get_ref().clone(),
                        access,
                    },
                ));
            }
        }
        Ok(rules)
    }

    fn network(&self, raw: RawNetwork, layer: &mut Layer) -> Result<(), PolicyError> {
        layer.network = self.clause_of(raw.mode);
        let Some(list) = raw.allow else { return Ok(()) };
        self.check_count(list.get_ref())?;
        for rule in list.get_ref() {
            let text = rule.get_ref();
            if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
                let help = "write a host name, for example crates.io".to_owned();
                return Err(self.error(rule.span(), "this is no destination", Some(help)));
            }
        }
        let allowed = list.get_ref().iter().map(|rule| rule.get_ref().clone()).collect();
        layer.network_allow = Some(self.clause(&list, allowed));
        Ok(())
    }

    fn variables(&self, raw: &RawEnvironment) -> Result<Vec<Clause<Variable>>, PolicyError> {
        self.check_count(&raw.pass)?;
        let mut variables = Vec::new();
        let explain = |span, error: crate::environment::VariableError| {
            self.error(
                span,
                format!("this variable {}", error.why),
                Some(error.fix.to_owned()),
            )
        };
        for name in &raw.pass {
            let variable = Variable::pass(name.get_ref()).map_err(|error| explain(name.span(), error))?;
            variables.push(self.clause(name, variable));
        }
        for (name, value) in &raw.set {
            if variables.len() == crate::environment::MAX_VARIABLES {
                let help = "put them in a file of the workspace".to_owned();
                return Err(self.error(name.span(), "these are too many variables", Some(help)));
            }
            let variable = Variable::set(name.get_ref(), value.get_ref())
                .map_err(|error| explain(name.span(), error))?;
            variables.push(self.clause(name, variable));
        }
        Ok(variables)
    }

    fn limits(&self, raw: RawLimits, layer: &mut Layer) -> Result<(), PolicyError> {
        layer.cpu_weight = match raw.cpu_weight {
            None => None,
            Some(weight) => {
                match u16::try_from(*weight.get_ref())
                    .ok()
                    .filter(|weight| (1..=10_000).contains(weight))
                {
                    Some(value) => Some(self.clause(&weight, value)),
                    None => {
                        let help = "100 is an ordinary process, 1 the least, 10000 the most".to_owned();
                        return Err(self.error(
                            weight.span(),
                            "this weight is not between 1 and 10000",
                            Some(help),
                        ));
                    }
                }
            }
        };
        layer.memory = self.written(raw.memory);
        layer.pids = self.written(raw.pids);
        layer.cpus = self.written(raw.cpus);
        layer.disk = self.written(raw.disk);
        layer.timeout = self.written(raw.timeout);
        layer.output = self.written(raw.output);
        Ok(())
    }

    fn hostname(&self, spanned: Option<Spanned<String>>) -> Result<Option<Clause<String>>, PolicyError> {
        if let Some(name) = &spanned {
            let text = name.get_ref();
            let label = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if text.is_empty()
                || text.len() > 63
                || !text.chars().all(label)
                || text.starts_with('-')
                || text.ends_with('-')
            {
                let help = "up to 63 letters, digits and hyphens, for example stockade".to_owned();
                return Err(self.error(name.span(), "this is no host name", Some(help)));
            }
        }
        Ok(self.clause_of(spanned))
    }

    fn control(&self, name: &Spanned<String>) -> Result<ControlKind, PolicyError> {
        ControlKind::named(name.get_ref()).ok_or_else(|| {
            let names: Vec<&str> = ControlKind::ALL.iter().map(|kind| kind.name()).collect();
            let what = format!("unknown control `{}`", printable_text(name.get_ref()));
            self.error(name.span(), what, Some(suggest(name.get_ref(), &names)))
        })
    }
}

/// Turns what serde and the TOML parser say into a sentence and a remedy.
fn explain(message: &str) -> (String, Option<String>) {
    let message = printable_text(&message.replace('\n', "; "));
    for (prefix, noun) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        if let Some((unknown, expected)) = message.strip_prefix(prefix).and_then(|rest| rest.split_once('`'))
        {
            let names: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
            return (
                format!("unknown {noun} `{unknown}`"),
                Some(suggest(unknown, &names)),
            );
        }
    }
    // The errors of our own grammars end in their remedy.
    if let Some((what, help)) = message.split_once("; write ") {
        return (what.to_owned(), Some(format!("write {help}")));
    }
    let message = message.replace("expected a sequence", "expected a list of texts in brackets");
    let help = message
        .starts_with("duplicate key")
        .then(|| "keep one of them".to_owned());
    (message, help)
}

/// The nearest known name, or all of them.
pub(super) fn suggest(unknown: &str, names: &[&str]) -> String {
    const NEAR: f64 = 0.75;
    let nearest = names
        .iter()
        .map(|name| (strsim::jaro_winkler(unknown, name), name))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(score, _)| *score >= NEAR);
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", names.join(", ")),
    }
}
