//! Tables for a terminal: plain text without colours, that reads the same in a pipe.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table};

use super::escape;

/// How a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Names: broken into lines where they are too long.
    Left,
    /// Times and short ids, which are never broken.
    Whole,
    /// Figures, which are never broken.
    Right,
}

/// A table within the given number of columns, where longer names are broken, not cut. Without a number, as in a
/// pipe, each row is one line.
#[must_use]
pub fn table(columns: &[(&str, Align)], rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .force_no_tty()
        .set_header(columns.iter().map(|(title, align)| cell(title, *align)));
    match width {
        Some(width) => table
            .set_width(width)
            .set_content_arrangement(ContentArrangement::Dynamic),
        None => table.set_content_arrangement(ContentArrangement::Disabled),
    };
    for row in rows {
        let cells = row.iter().zip(columns);
        table.add_row(cells.map(|(text, (_, align))| cell(text, *align)));
    }
    for (column, (_, align)) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if *align != Align::Left {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt() + "\n"
}

fn cell(text: &str, align: Align) -> Cell {
    Cell::new(escape::terminal(text)).set_alignment(match align {
        Align::Left | Align::Whole => CellAlignment::Left,
        Align::Right => CellAlignment::Right,
    })
}
