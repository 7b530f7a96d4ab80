//! Lists as tables.

use serde_json::Value;

use super::plain;

/// Widest column but the last, in characters.
const WIDTH_MAX: usize = 64;

/// A heading, and the place of the value (a JSON pointer).
pub(super) type Column = (&'static str, &'static str);

/// Columns as wide as what stands in them.
pub(super) fn table(list: &[Value], columns: &[Column]) -> String {
    let mut rows: Vec<Vec<String>> = vec![columns.iter().map(|(heading, _)| (*heading).to_owned()).collect()];
    for value in list {
        rows.push(columns.iter().map(|(_, place)| plain(value.pointer(place))).collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
                .min(WIDTH_MAX)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_needed() {
        let list = [
            serde_json::json!({ "a": "x", "b": { "c": 12 } }),
            serde_json::json!({ "a": "longer\n", "b": { "c": ["d", "e"] } }),
        ];
        let shown = table(&list, &[("A", "/a"), ("B", "/b/c")]);
        assert_eq!(shown, "A        B\nx        12\nlonger   d, e\n");
    }
}
