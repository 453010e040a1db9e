//! Tables without borders.

use comfy_table::{Cell, ContentArrangement, Table, presets};

use super::Paint;

/// A table with a heading line. Cells may hold colours.
pub fn table(paint: Paint, heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(heading.iter().map(|title| Cell::new(paint.bold(title))));
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text: String = table
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    text.shrink_to_fit();
    text
}
