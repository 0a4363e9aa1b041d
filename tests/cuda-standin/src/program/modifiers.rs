//! The dotted words of an opcode, taken one by one; what is left over at the end is not known.

use crate::ptx::Type;

/// What was not taken yet, in order.
#[derive(Debug, Clone)]
pub(super) struct Modifiers<'a>(Vec<&'a str>);

impl<'a> Modifiers<'a> {
    pub(super) fn of(words: &[&'a str]) -> Self {
        Self(words.to_vec())
    }

    /// Takes the word if it is there.
    pub(super) fn flag(&mut self, word: &str) -> bool {
        self.pick(|it| (it == word).then_some(())).is_some()
    }

    /// Takes the first word of which something can be made.
    pub(super) fn pick<T>(&mut self, read: impl Fn(&'a str) -> Option<T>) -> Option<T> {
        let (index, found) = self.0.iter().enumerate().find_map(|(index, word)| Some((index, read(word)?)))?;
        self.0.remove(index);
        Some(found)
    }

    /// Takes the first of these words.
    pub(super) fn one_of(&mut self, words: &[&str]) -> Option<&'a str> {
        self.pick(|it| words.contains(&it).then_some(it))
    }

    /// Takes the first type.
    pub(super) fn ty(&mut self) -> Option<Type> {
        self.pick(Type::parse)
    }

    /// Takes all words for which it holds.
    pub(super) fn drop_all(&mut self, known: impl Fn(&str) -> bool) {
        self.0.retain(|it| !known(it));
    }

    /// Everything was taken.
    pub(super) fn done(&self) -> bool {
        self.0.is_empty()
    }
}
