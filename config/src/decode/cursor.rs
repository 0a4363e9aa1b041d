//! Walking the tree: a [`Cursor`] is a value with its path, a [`Map`] hands out the values of its keys and knows which
//! keys nobody asked for, and the [`Report`] keeps what was wrong.

use crate::document::{Entry, Fault, Kind, Mark, Node, Plain, Scalar};
use crate::problem::{Problem, did_you_mean, quoted};

/// Everything found wrong (and worth a warning) so far.
#[derive(Debug)]
pub(crate) struct Report {
    file: String,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
    /// Each object that was read and the keys it knows, so that a test can hold the schema against the decoder.
    #[cfg(test)]
    pub(crate) known: std::collections::BTreeMap<&'static str, std::collections::BTreeSet<&'static str>>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
            #[cfg(test)]
            known: std::collections::BTreeMap::new(),
        }
    }

    /// The text itself is wrong.
    pub(crate) fn fault(&mut self, fault: Fault) {
        let problem = self.problem(fault.at, "", fault.message);
        self.problems.push(problem);
    }

    pub(crate) fn wrong(&mut self, at: Mark, path: &str, message: impl Into<String>) {
        let problem = self.problem(at, path, message.into());
        self.problems.push(problem);
    }

    pub(crate) fn warn(&mut self, at: Mark, path: &str, message: impl Into<String>) {
        let problem = self.problem(at, path, message.into());
        self.warnings.push(problem);
    }

    fn problem(&self, at: Mark, path: &str, message: String) -> Problem {
        Problem { file: self.file.clone(), line: at.line, column: at.column, path: path.to_owned(), message }
    }
}

/// A value and the path that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

impl<'a> Cursor<'a> {
    pub(crate) fn root(node: &'a Node) -> Self {
        Self { node, path: String::new() }
    }

    /// Reports `message` at this value.
    pub(crate) fn wrong(&self, report: &mut Report, message: impl Into<String>) {
        report.wrong(self.node.start, &self.path, message);
    }

    /// The map here; `name` is the object's name in the JSON Schema.
    pub(crate) fn map(&self, report: &mut Report, name: &'static str) -> Option<Map<'a>> {
        self.map_or(report, name, |_| "write `key: value` lines".to_owned())
    }

    /// The map here, of which `key` is what people mean who write its value alone: they are told to write it out, with
    /// their own value where it is of the same kind as `example`, a number or a word.
    pub(crate) fn map_of(
        &self,
        report: &mut Report,
        name: &'static str,
        (key, example): (&str, &str),
    ) -> Option<Map<'a>> {
        self.map_or(report, name, |node| {
            let starts_with_digit = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
            let own = node.text().filter(|text| !text.is_empty() && shown(text) == **text);
            let own = own.filter(|text| starts_with_digit(text) == starts_with_digit(example));
            let own = own.filter(|_| !matches!(&node.kind, Kind::Scalar(Scalar { value: Plain::Bool(_), .. })));
            format!("write {{{key}: {}}}", own.unwrap_or(example))
        })
    }

