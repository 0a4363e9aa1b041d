//! Text to tokens. Knows no grammar.

use super::tree::{Position, Problem};

/// One token and where it begins.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind<'a>,
    pub(super) at: Position,
}

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind<'a> {
    /// An identifier, with `%`, `$` or `_` where it has them.
    Word(&'a str),
    /// `.name`, without the dot.
    Dot(&'a str),
    Integer(u64),
    Single(u32),
    Double(u64),
    /// Without its quotes.
    Text(&'a str),
    Mark(u8),
    End,
}

/// The tokens of a text, the last of them [`Kind::End`].
pub(super) fn lex(text: &str) -> Result<Vec<Token<'_>>, Problem> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), next: 0, line: 1, line_begins: 0 };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    loop {
        lexer.skip_blank()?;
        let at = lexer.position();
        let kind = lexer.token()?;
        tokens.push(Token { kind, at });
        if kind == Kind::End {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    next: usize,
    line: u32,
    line_begins: usize,
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

impl<'a> Lexer<'a> {
    fn position(&self) -> Position {
        Position { line: self.line, column: u32::try_from(self.next - self.line_begins + 1).unwrap_or(u32::MAX) }
    }

    fn problem<T>(&self, words: impl Into<String>) -> Result<T, Problem> {
        Err(Problem { at: self.position(), words: words.into() })
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.next + ahead).copied().unwrap_or(0)
    }

    /// Over white space and comments.
    fn skip_blank(&mut self) -> Result<(), Problem> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (b'\n', _) => self.new_line(),
                (b' ' | b'\t' | b'\r' | 0x0b | 0x0c, _) => self.next += 1,
                (b'/', b'/') => {
                    while self.next < self.bytes.len() && self.peek(0) != b'\n' {
                        self.ascii()?;
                        self.next += 1;
                    }
                }
                (b'/', b'*') => self.block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn new_line(&mut self) {
        self.next += 1;
        self.line = self.line.saturating_add(1);
        self.line_begins = self.next;
    }

    /// A driver refuses other characters even in comments.
    fn ascii(&self) -> Result<(), Problem> {
        if self.peek(0).is_ascii() { Ok(()) } else { self.problem("a character that is not ASCII") }
    }

    fn block_comment(&mut self) -> Result<(), Problem> {
        let begin = self.position();
        self.next += 2;
        while self.next < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'*', b'/') => {
                    self.next += 2;
                    return Ok(());
                }
                (b'\n', _) => self.new_line(),
                _ => {
                    self.ascii()?;
                    self.next += 1;
                }
            }
        }
        Err(Problem { at: begin, words: "a comment that does not end".to_owned() })
    }

    fn token(&mut self) -> Result<Kind<'a>, Problem> {
        let Some(&first) = self.bytes.get(self.next) else { return Ok(Kind::End) };
        match first {
            b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b'.' if in_word(self.peek(1)) => {
                self.next += 1;
                let begin = self.next;
                while in_word(self.peek(0)) || (self.peek(0) == b':' && self.peek(1) == b':' && in_word(self.peek(2))) {
                    self.next += if self.peek(0) == b':' { 2 } else { 1 };
                }
                Ok(Kind::Dot(&self.text[begin..self.next]))
            }
            _ if in_word(first) || (first == b'%' && in_word(self.peek(1))) => {
                let begin = self.next;
                self.next += 1;
                while in_word(self.peek(0)) {
                    self.next += 1;
                }
                Ok(Kind::Word(&self.text[begin..self.next]))
            }
            _ if first.is_ascii_graphic() => {
                self.next += 1;
                Ok(Kind::Mark(first))
            }
            _ => {
                self.ascii()?;
                self.problem(format!("an unexpected byte {first:#04x}"))
            }
        }
    }

    fn string(&mut self) -> Result<Kind<'a>, Problem> {
        let begin = self.next + 1;
        let mut end = begin;
        while !matches!(self.bytes.get(end), None | Some(b'"' | b'\n')) {
            end += if self.bytes[end] == b'\\' { 2 } else { 1 };
        }
        if self.bytes.get(end) != Some(&b'"') || !self.bytes[begin..end].is_ascii() {
            return self.problem("a string that does not end, or is not ASCII");
        }
        self.next = end + 1;
        Ok(Kind::Text(&self.text[begin..end]))
    }

    fn number(&mut self) -> Result<Kind<'a>, Problem> {
        let begin = self.next;
        while in_word(self.peek(0)) {
            self.next += 1;
        }
        let exact =
            |digits: &str, wanted: usize| (digits.len() == wanted).then(|| u64::from_str_radix(digits, 16).ok());
        let text = &self.text[begin..self.next];
        if let Some(digits) = text.strip_prefix("0f").or_else(|| text.strip_prefix("0F")) {
            return match exact(digits, 8).flatten() {
                Some(bits) => Ok(Kind::Single(bits as u32)),
                None => self.problem(format!("`{text}` is no float: 0f and eight hexadecimal digits")),
            };
        }
        if let Some(digits) = text.strip_prefix("0d").or_else(|| text.strip_prefix("0D")) {
            return match exact(digits, 16).flatten() {
                Some(bits) => Ok(Kind::Double(bits)),
                None => self.problem(format!("`{text}` is no double: 0d and sixteen hexadecimal digits")),
            };
        }
        if self.peek(0) == b'.' && self.peek(1).is_ascii_digit() {
            return self.decimal(begin);
        }
        match integer(text) {
            Some(value) => Ok(Kind::Integer(value)),
            None => self.problem(format!("`{text}` is no integer of 64 bits")),
        }
    }

    fn decimal(&mut self, begin: usize) -> Result<Kind<'a>, Problem> {
        self.next += 1;
        while in_word(self.peek(0))
            || (matches!(self.peek(0), b'+' | b'-') && matches!(self.bytes[self.next - 1], b'e' | b'E'))
        {
            self.next += 1;
        }
        let text = &self.text[begin..self.next];
        match text.parse::<f64>() {
            Ok(value) => Ok(Kind::Double(value.to_bits())),
            Err(_) => self.problem(format!("`{text}` is no number")),
        }
    }
}

