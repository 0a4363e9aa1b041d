//! Names and texts of the driver's codes: a table that was recorded from a real driver.

use std::ffi::CString;
use std::sync::LazyLock;

/// Code, name, text: a line each, the lowest code first.
const TABLE: &str = include_str!("errors.tsv");

struct Row {
    code: i32,
    name: CString,
    text: CString,
}

static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let row = |line: &str| {
        let mut fields = line.split('\t');
        let code = fields.next()?.parse().ok()?;
        let (name, text) = (CString::new(fields.next()?).ok()?, CString::new(fields.next()?).ok()?);
        Some(Row { code, name, text })
    };
    TABLE.lines().filter_map(row).collect()
});

fn row(code: i32) -> Option<&'static Row> {
    ROWS.binary_search_by_key(&code, |row| row.code).ok().map(|index| &ROWS[index])
}

/// The name of a code.
pub(crate) fn name(code: i32) -> Option<&'static std::ffi::CStr> {
    row(code).map(|row| row.name.as_c_str())
}

/// What a code means, in words.
pub(crate) fn text(code: i32) -> Option<&'static std::ffi::CStr> {
    row(code).map(|row| row.text.as_c_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row_and_the_codes_rise() {
        assert_eq!(ROWS.len(), TABLE.lines().count());
        assert!(ROWS.is_sorted_by(|a, b| a.code < b.code));
        assert_eq!(name(700).and_then(|name| name.to_str().ok()), Some("CUDA_ERROR_ILLEGAL_ADDRESS"));
        assert_eq!(name(12345), None);
    }
}
