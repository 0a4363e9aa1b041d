//! Statements and operands.

use super::super::lexer::Kind;
use super::super::tree::{Instruction, Operand, Problem, Space, Statement};
use super::super::types::Type;
use super::{PROBLEMS_MAX, Parsed, Parser};

/// Blocks lie in blocks no deeper.
const DEPTH_MAX: usize = 64;
/// No instruction has more operands, and no vector more elements.
const OPERANDS_MAX: usize = 1024;
/// No declaration names more registers.
const REGISTERS_MAX: u32 = 1 << 20;

impl<'a> Parser<'_, 'a> {
    /// `{…}`
    pub(super) fn body(&mut self) -> Parsed<Vec<Statement<'a>>> {
        self.block(0)
    }

    fn block(&mut self, depth: usize) -> Parsed<Vec<Statement<'a>>> {
        self.expect(b'{')?;
        if depth > DEPTH_MAX {
            return self.problem("less nesting");
        }
        let mut statements = Vec::new();
        while !self.take(b'}') {
            if self.kind() == Kind::End {
                return self.problem("`}`");
            }
            match self.statement(depth, &mut statements) {
                Ok(()) => {}
                Err(problem) if self.problems.len() + 1 < PROBLEMS_MAX => {
                    self.problems.push(problem);
                    self.after_statement();
                }
                Err(problem) => return Err(problem),
            }
        }
        Ok(statements)
    }

    /// After a problem in a statement: over its semicolon, or up to the block's end.
    fn after_statement(&mut self) {
        while !matches!(self.kind(), Kind::Mark(b';' | b'}') | Kind::End) {
            self.advance();
        }
        self.take(b';');
    }

    fn statement(&mut self, depth: usize, to: &mut Vec<Statement<'a>>) -> Parsed<()> {
        let at = self.at();
        match self.kind() {
            Kind::Mark(b'{') => to.push(Statement::Block(self.block(depth + 1)?)),
            Kind::Mark(b';') => {
                self.advance();
            }
            Kind::Dot("reg") => {
                self.advance();
                to.push(self.registers()?);
            }
            Kind::Dot("loc") => {
                self.advance();
                let (file, line) = (self.small()?, self.small()?);
                self.skip_line(at.line);
                to.push(Statement::Location { file, line });
            }
            Kind::Dot("pragma") => self.pragma()?,
            Kind::Dot(name) if name == "extern" || Space::parse(name).is_some() => {
                let external = self.dot("extern");
                let variable = self.variable(external)?;
                self.expect(b';')?;
                to.push(Statement::Variable(variable));
            }
            Kind::Word(name) if self.tokens.get(self.next + 1).map(|it| it.kind) == Some(Kind::Mark(b':')) => {
                self.next += 2;
                // What a call through a register looks like: nothing to run.
                if self.dot("callprototype") {
                    self.after_statement();
                } else {
                    to.push(Statement::Label { at, name });
                }
            }
            _ => to.push(Statement::Instruction(self.instruction()?)),
        }
        Ok(())
    }

    fn registers(&mut self) -> Parsed<Statement<'a>> {
        let at = self.at();
        let Kind::Dot(word) = self.kind() else { return self.problem("a type") };
        let Some(ty) = Type::parse(word) else { return self.problem("a type of registers") };
        self.advance();
        let mut names = Vec::new();
        loop {
            let name = self.word("a register")?;
            let mut count = None;
            if self.take(b'<') {
                count = Some(self.small()?);
                self.expect(b'>')?;
            }
            if count.unwrap_or(1) > REGISTERS_MAX {
                return Err(Problem { at, words: format!("too many registers (at most {REGISTERS_MAX})") });
            }
            names.push((name, count));
            if !self.take(b',') {
                break;
            }
        }
        self.expect(b';')?;
        Ok(Statement::Registers { at, ty, names })
    }

    fn instruction(&mut self) -> Parsed<Instruction<'a>> {
        let mut guard = None;
        if self.take(b'@') {
            let negated = self.take(b'!');
            guard = Some((self.word("a predicate")?, negated));
        }
        let at = self.at();
        let opcode = self.word("an instruction")?;
        let mut modifiers = Vec::new();
        while let Kind::Dot(modifier) = self.kind() {
            self.advance();
            modifiers.push(modifier);
        }
        let mut operands = Vec::new();
        while !self.take(b';') {
            if operands.len() == OPERANDS_MAX {
                return self.problem("`;`");
            }
            operands.push(self.operand(0)?);
            if !self.take(b',') {
                self.expect(b';')?;
                break;
            }
        }
        Ok(Instruction { at, guard, opcode, modifiers, operands })
    }

    fn operand(&mut self, depth: usize) -> Parsed<Operand<'a>> {
        let first = self.single(depth)?;
        if self.take(b'|') {
            return Ok(Operand::Pair(Box::new(first), Box::new(self.single(depth)?)));
        }
        Ok(first)
    }

    fn single(&mut self, depth: usize) -> Parsed<Operand<'a>> {
        if depth > 2 {
            return self.problem("fewer brackets");
        }
        match self.kind() {
            Kind::Word(_) => self.named(),
            Kind::Mark(b'!') => {
                self.advance();
                Ok(Operand::Not(Box::new(self.single(depth + 1)?)))
            }
            Kind::Mark(b'[') => {
                self.advance();
                let base = self.single(depth + 1)?;
                let offset = self.offset()?;
                self.expect(b']')?;
                Ok(match base {
                    // `[name+4]` was read as an address already.
                    Operand::Address(base, inner) => Operand::Address(base, inner.wrapping_add(offset)),
                    base => Operand::Address(Box::new(base), offset),
                })
            }
            Kind::Mark(b'{') => {
                self.advance();
                self.several(b'}', depth).map(Operand::Vector)
            }
            Kind::Mark(b'(') => {
                self.advance();
                self.several(b')', depth).map(Operand::List)
            }
            _ => self.number(),
        }
    }

    /// A name alone, a component of it, or an address: `mov.u64 %rd1, table+8;`.
    fn named(&mut self) -> Parsed<Operand<'a>> {
        let name = self.word("an operand")?;
        match self.kind() {
            Kind::Dot(component) => {
                self.advance();
                Ok(Operand::Member(name, component))
            }
            Kind::Mark(b'+' | b'-') => Ok(Operand::Address(Box::new(Operand::Name(name)), self.offset()?)),
            _ => Ok(Operand::Name(name)),
        }
    }

    fn several(&mut self, end: u8, depth: usize) -> Parsed<Vec<Operand<'a>>> {
        let mut operands = Vec::new();
        while !self.take(end) {
            if operands.len() == OPERANDS_MAX {
                return self.problem("fewer operands");
            }
            operands.push(self.operand(depth + 1)?);
            if !self.take(b',') {
                self.expect(end)?;
                break;
            }
        }
        Ok(operands)
    }

    fn number(&mut self) -> Parsed<Operand<'a>> {
        let invert = self.take(b'~');
        let negative = self.take(b'-');
        let operand = match self.kind() {
            Kind::Integer(value) => {
                let value = if negative { value.wrapping_neg() } else { value };
                Operand::Integer(if invert { !value } else { value })
            }
            Kind::Single(bits) if !invert => Operand::Single(if negative { bits ^ 1 << 31 } else { bits }),
            Kind::Double(bits) if !invert => Operand::Double(if negative { bits ^ 1 << 63 } else { bits }),
            _ => return self.problem("an operand"),
        };
        self.advance();
        Ok(operand)
    }
}
