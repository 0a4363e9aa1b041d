//! YAML text to a tree that remembers where each part stands. Owns the limits on what is read (size, depth, nodes)
//! and refuses what a values file has no use for: duplicate keys, aliases, several documents. Knows no field.

mod build;
#[cfg(test)]
mod tests;

use crate::problem::quoted;

/// Largest text that is read, in bytes: the limit of a ConfigMap.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// Maps and lists inside one another.
pub(crate) const DEPTH_MAX: usize = 32;
/// Keys and values of one text.
pub(crate) const NODES_MAX: usize = 20_000;

/// A place in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Bytes from the start of the text.
    pub(crate) offset: usize,
    /// From 1.
    pub(crate) line: usize,
    /// In characters, from 1.
    pub(crate) column: usize,
}

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Where the value starts.
    pub(crate) start: Mark,
    /// The byte after its last character (comments and blanks behind it not counted).
    pub(crate) end: usize,
    /// What it is.
    pub(crate) kind: Kind,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// One value.
    Scalar(Scalar),
    /// Keys in the order of the text; no key twice.
    Map(Vec<Entry>),
    /// Items in the order of the text.
    List(Vec<Node>),
}

/// A scalar: its meaning in YAML 1.2's core schema, and the characters it was made from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// The meaning.
    pub(crate) value: Plain,
    /// The content as written, quotes and escapes resolved.
    pub(crate) written: String,
}

/// The meaning of a scalar.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plain {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// Everything else, and everything quoted.
    Text,
}

/// One key of a map.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key starts.
    pub(crate) start: Mark,
    /// Its value.
    pub(crate) value: Node,
}

/// Something that is wrong with the text as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where.
    pub(crate) at: Mark,
    /// What, and what to do about it.
    pub(crate) message: String,
}

impl Node {
    /// What an empty text says.
    pub(crate) fn null() -> Self {
        let start = Mark { offset: 0, line: 1, column: 1 };
        Self { start, end: 0, kind: Kind::Scalar(Scalar { value: Plain::Null, written: String::new() }) }
    }

    /// Whether there is nothing here: `key:`, `key: null` or `key: ~`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar(scalar) if scalar.value == Plain::Null)
    }

    /// The entry of `key`, where this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// The content, where this is a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) => Some(&scalar.written),
            Kind::Map(_) | Kind::List(_) => None,
        }
    }

    /// The value for a message: `"text"`, `120`, `true`, `nothing`, `a map` or `a list`.
    pub(crate) fn found(&self) -> String {
        match &self.kind {
            Kind::Map(_) => "a map".to_owned(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Scalar(Scalar { value: Plain::Null, .. }) => "nothing".to_owned(),
            Kind::Scalar(Scalar { value: Plain::Text, written }) => quoted(written),
            Kind::Scalar(Scalar { written, .. }) => written.chars().take(60).collect(),
        }
    }
}

/// Reads one document. Faults that leave the rest readable (a duplicate key) come beside a tree; a fault that does
/// not (broken YAML, a limit) ends the reading, and there is no tree.
pub(crate) fn read(text: &str) -> (Option<Node>, Vec<Fault>) {
    if text.len() > TEXT_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {TEXT_BYTES_MAX} are read", text.len());
        return (None, vec![Fault { at: Mark { offset: 0, line: 1, column: 1 }, message }]);
    }
    build::Builder::new(text).read()
}
