//! Outputs as a small table: a line for each row where all outputs have the same rows, else a line for each output.

use serde_json::Value;

use super::Output;
use crate::cli::output::{Cell, FAINT, Table};

/// Rows that are shown.
const ROWS: usize = 10;
/// Elements of one row of one output that are shown.
const ELEMENTS: usize = 8;
/// Characters of one element.
const TEXT: usize = 40;

/// The table.
pub(super) fn outputs(outputs: &[Output]) -> String {
    match common_rows(outputs) {
        Some(rows) => by_row(outputs, rows),
        None => by_output(outputs),
    }
}

/// The size of the first axis, where all outputs share it and hold the elements that their shape says.
fn common_rows(outputs: &[Output]) -> Option<usize> {
    let rows = *outputs.first()?.shape.first()?;
    let fits = |output: &Output| {
        let elements = output.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        output.shape.first() == Some(&rows) && elements == Some(output.data.len())
    };
    (rows > 0 && outputs.iter().all(fits)).then_some(rows)
}

fn by_row(outputs: &[Output], rows: usize) -> String {
    let mut table = Table::indented(2);
    let heading = |output: &Output| Cell::styled(FAINT, format!("{} {}", output.name, kind(output, 1)));
    table.cells(std::iter::once(Cell::styled(FAINT, "row")).chain(outputs.iter().map(heading)));
    for row in 0..rows.min(ROWS) {
        let cell = |output: &Output| {
            let width = output.data.len() / rows;
            Cell::from(elements(&output.data[row * width..(row + 1) * width], output.shape.len() == 1))
        };
        table.cells(std::iter::once(Cell::from(row)).chain(outputs.iter().map(cell)));
    }
    let mut shown = table.to_string();
    if rows > ROWS {
        shown.push_str(&format!("  {FAINT}… {} more rows{FAINT:#}\n", rows - ROWS));
    }
    shown
}

fn by_output(outputs: &[Output]) -> String {
    let mut table = Table::headed(2, ["output", "datatype", "values"]);
    for output in outputs {
        let values = elements(&output.data, false);
        table.row([output.name.as_str().into(), kind(output, 0).into(), values.into()]);
    }
    table.to_string()
}

/// The datatype and the axes from `axis` on, such as `FP32[2]`.
fn kind(output: &Output, axis: usize) -> String {
    match output.shape.get(axis..) {
        Some([]) | None => output.datatype.clone(),
        Some(axes) => {
            let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
            format!("{}[{}]", output.datatype, axes.join(","))
        }
    }
}

fn elements(data: &[Value], single: bool) -> String {
    let mut shown: Vec<String> = data.iter().take(ELEMENTS).map(element).collect();
    if single && shown.len() == 1 {
        return shown.remove(0);
    }
    if data.len() > ELEMENTS {
        shown.push(format!("… {} more", data.len() - ELEMENTS));
    }
    format!("[{}]", shown.join(", "))
}

fn element(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => decimal(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => {
            let cut: String = text.chars().take(TEXT).collect();
            if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
        }
        other => other.to_string(),
    }
}

/// Four digits that count: enough to compare, few enough to read.
fn decimal(value: f64) -> String {
    let size = value.abs();
    if value != 0.0 && !(1e-4..1e7).contains(&size) { format!("{value:.3e}") } else { format!("{value:.4}") }
}
