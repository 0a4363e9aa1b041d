//! The settings file: one YAML map, read with the same care as a values file.

use std::collections::BTreeMap;

use super::{Given, SETTINGS, Setting, outside};
use crate::document::{self, Entry, Kind, Mark, Node, Plain, Scalar};
use crate::problem::{Problem, did_you_mean, quoted};

pub(super) fn layer(name: &str, text: &str, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Given> {
    let (root, faults) = document::read(text.strip_prefix('\u{feff}').unwrap_or(text));
    let at = |mark: Mark, path: &str| Problem {
        line: mark.line,
        column: mark.column,
        path: path.to_owned(),
        ..outside(name)
    };
    problems.extend(faults.into_iter().map(|fault| Problem { message: fault.message, ..at(fault.at, "") }));
    let Some(root) = root.filter(|root| !root.is_null()) else { return BTreeMap::new() };
    let Kind::Map(entries) = &root.kind else {
        let message = format!("{} is not a map; write `key: value` lines", root.found());
        problems.push(Problem { message, ..at(root.start, "") });
        return BTreeMap::new();
    };
    let keys: Vec<(String, &Setting)> = SETTINGS.iter().map(|setting| (setting.key(), setting)).collect();
    let mut layer = BTreeMap::new();
    for Entry { key, start, value } in entries {
        let Some((_, setting)) = keys.iter().find(|(known, _)| known == key) else {
            let hint = did_you_mean(key, keys.iter().map(|(known, _)| known.as_str()));
            problems.push(Problem { message: format!("{} is not a setting{hint}", quoted(key)), ..at(*start, "") });
            continue;
        };
        let place = at(value.start, key);
        match written(value) {
            Ok(Some(text)) => drop(layer.insert(setting.name, Given { text, place })),
            Ok(None) => {}
            Err(message) => problems.push(Problem { message, ..place }),
        }
    }
    layer
}

/// The text of a value as the other sources would write it: a list with commas.
fn written(node: &Node) -> Result<Option<String>, String> {
    match &node.kind {
        Kind::Scalar(Scalar { value: Plain::Null, .. }) => Ok(None),
        Kind::Scalar(scalar) => Ok(Some(scalar.written.clone())),
        Kind::List(items) => {
            let texts = items.iter().map(|item| item.text().filter(|text| !text.contains(',')));
            let texts: Option<Vec<&str>> = texts.collect();
            let texts = texts.ok_or_else(|| "a list holds plain words without commas; write `- word` lines".to_owned());
            texts.map(|texts| Some(texts.join(",")))
        }
        Kind::Map(_) => Err("a map is not allowed here; write one value".to_owned()),
    }
}
