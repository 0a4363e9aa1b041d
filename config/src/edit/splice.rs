//! Replacing pieces of a YAML text by position. Knows block and flow style, quotes and indentation, and no field.

use std::ops::Range;

use crate::document::{Entry, Kind, Node};

/// Pieces to replace, each a range of bytes of the text as it was.
#[derive(Debug)]
pub(super) struct Splices<'a> {
    text: &'a str,
    pieces: Vec<(Range<usize>, String)>,
}

impl<'a> Splices<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, pieces: Vec::new() }
    }

    /// The text with every piece replaced. A piece that meets an earlier one is left out.
    pub(super) fn apply(mut self) -> String {
        // Stable: pieces inserted at one place keep their order.
        self.pieces.sort_by_key(|(range, _)| (range.start, range.end));
        let mut edited = String::with_capacity(self.text.len() + 256);
        let mut at = 0;
        for (range, piece) in &self.pieces {
            let Some(kept) = self.text.get(at..range.start) else { continue };
            edited.push_str(kept);
            edited.push_str(piece);
            at = range.end;
        }
        edited.push_str(self.text.get(at..).unwrap_or_default());
        edited
    }

    /// Sets `key` of `map`, in the quotes it has; a new key goes behind `after`.
    pub(super) fn set(&mut self, map: &Node, key: &str, value: &str, after: &str) {
        match map.entry(key) {
            Some(entry) => self.replace(entry, value),
            None => self.insert(map, key, &fresh(value), after),
        }
    }

    /// Sets `key` of `map`, or removes it.
    pub(super) fn set_or_remove(&mut self, map: &Node, key: &str, value: Option<&str>, after: &str) {
        match (value, map.entry(key)) {
            (Some(value), _) => self.set(map, key, value, after),
            (None, Some(entry)) => self.remove(map, entry),
            (None, None) => {}
        }
    }

    /// Gives `key` of `map` a map of `fields`; a new key goes behind `after`.
    pub(super) fn add_map(&mut self, map: &Node, key: &str, fields: &[(&str, &str)], after: &str) {
        let quote_keys = self.quotes_keys(map);
        let name = |key: &str| if quote_keys { format!("\"{key}\"") } else { key.to_owned() };
        let flow: Vec<String> = fields.iter().map(|(key, value)| format!("{}: {}", name(key), fresh(value))).collect();
        let flow = format!("{{{}}}", flow.join(", "));
        if let Some(entry) = map.entry(key) {
            self.replace_raw(entry, &flow);
        } else if self.is_flow(map) {
            self.insert(map, key, &flow, after);
        } else {
            let indent = self.indent_below(map.entry(after));
            let fields = fields.iter().map(|(key, value)| format!("{indent}{key}: {}", fresh(value)));
            let apart = neighbour(map, after).is_some_and(|entry| self.apart(entry));
            let lines = apart.then(String::new).into_iter().chain([format!("{key}:")]).chain(fields);
            let lines: Vec<String> = lines.collect();
            self.insert_lines(map, &lines, after);
        }
    }

    fn replace(&mut self, entry: &Entry, value: &str) {
        let written = self.text.as_bytes().get(entry.value.start.offset);
        let value = match written {
            Some(b'"') => format!("\"{value}\""),
            Some(b'\'') => format!("'{value}'"),
            _ => plain(value),
        };
        self.replace_raw(entry, &value);
    }

    fn replace_raw(&mut self, entry: &Entry, value: &str) {
        let Range { start, end } = entry.value.start.offset..entry.value.end;
        // `key:` with nothing behind it: the parser puts the value before the colon.
        if start >= end {
            let rest = self.text.get(start..).unwrap_or_default();
            let colon = start + rest.find(':').map_or(0, |at| at + 1);
            self.pieces.push((colon..colon, format!(" {value}")));
        } else {
            self.pieces.push((start..end, value.to_owned()));
        }
    }

    fn insert(&mut self, map: &Node, key: &str, value: &str, after: &str) {
        if self.is_flow(map) {
            let Some(before) = neighbour(map, after) else { return };
            let key = if self.quotes_keys(map) { format!("\"{key}\"") } else { key.to_owned() };
            self.pieces.push((before.value.end..before.value.end, format!(", {key}: {value}")));
        } else {
            self.insert_lines(map, &[format!("{key}: {value}")], after);
        }
    }

    /// Lines of a block map, behind the entry `after` and the comment on its last line.
    fn insert_lines(&mut self, map: &Node, lines: &[String], after: &str) {
        let Some(before) = neighbour(map, after) else { return };
        let indent = self.text.get(self.line_start(before.start.offset)..before.start.offset).unwrap_or_default();
        let newline = if self.text.contains("\r\n") { "\r\n" } else { "\n" };
        let at = self.line_end(before.value.end);
        let written = |line: &String| if line.is_empty() { String::new() } else { format!("{indent}{line}") };
        let lines = lines.iter().map(written).collect::<Vec<_>>().join(newline);
        // The last line of a text may have no end.
        let ends = self.text.get(..at).is_some_and(|kept| kept.ends_with('\n'));
        let piece = if ends { lines + newline } else { newline.to_owned() + &lines };
        self.pieces.push((at..at, piece));
    }

    /// Whether an empty line stands behind `entry`, as between the sections of most files.
    fn apart(&self, entry: &Entry) -> bool {
        let rest = self.text.get(self.line_end(entry.value.end)..).unwrap_or_default();
        rest.starts_with('\n') || rest.starts_with("\r\n")
    }

    fn remove(&mut self, map: &Node, entry: &Entry) {
        let Kind::Map(entries) = &map.kind else { return };
        let index = entries.iter().position(|other| other.key == entry.key).unwrap_or_default();
        let range = if !self.is_flow(map) {
            self.line_start(entry.start.offset)..self.line_end(entry.value.end)
        } else if let Some(before) = index.checked_sub(1).and_then(|index| entries.get(index)) {
            before.value.end..entry.value.end
        } else if let Some(next) = entries.get(index + 1) {
            entry.start.offset..next.start.offset
        } else {
            entry.start.offset..entry.value.end
        };
        self.pieces.push((range, String::new()));
    }

    fn is_flow(&self, map: &Node) -> bool {
        self.text.as_bytes().get(map.start.offset) == Some(&b'{')
    }

    /// JSON is YAML, and its keys are quoted.
    fn quotes_keys(&self, map: &Node) -> bool {
        let first = map.kind_entries().first();
        self.is_flow(map) && first.is_some_and(|entry| self.text.as_bytes().get(entry.start.offset) == Some(&b'"'))
    }

    /// How far the fields of a new block map are indented: as far as those of its neighbour.
    fn indent_below(&self, neighbour: Option<&Entry>) -> String {
        let Some(entry) = neighbour.filter(|entry| !self.is_flow(&entry.value)) else { return "  ".to_owned() };
        let inner = entry.value.kind_entries().first().map(|first| first.start.column);
        let depth = inner.map(|inner| inner.saturating_sub(entry.start.column)).filter(|depth| *depth > 0);
        " ".repeat(depth.unwrap_or(2))
    }

    fn line_start(&self, at: usize) -> usize {
        self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        rest.find('\n').map_or(self.text.len(), |newline| at + newline + 1)
    }
}

impl Node {
    fn kind_entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(_) | Kind::List(_) => &[],
        }
    }
}

/// The entry called `after`, or the last one.
fn neighbour<'a>(map: &'a Node, after: &str) -> Option<&'a Entry> {
    map.entry(after).or_else(|| map.kind_entries().last())
}

/// A new value. Versions are quoted, since the next one may look like a number; digests and URIs need no quotes.
fn fresh(value: &str) -> String {
    if value.contains(':') { plain(value) } else { format!("\"{value}\"") }
}

/// A value without quotes, unless some reader of YAML would not take it for text (`1.10`, `yes`, `2026-01-01`).
fn plain(value: &str) -> String {
    const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
    let letter = value.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = WORDS.iter().any(|word| value.eq_ignore_ascii_case(word));
    let special = value.contains(['"', '\'', '#', '{', '}', '[', ']', ',', '&', '*', ' ']) || value.ends_with(':');
    if !letter || word || special { format!("\"{value}\"") } else { value.to_owned() }
}
