//! Tokens to tree. A problem in a body does not hide the next one.

mod body;
mod declarations;

use super::lexer::{Kind, Token, lex};
use super::tree::{Module, Position, Problem};

/// A text of PTX is at most so long.
const TEXT_MAX: usize = 64 << 20;
/// After so many problems no more are looked for.
const PROBLEMS_MAX: usize = 20;

type Parsed<T> = Result<T, Problem>;

/// Reads a module, or says everything that is wrong with its text.
pub fn parse(text: &str) -> Result<Module<'_>, Vec<Problem>> {
    if text.len() > TEXT_MAX {
        let words = format!("the text has {} bytes (at most {TEXT_MAX})", text.len());
        return Err(vec![Problem { at: Position { line: 1, column: 1 }, words }]);
    }
    let tokens = lex(text).map_err(|problem| vec![problem])?;
    let mut parser = Parser { tokens: &tokens, next: 0, problems: Vec::new() };
    let mut module = Module::default();
    while parser.kind() != Kind::End && parser.problems.len() < PROBLEMS_MAX {
        if let Err(problem) = parser.item(&mut module) {
            parser.problems.push(problem);
            parser.recover();
        }
    }
    if parser.problems.is_empty() { Ok(module) } else { Err(parser.problems) }
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    next: usize,
    problems: Vec<Problem>,
}

impl<'a> Parser<'_, 'a> {
    /// The last token is the end, and nothing goes past it.
    fn token(&self) -> Token<'a> {
        self.tokens[self.next.min(self.tokens.len() - 1)]
    }

    fn kind(&self) -> Kind<'a> {
        self.token().kind
    }

    fn at(&self) -> Position {
        self.token().at
    }

    fn advance(&mut self) -> Kind<'a> {
        let kind = self.kind();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        kind
    }

    fn problem<T>(&self, wanted: &str) -> Parsed<T> {
        let found = match self.kind() {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Dot(word) => format!("`.{word}`"),
            Kind::Mark(mark) => format!("`{}`", char::from(mark)),
            Kind::Integer(value) => format!("`{value}`"),
            Kind::Single(_) | Kind::Double(_) => "a float".to_owned(),
            Kind::Text(_) => "a string".to_owned(),
            Kind::End => "the end of the text".to_owned(),
        };
        Err(Problem { at: self.at(), words: format!("{found} where {wanted} belongs") })
    }

    fn take(&mut self, mark: u8) -> bool {
        let there = self.kind() == Kind::Mark(mark);
        if there {
            self.advance();
        }
        there
    }

    fn expect(&mut self, mark: u8) -> Parsed<()> {
        if self.take(mark) { Ok(()) } else { self.problem(&format!("`{}`", char::from(mark))) }
    }

    fn word(&mut self, wanted: &str) -> Parsed<&'a str> {
        match self.kind() {
            Kind::Word(word) => {
                self.advance();
                Ok(word)
            }
            _ => self.problem(wanted),
        }
    }

    fn integer(&mut self) -> Parsed<u64> {
        match self.kind() {
            Kind::Integer(value) => {
                self.advance();
                Ok(value)
            }
            _ => self.problem("an integer"),
        }
    }

    fn small(&mut self) -> Parsed<u32> {
        let at = self.at();
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| Problem { at, words: format!("{value} is too large (at most {})", u32::MAX) })
    }

    fn dot(&mut self, name: &str) -> bool {
        let there = self.kind() == Kind::Dot(name);
        if there {
            self.advance();
        }
        there
    }

    /// Over the rest of a line: directives without a semicolon.
    fn skip_line(&mut self, line: u32) {
        while self.kind() != Kind::End && self.at().line == line {
            self.advance();
        }
    }

    /// Over `{…}`, whatever is in it.
    fn skip_braces(&mut self) -> Parsed<()> {
        self.expect(b'{')?;
        let mut depth = 1u32;
        while depth > 0 {
            match self.kind() {
                Kind::Mark(b'{') => depth += 1,
                Kind::Mark(b'}') => depth -= 1,
                Kind::End => return self.problem("`}`"),
                _ => {}
            }
            self.advance();
        }
        Ok(())
    }

    /// After a problem at the top: on to what can begin an item.
    fn recover(&mut self) {
        self.advance();
        while !matches!(
            self.kind(),
            Kind::End | Kind::Dot("visible" | "entry" | "func" | "extern" | "global" | "const")
        ) {
            self.advance();
        }
    }

    fn item(&mut self, module: &mut Module<'a>) -> Parsed<()> {
        let at = self.at();
        let Kind::Dot(directive) = self.kind() else { return self.problem("a directive") };
        match directive {
            "version" => {
                self.advance();
                module.version = Some(self.version()?);
            }
            "target" => {
                self.advance();
                module.targets.push(self.word("a target")?);
                while self.take(b',') {
                    module.targets.push(self.word("a target")?);
                }
            }
            "address_size" => {
                self.advance();
                if self.integer()? != 64 {
                    return Err(Problem { at, words: "only `.address_size 64` is PTX for this device".to_owned() });
                }
            }
            "file" => self.file(module, at.line)?,
            "loc" => self.skip_line(at.line),
            "section" => {
                self.advance();
                while !matches!(self.kind(), Kind::Mark(b'{') | Kind::End) {
                    self.advance();
                }
                self.skip_braces()?;
            }
            "pragma" => self.pragma()?,
            _ => module.items.push(self.declaration()?),
        }
        Ok(())
    }

    /// `9.0`, which reads as a decimal.
    fn version(&mut self) -> Parsed<(u32, u32)> {
        let Kind::Double(bits) = self.kind() else { return self.problem("a version such as 9.0") };
        self.advance();
        let tenths = (f64::from_bits(bits) * 10.0).round();
        if (0.0..10_000.0).contains(&tenths) {
            Ok((tenths as u32 / 10, tenths as u32 % 10))
        } else {
            self.problem("a version such as 9.0")
        }
    }

    fn file(&mut self, module: &mut Module<'a>, line: u32) -> Parsed<()> {
        self.advance();
        let number = self.small()?;
        let Kind::Text(path) = self.kind() else { return self.problem("a path in quotes") };
        module.files.push((number, path));
        self.skip_line(line);
        Ok(())
    }

    fn pragma(&mut self) -> Parsed<()> {
        while !matches!(self.kind(), Kind::Mark(b';') | Kind::End) {
            self.advance();
        }
        self.expect(b';')
    }
}

#[cfg(test)]
mod tests;
