//! Where a field of a values file stands, for messages that are made after the file was read. Knows no field.

use crate::document::{self, Kind, Mark, Node};

/// Line and column, from 1, of the field at `path` (`gate.metrics[1].min`), or of the nearest one above it that the text
/// has. `None` where the text cannot be read.
#[must_use]
pub fn locate(text: &str, path: &str) -> Option<(usize, usize)> {
    let (root, _) = document::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    let root = root?;
    let mut at = root.start;
    let mut node = &root;
    for part in path.split('.').flat_map(parts) {
        let Some((start, below)) = step(node, part) else { break };
        (at, node) = (start, below);
    }
    Some((at.line, at.column))
}

/// `metrics[1]` is a key and the number of an item.
fn parts(segment: &str) -> impl Iterator<Item = &str> {
    segment.split('[').map(|part| part.trim_end_matches(']'))
}

fn step<'a>(node: &'a Node, part: &str) -> Option<(Mark, &'a Node)> {
    match &node.kind {
        Kind::Map(_) => node.entry(part).map(|entry| (entry.start, &entry.value)),
        Kind::List(items) => items.get(part.parse::<usize>().ok()?).map(|item| (item.start, item)),
        Kind::Scalar(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_or_what_is_nearest_above_it() {
        let text = "\u{feff}model:\n  name: m\n  registry: {name: x, version: 3}\ngate:\n  metrics:\n    - {name: auc, min: 1}\n    - name: loss\n      max: 2\n";
        for (path, expected) in [
            ("model.name", (2, 3)),
            ("model.registry.version", (3, 23)),
            ("model.registry.runId", (3, 3)),
            ("gate.metrics[0].min", (6, 19)),
            ("gate.metrics[1].max", (8, 7)),
            ("gate.metrics[7]", (5, 3)),
            ("stable.version", (1, 1)),
            ("", (1, 1)),
        ] {
            assert_eq!(locate(text, path), Some(expected), "{path}");
        }
        assert_eq!(locate("a: [", "a"), None);
        assert_eq!(locate("", "a"), None);
    }
}
