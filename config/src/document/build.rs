//! From the parser's events to the tree.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::{DEPTH_MAX, Entry, Fault, Kind, Mark, NODES_MAX, Node, Plain, Scalar};
use crate::problem::quoted;

/// A map or list whose end has not been seen.
struct Open {
    start: Mark,
    items: Items,
}

enum Items {
    Map { entries: Vec<Entry>, key: Option<Key> },
    List(Vec<Node>),
}

/// A key that waits for its value. One that cannot be used is kept, so that its value is still read.
struct Key {
    text: String,
    start: Mark,
    usable: bool,
}

/// Builds the tree without recursion, so that depth costs no stack.
pub(super) struct Builder<'a> {
    text: &'a str,
    /// Byte offset of each character, where the text is not plain ASCII.
    offsets: Option<Vec<usize>>,
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
    faults: Vec<Fault>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let offsets = (!text.is_ascii()).then(|| text.char_indices().map(|(offset, _)| offset).collect());
        Self { text, offsets, open: Vec::new(), root: None, nodes: 0, documents: 0, faults: Vec::new() }
    }

    pub(super) fn read(mut self) -> (Option<Node>, Vec<Fault>) {
        for event in Parser::new_from_str(self.text) {
            if let Ok((Event::DocumentStart(_), span)) = &event {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "a second document starts here; write one document per file";
                    let fault = self.fault(span.start, message);
                    self.faults.push(fault);
                    // What the first one says is judged all the same.
                    return (self.root, self.faults);
                }
            }
            let step = match event {
                Ok((event, span)) => self.event(event, span),
                Err(error) => Err(self.fault(*error.marker(), &format!("this is not YAML: {}", error.info()))),
            };
            if let Err(fault) = step {
                self.faults.push(fault);
                return (None, self.faults);
            }
        }
        (self.root, self.faults)
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        match event {
            Event::Alias(_) => {
                return Err(self.fault(span.start, "aliases are not read; write the value out"));
            }
            Event::Scalar(content, style, _, tag) => {
                let node = self.scalar(content, style, tag.as_ref(), span)?;
                self.place(node)?;
            }
            Event::MappingStart(..) => self.open(span, Items::Map { entries: Vec::new(), key: None })?,
            Event::SequenceStart(..) => self.open(span, Items::List(Vec::new()))?,
            Event::MappingEnd | Event::SequenceEnd => self.close(span)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        content: Cow<'_, str>,
        style: ScalarStyle,
        tag: Option<&Cow<'_, Tag>>,
        span: Span,
    ) -> Result<Node, Fault> {
        self.count(span.start)?;
        let start = self.mark(span.start);
        let end = scalar_end(self.text, style, start.offset, self.offset(span.end.index()));
        let written = content.clone().into_owned();
        let value = match saphyr::Scalar::parse_from_cow_and_metadata(content, style, tag) {
            Some(saphyr::Scalar::Null) => Plain::Null,
            Some(saphyr::Scalar::Boolean(value)) => Plain::Bool(value),
            Some(saphyr::Scalar::Integer(value)) => Plain::Integer(value),
            Some(saphyr::Scalar::FloatingPoint(value)) => Plain::Float(value.into_inner()),
            Some(saphyr::Scalar::String(_)) => Plain::Text,
            None => return Err(self.fault(span.start, &format!("{} does not fit its tag", quoted(&written)))),
        };
        Ok(Node { start, end, kind: Kind::Scalar(Scalar { value, written }) })
    }

    fn open(&mut self, span: Span, items: Items) -> Result<(), Fault> {
        self.count(span.start)?;
        if self.open.len() == DEPTH_MAX {
            let message = format!("maps and lists are nested more than {DEPTH_MAX} deep");
            return Err(self.fault(span.start, &message));
        }
        self.open.push(Open { start: self.mark(span.start), items });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Fault> {
        let Some(Open { start, items }) = self.open.pop() else { return Ok(()) };
        let flow = matches!(self.text.as_bytes().get(start.offset), Some(b'{' | b'['));
        let inner = match &items {
            Items::Map { entries, .. } => entries.last().map(|entry| entry.value.end),
            Items::List(nodes) => nodes.last().map(|node| node.end),
        };
        // A block ends where its last value ends: the parser names the start of what follows.
        // The end mark of a flow lies behind the comment that follows; its start mark is the closing bracket.
        let end = if flow { self.offset(span.start.index() + 1) } else { inner.unwrap_or(start.offset) };
        let kind = match items {
            Items::Map { entries, .. } => Kind::Map(entries),
            Items::List(nodes) => Kind::List(nodes),
        };
        self.place(Node { start, end, kind })
    }

    /// Gives a finished node to the map or list it belongs to.
    fn place(&mut self, node: Node) -> Result<(), Fault> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { items: Items::List(nodes), .. }) => nodes.push(node),
            Some(Open { items: Items::Map { entries, key }, .. }) => match key.take() {
                Some(Key { text, start, usable }) => {
                    if usable {
                        entries.push(Entry { key: text, start, value: node });
                    }
                }
                None => {
                    let (new, fault) = new_key(entries, &node);
                    *key = Some(new);
                    self.faults.extend(fault);
                }
            },
        }
        Ok(())
    }

    fn count(&mut self, at: Marker) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(self.fault(at, &format!("the file has more than {NODES_MAX} keys and values")));
        }
        Ok(())
    }

    fn mark(&self, marker: Marker) -> Mark {
        Mark { offset: self.offset(marker.index()), line: marker.line(), column: marker.col() + 1 }
    }

    /// The parser counts characters; slices of the text need bytes.
    fn offset(&self, characters: usize) -> usize {
        let offset = match &self.offsets {
            None => characters,
            Some(offsets) => offsets.get(characters).copied().unwrap_or(self.text.len()),
        };
        offset.min(self.text.len())
    }

    fn fault(&self, at: Marker, message: &str) -> Fault {
        Fault { at: self.mark(at), message: message.to_owned() }
    }
}

fn new_key(entries: &[Entry], node: &Node) -> (Key, Option<Fault>) {
    let fault = |message: String| Some(Fault { at: node.start, message });
    let text = node.text().unwrap_or_default().to_owned();
    let fault = match node.text() {
        None => fault(format!("{} cannot be a key; write a name", node.found())),
        Some(text) => entries.iter().find(|entry| entry.key == text).and_then(|first| {
            fault(format!("`{text}` is here twice; the first is at line {}: keep one", first.start.line))
        }),
    };
    (Key { text, start: node.start, usable: fault.is_none() }, fault)
}

/// Where a scalar's own characters end: the parser's end mark of a quoted one lies behind the comment that follows.
fn scalar_end(text: &str, style: ScalarStyle, start: usize, end: usize) -> usize {
    let written = text.get(start..end).unwrap_or_default();
    let length = match style {
        ScalarStyle::DoubleQuoted => closing_quote(written, b'"'),
        ScalarStyle::SingleQuoted => closing_quote(written, b'\''),
        ScalarStyle::Plain | ScalarStyle::Literal | ScalarStyle::Folded => written.trim_end().len(),
    };
    start + length
}

fn closing_quote(written: &str, quote: u8) -> usize {
    let bytes = written.as_bytes();
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let escapes =
            (quote == b'"' && byte == b'\\') || (quote == b'\'' && byte == quote && bytes.get(at + 1) == Some(&quote));
        if byte == quote && !escapes {
            return at + 1;
        }
        at += if escapes { 2 } else { 1 };
    }
    written.trim_end().len()
}