/// A decimal, hexadecimal, binary or octal integer, with or without `U`.
fn integer(text: &str) -> Option<u64> {
    let digits = text.strip_suffix(['U', 'u']).unwrap_or(text);
    let rest = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| digits.strip_prefix(prefix));
    if let Some(hexadecimal) = rest(["0x", "0X"]) {
        u64::from_str_radix(hexadecimal, 16).ok()
    } else if let Some(binary) = rest(["0b", "0B"]) {
        u64::from_str_radix(binary, 2).ok()
    } else if let (Some(octal), true) = (digits.strip_prefix('0'), digits.len() > 1) {
        u64::from_str_radix(octal, 8).ok()
    } else {
        digits.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind<'_>> {
        lex(text).unwrap().into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn numbers_in_all_their_forms() {
        let found = kinds("7 0x1F 017 0b11 42U 0f3F800000 0d3FF0000000000000 1.5 2.5e-1");
        let expected = [
            Kind::Integer(7),
            Kind::Integer(31),
            Kind::Integer(15),
            Kind::Integer(3),
            Kind::Integer(42),
            Kind::Single(0x3f80_0000),
            Kind::Double(1f64.to_bits()),
            Kind::Double(1.5f64.to_bits()),
            Kind::Double(0.25f64.to_bits()),
            Kind::End,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn words_and_dots() {
        let found = kinds("ld.shared::cta.u32 %r1, [$x+4]; // not\n/* this */ %tid.x");
        assert_eq!(&found[..4], [Kind::Word("ld"), Kind::Dot("shared::cta"), Kind::Dot("u32"), Kind::Word("%r1")]);
        assert_eq!(&found[11..], [Kind::Word("%tid"), Kind::Dot("x"), Kind::End]);
    }

    #[test]
    fn errors_have_places() {
        let refused = |text: &str| lex(text).unwrap_err().at;
        assert_eq!(refused("a\n  // caf\u{e9}"), Position { line: 2, column: 9 });
        assert_eq!(refused("a /* b\n"), Position { line: 1, column: 3 });
        assert_eq!(refused("\"a\n"), Position { line: 1, column: 1 });
        assert!(lex("0f12").is_err() && lex("99999999999999999999").is_err() && lex("\u{1}").is_err());
    }
}
