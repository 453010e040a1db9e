//! Figures as data, and how they are shown.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::{Value, json};

/// Wide enough for figures; long reasons are broken into lines.
const WIDTH: u16 = 160;

/// One figure, or why there is none.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    section: &'static str,
    what: String,
    value: Option<f64>,
    unit: &'static str,
    /// What ran beside it, and the figure divided by that one's.
    beside: Option<(String, f64)>,
    /// The bar: of the ratio if there is one, else of the value.
    at_most: Option<f64>,
    not_measured: Option<String>,
}

impl Row {
    /// A figure.
    pub fn new(what: &str, value: f64, unit: &'static str) -> Self {
        let (what, section) = (what.to_owned(), "");
        Self {
            section,
            what,
            value: Some(value),
            unit,
            beside: None,
            at_most: None,
            not_measured: None,
        }
    }

    /// A figure that could not be had.
    pub fn not_measured(what: &str, why: &str) -> Self {
        Self {
            value: None,
            not_measured: Some(why.to_owned()),
            ..Self::new(what, 0.0, "")
        }
    }

    /// Compares with what ran beside it.
    pub fn beside(mut self, name: &str, value: f64) -> Self {
        self.beside = self.value.map(|own| (name.to_owned(), own / value));
        self
    }

    /// Sets the bar.
    pub fn at_most(mut self, bar: f64) -> Self {
        self.at_most = Some(bar);
        self
    }

    /// Says which section it belongs to.
    pub fn of(mut self, section: &'static str) -> Self {
        self.section = section;
        self
    }

    /// Whether the bar is met; none where there is no bar or no figure.
    fn met(&self) -> Option<bool> {
        let measured = self.beside.as_ref().map(|(_, ratio)| *ratio).or(self.value)?;
        Some(measured <= self.at_most?)
    }

    fn cells(&self) -> [String; 5] {
        let value = match (&self.value, &self.not_measured) {
            (Some(value), _) => format!("{value:.2} {}", self.unit),
            (None, why) => format!("not measured: {}", why.as_deref().unwrap_or("no reason is known")),
        };
        let beside = self
            .beside
            .as_ref()
            .map(|(name, ratio)| format!("{ratio:.2} x {name}"));
        let verdict = match (self.at_most, self.met()) {
            (None, _) => String::new(),
            (Some(bar), None) => format!("<= {bar}: unknown"),
            (Some(bar), Some(true)) => format!("<= {bar}: met"),
            (Some(bar), Some(false)) => format!("<= {bar}: MISSED"),
        };
        [
            self.section.to_owned(),
            self.what.clone(),
            value,
            beside.unwrap_or_default(),
            verdict,
        ]
    }
}

/// The table that people read.
pub fn table(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::ASCII_MARKDOWN)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table.set_header(["section", "what", "median", "beside", "bar"]);
    for row in rows {
        let [section, what, value, beside, bar] = row.cells();
        let right = |text: String| Cell::new(text).set_alignment(CellAlignment::Right);
        table.add_row([
            Cell::new(section),
            Cell::new(what),
            right(value),
            Cell::new(beside),
            Cell::new(bar),
        ]);
    }
    table.to_string()
}

/// The document that machines read: what was measured, on what.
pub fn document(rows: &[Row], runs: usize) -> Value {
    let uname = rustix::system::uname();
    json!({
        "version": 1,
        "runs": runs,
        "machine": {
            "kernel": uname.release().to_string_lossy(),
            "architecture": uname.machine().to_string_lossy(),
            "processors": std::thread::available_parallelism().map_or(0, usize::from),
        },
        "rows": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_applies_to_the_ratio_where_there_is_one() {
        let row = Row::new("a", 12.0, "ms").beside("b", 10.0).at_most(1.25);
        assert_eq!(row.met(), Some(true));
        assert_eq!(row.clone().at_most(1.1).met(), Some(false));
        assert_eq!(row.cells()[3], "1.20 x b");
    }

    #[test]
    fn without_a_ratio_it_applies_to_the_value() {
        assert_eq!(Row::new("a", 7.9, "MiB").at_most(8.0).met(), Some(true));
        assert_eq!(Row::new("a", 8.1, "MiB").at_most(8.0).cells()[4], "<= 8: MISSED");
    }

    #[test]
    fn what_is_not_measured_meets_nothing() {
        let row = Row::not_measured("a", "no client").beside("b", 10.0).at_most(1.0);
        assert_eq!(row.met(), None);
        assert_eq!(row.cells()[2], "not measured: no client");
    }
}
