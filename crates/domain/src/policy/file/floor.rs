//! The organisation's floor: the clauses of a policy again, as bounds for every other layer.

use toml::Spanned;

use super::super::error::{Conflict, PolicyError};
use super::super::layer::{Clause, FileAccess, Floor, FloorLists, Layer};
use super::super::strict::{Measure, SCALARS};
use super::Source;
use super::raw::{RawEnvironment, RawFiles, RawFloor};
use crate::demand::Need;
use crate::environment::Variable;

type Names = Option<Spanned<Vec<Spanned<String>>>>;

impl Source<'_> {
    pub(super) fn floor(&self, raw: Spanned<RawFloor>) -> Result<Floor, PolicyError> {
        let origin = self.clause(&raw, ()).origin;
        let raw = raw.into_inner();
        let lists = FloorLists {
            read_only: self.paths(raw.files.ro)?,
            read_write: self.paths(raw.files.rw)?,
            pass: self.passed(raw.environment.pass)?,
        };
        let hidden = RawFiles {
            hide: raw.files.hide,
            ..RawFiles::default()
        };
        let mut clauses = Layer {
            driver: self.text_clause(raw.driver, "a driver's name, for example native")?,
            workspace_mode: self.clause_of(raw.workspace.mode),
            workspace_path: self.path_clause(raw.workspace.path)?,
            caches: self.clause_of(raw.files.caches),
            files: self.files(hidden)?,
            nested_namespaces: self.clause_of(raw.sandbox.nested_namespaces),
            checkpoints_from_inside: self.clause_of(raw.sandbox.checkpoints_from_inside),
            needs: self.needs(raw.need)?,
            ..Layer::default()
        };
        self.network(raw.network, &mut clauses)?;
        self.limits(raw.limits, &mut clauses)?;
        let empty = bounds_nothing(&clauses);
        if empty.is_empty() {
            Ok(Floor {
                origin,
                clauses,
                lists,
            })
        } else {
            Err(PolicyError::Conflicts(empty))
        }
    }

    fn paths(&self, raw: Names) -> Result<Option<Clause<Vec<String>>>, PolicyError> {
        let Some(list) = raw else { return Ok(None) };
        let rules = self.files(RawFiles {
            ro: Some(Spanned::new(list.span(), copied(&list))),
            ..RawFiles::default()
        })?;
        debug_assert!(rules.iter().all(|rule| rule.value.access == FileAccess::ReadOnly));
        let paths = rules.into_iter().map(|rule| rule.value.path).collect();
        Ok(Some(self.clause(&list, paths)))
    }

    fn passed(&self, raw: Names) -> Result<Option<Clause<Vec<String>>>, PolicyError> {
        let Some(list) = raw else { return Ok(None) };
        let variables = self.variables(&RawEnvironment {
            pass: copied(&list),
            ..RawEnvironment::default()
        })?;
        let name = |variable: Clause<Variable>| match variable.value {
            Variable::Pass(name) | Variable::Set { name, .. } => name,
        };
        let names = variables.into_iter().map(name).collect();
        Ok(Some(self.clause(&list, names)))
    }
}

fn copied(list: &Spanned<Vec<Spanned<String>>>) -> Vec<Spanned<String>> {
    list.get_ref().clone()
}

/// Clauses that stand in a floor in vain: somebody meant something by them.
fn bounds_nothing(floor: &Layer) -> Vec<Conflict> {
    let unbounded = SCALARS.iter().filter_map(|scalar| {
        let bound = (scalar.in_layer)(floor)?;
        let loosest = match bound.measure {
            Measure::AtMost(limit) => limit.is_none(),
            Measure::Step(step) => step == 0,
            Measure::Reach(reach) => reach.is_none(),
            Measure::Same(_) | Measure::Free => false,
        };
        loosest.then(|| Conflict {
            origin: bound.origin,
            what: format!("{} = {} in a floor bounds nothing", scalar.key, bound.shown),
            fix: "write the loosest that is permitted, or remove the line".to_owned(),
        })
    });
    let preferred = floor.needs.iter().filter_map(|need| {
        let (kind, level) = need.value;
        (level == Need::Prefer && !kind.is_limit()).then(|| Conflict {
            origin: need.origin.clone(),
            what: format!("to prefer {kind} in a floor bounds nothing"),
            fix: "require it, or remove the line".to_owned(),
        })
    });
    unbounded.chain(preferred).collect()
}