    fn map_or(&self, report: &mut Report, name: &'static str, hint: impl FnOnce(&Node) -> String) -> Option<Map<'a>> {
        match &self.node.kind {
            Kind::Map(entries) => Some(Map::new(entries, self, name)),
            // `strategy:` with nothing below it says as little as `strategy: {}`.
            Kind::Scalar(scalar) if scalar.value == Plain::Null => Some(Map::new(&[], self, name)),
            Kind::Scalar(_) | Kind::List(_) => {
                self.wrong(report, format!("{} is not a map; {}", self.node.found(), hint(self.node)));
                None
            }
        }
    }

    /// The items of the list here, at most `max`.
    pub(crate) fn list(&self, report: &mut Report, max: usize) -> Option<Vec<Cursor<'a>>> {
        let Kind::List(nodes) = &self.node.kind else {
            self.wrong(report, format!("{} is not a list; write `- item` lines", self.node.found()));
            return None;
        };
        if nodes.len() > max {
            self.wrong(report, format!("{} items are over the limit of {max}", nodes.len()));
            return None;
        }
        let item = |(index, node)| Cursor { node, path: format!("{}[{index}]", self.path) };
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// Decodes every item; `None` when one of them is wrong.
    pub(crate) fn each<T>(
        &self,
        report: &mut Report,
        max: usize,
        mut decode: impl FnMut(&Cursor<'a>, &mut Report) -> Option<T>,
    ) -> Option<Vec<T>> {
        let items = self.list(report, max)?;
        let decoded: Vec<Option<T>> = items.iter().map(|item| decode(item, report)).collect();
        decoded.into_iter().collect()
    }

    /// The keys of a map whose names are the operator's own.
    pub(crate) fn named(&self, report: &mut Report, max: usize) -> Option<Vec<(&'a Entry, Cursor<'a>)>> {
        let Kind::Map(entries) = &self.node.kind else {
            self.wrong(report, format!("{} is not a map; write `name:` lines", self.node.found()));
            return None;
        };
        if entries.len() > max {
            self.wrong(report, format!("{} entries are over the limit of {max}", entries.len()));
            return None;
        }
        Some(entries.iter().map(|entry| (entry, self.below(entry))).collect())
    }

    fn below(&self, entry: &'a Entry) -> Cursor<'a> {
        let path =
            if self.path.is_empty() { entry.key.clone() } else { format!("{}.{}", self.path, shown(&entry.key)) };
        Cursor { node: &entry.value, path }
    }
}

/// A key for a path: long or odd ones are quoted and cut.
fn shown(key: &str) -> String {
    let simple = key.len() <= 60 && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if simple { key.to_owned() } else { quoted(key) }
}

/// An object with known keys. Ask for each key, then [`Map::finish`].
#[derive(Debug)]
pub(crate) struct Map<'a> {
    name: &'static str,
    entries: &'a [Entry],
    pub(crate) here: Cursor<'a>,
    known: Vec<&'static str>,
}

impl<'a> Map<'a> {
    fn new(entries: &'a [Entry], here: &Cursor<'a>, name: &'static str) -> Self {
        Self { name, entries, here: here.clone(), known: Vec::new() }
    }

    /// The value of `key`, where it is there and not null.
    pub(crate) fn get(&mut self, key: &'static str) -> Option<Cursor<'a>> {
        self.get_or_null(key).filter(|cursor| !cursor.node.is_null())
    }

    /// The value of `key`, where it is there, even if it is null.
    pub(crate) fn get_or_null(&mut self, key: &'static str) -> Option<Cursor<'a>> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| self.here.below(entry))
    }

    /// The value of `key`; its absence is a problem, and `hint` says what to write.
    pub(crate) fn required(&mut self, key: &'static str, hint: &str, report: &mut Report) -> Option<Cursor<'a>> {
        let found = self.get_or_null(key);
        if let Some(cursor) = found.as_ref().filter(|cursor| cursor.node.is_null()) {
            cursor.wrong(report, format!("nothing is here; {hint}"));
            return None;
        }
        if found.is_none() {
            let path = &self.here.path;
            let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
            report.wrong(self.here.node.start, &path, format!("this is missing; {hint}"));
        }
        found
    }

    /// Refuses `key` with `reason`: something that people may look for here and that is not here.
    pub(crate) fn refuse(&self, key: &str, reason: &str, report: &mut Report) {
        if let Some(entry) = self.entries.iter().find(|entry| entry.key == key) {
            let cursor = self.here.below(entry);
            report.wrong(entry.start, &cursor.path, reason);
        }
    }

    /// Reports the keys that nobody asked for, but for those in `others`; true where there was one.
    pub(crate) fn finish_but(self, others: &[&str], report: &mut Report) -> bool {
        #[cfg(test)]
        report.known.entry(self.name).or_default().extend(&self.known);
        let mut told = false;
        for entry in self.entries {
            let key = entry.key.as_str();
            if !self.known.contains(&key) && !others.contains(&key) {
                let path = self.here.below(entry).path;
                let hint = did_you_mean(key, self.known.iter().copied());
                let hint = if hint.is_empty() { format!("; known here: {}", self.known.join(", ")) } else { hint };
                report.wrong(entry.start, &path, format!("`{}` is not known{hint}", shown(key)));
                told = true;
            }
        }
        debug_assert!(!self.name.is_empty(), "every object has a name in the schema");
        told
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self, report: &mut Report) {
        self.finish_but(&[], report);
    }
}
