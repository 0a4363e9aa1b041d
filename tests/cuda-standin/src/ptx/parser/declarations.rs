//! Variables and functions with their parameters.

use super::super::lexer::Kind;
use super::super::tree::{Function, FunctionKind, Initial, Item, Limits, Problem, Space, Variable};
use super::super::types::Type;
use super::{Parsed, Parser};

/// No array has more dimensions.
const DIMENSIONS_MAX: usize = 8;
/// No function has more parameters.
const PARAMETERS_MAX: usize = 1024;
/// No variable has more bytes.
const BYTES_MAX: u64 = 1 << 30;

impl<'a> Parser<'_, 'a> {
    /// A variable or a function, from its linkage on.
    pub(super) fn declaration(&mut self) -> Parsed<Item<'a>> {
        let mut external = false;
        while let Kind::Dot(linkage @ ("visible" | "extern" | "weak" | "common")) = self.kind() {
            external |= linkage == "extern";
            self.advance();
        }
        match self.kind() {
            Kind::Dot("entry") => self.function(FunctionKind::Entry).map(Item::Function),
            Kind::Dot("func") => self.function(FunctionKind::Device).map(Item::Function),
            Kind::Dot(name) if Space::parse(name).is_some() => {
                let variable = self.variable(external)?;
                self.expect(b';')?;
                Ok(Item::Variable(variable))
            }
            _ => self.problem("a variable, `.entry` or `.func`"),
        }
    }

    /// `.space .align n .type name[n] = …`, without the semicolon.
    pub(super) fn variable(&mut self, external: bool) -> Parsed<Variable<'a>> {
        let Kind::Dot(space) = self.kind() else { return self.problem("a state space") };
        let Some(space) = Space::parse(space) else { return self.problem("a state space") };
        self.advance();
        let (align, elements, ty) = self.attributes()?;
        let at = self.at();
        let name = self.word("a name")?;
        let count = self.dimensions()?.map(|count| count.saturating_mul(u64::from(elements)));
        let initial = if self.take(b'=') { self.initialiser(ty, 0)? } else { Vec::new() };
        let align = align.unwrap_or(ty.bytes() * elements).max(1);
        let count = if external { count } else { count.or(Some(initial.len() as u64)) };
        let variable = Variable { at, space, external, align, ty, name, count, initial };
        if variable.len() > BYTES_MAX || variable.initial.len() as u64 > count.unwrap_or(0) {
            return Err(Problem { at, words: format!("`{name}` is too large, or has more values than elements") });
        }
        Ok(variable)
    }

    /// Alignment, elements of a vector, and type.
    fn attributes(&mut self) -> Parsed<(Option<u32>, u32, Type)> {
        let (mut align, mut elements, mut ty) = (None, 1, None);
        while let Kind::Dot(word) = self.kind() {
            match word {
                "align" => {
                    self.advance();
                    align = Some(self.alignment()?);
                    continue;
                }
                "attribute" => {
                    self.advance();
                    self.in_parentheses()?;
                    continue;
                }
                "v2" => elements = 2,
                "v4" => elements = 4,
                // What a pointer parameter points to.
                "ptr" | "global" | "shared" | "const" | "local" => {}
                _ => match Type::parse(word) {
                    Some(it) if it != Type::Pred => ty = Some(it),
                    _ => return self.problem("a type of memory"),
                },
            }
            self.advance();
        }
        match ty {
            Some(ty) => Ok((align, elements, ty)),
            None => self.problem("a type"),
        }
    }

    fn alignment(&mut self) -> Parsed<u32> {
        let at = self.at();
        let align = self.small()?;
        if align.is_power_of_two() && align <= 4096 {
            Ok(align)
        } else {
            Err(Problem { at, words: format!("`.align {align}`: a power of two, at most 4096") })
        }
    }

    fn in_parentheses(&mut self) -> Parsed<()> {
        self.expect(b'(')?;
        while !matches!(self.kind(), Kind::Mark(b')') | Kind::End) {
            self.advance();
        }
        self.expect(b')')
    }

    /// `[2][3]` is six elements, `[]` an unknown number, nothing is one.
    fn dimensions(&mut self) -> Parsed<Option<u64>> {
        let mut count = Some(1u64);
        for _ in 0..DIMENSIONS_MAX {
            if !self.take(b'[') {
                return Ok(count);
            }
            if self.take(b']') {
                count = None;
                continue;
            }
            let size = self.integer()?;
            count = count.map(|count| count.saturating_mul(size));
            self.expect(b']')?;
        }
        self.problem("fewer dimensions")
    }

    fn initialiser(&mut self, ty: Type, depth: usize) -> Parsed<Vec<Initial<'a>>> {
        if depth > DIMENSIONS_MAX {
            return self.problem("fewer dimensions");
        }
        if !self.take(b'{') {
            return Ok(vec![self.initial(ty)?]);
        }
        let mut values = Vec::new();
        while !self.take(b'}') {
            values.extend(self.initialiser(ty, depth + 1)?);
            if !self.take(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        Ok(values)
    }

    fn initial(&mut self, ty: Type) -> Parsed<Initial<'a>> {
        let negative = self.take(b'-');
        let bits = match self.kind() {
            Kind::Integer(value) if ty == Type::F64 => (value as f64).to_bits(),
            Kind::Integer(value) if ty == Type::F32 => u64::from((value as f32).to_bits()),
            Kind::Integer(value) => {
                self.advance();
                return Ok(Initial::Bits(if negative { value.wrapping_neg() } else { value }));
            }
            Kind::Single(bits) if ty == Type::F64 => f64::from(f32::from_bits(bits)).to_bits(),
            Kind::Single(bits) => u64::from(bits),
            Kind::Double(bits) if ty == Type::F32 => u64::from((f64::from_bits(bits) as f32).to_bits()),
            Kind::Double(bits) => bits,
            Kind::Word(_) => return self.address(),
            _ => return self.problem("a value"),
        };
        self.advance();
        let sign = 1u64 << (ty.bytes().clamp(1, 8) * 8 - 1);
        Ok(Initial::Bits(if negative { bits ^ sign } else { bits }))
    }

    /// `name+8` or `generic(name)+8`.
    fn address(&mut self) -> Parsed<Initial<'a>> {
        let mut name = self.word("a variable")?;
        let mut inner = 0;
        if name == "generic" && self.take(b'(') {
            name = self.word("a variable")?;
            inner = self.offset()?;
            self.expect(b')')?;
        }
        Ok(Initial::Address(name, self.offset()?.wrapping_add(inner)))
    }

    /// `+n`, `-n`, `+-n` or nothing.
    pub(super) fn offset(&mut self) -> Parsed<i64> {
        let plus = self.take(b'+');
        let minus = self.take(b'-');
        if !plus && !minus {
            return Ok(0);
        }
        let value = self.integer()?.cast_signed();
        Ok(if minus { value.wrapping_neg() } else { value })
    }

    fn function(&mut self, kind: FunctionKind) -> Parsed<Function<'a>> {
        self.advance();
        let results = if self.kind() == Kind::Mark(b'(') { self.parameters()? } else { Vec::new() };
        let at = self.at();
        let name = self.word("a name")?;
        let parameters = if self.kind() == Kind::Mark(b'(') { self.parameters()? } else { Vec::new() };
        let limits = self.limits()?;
        let body = if self.take(b';') { None } else { Some(self.body()?) };
        Ok(Function { at, kind, name, results, parameters, limits, body })
    }

    fn parameters(&mut self) -> Parsed<Vec<Variable<'a>>> {
        self.expect(b'(')?;
        let mut parameters = Vec::new();
        while !self.take(b')') {
            if parameters.len() == PARAMETERS_MAX {
                return self.problem("`)`");
            }
            parameters.push(self.variable(false)?);
            if !self.take(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(parameters)
    }

    fn limits(&mut self) -> Parsed<Limits> {
        let mut limits = Limits::default();
        while let Kind::Dot(directive) = self.kind() {
            let at = self.at();
            self.advance();
            match directive {
                "reqntid" => limits.required = Some(self.three()?),
                "maxntid" => limits.most = Some(self.three()?),
                "minnctapersm" | "maxnreg" | "maxnctapersm" => drop(self.small()?),
                "noreturn" => {}
                "pragma" => self.pragma()?,
                _ => return Err(Problem { at, words: format!("`.{directive}` of a function is unknown") }),
            }
        }
        Ok(limits)
    }

    fn three(&mut self) -> Parsed<[u32; 3]> {
        let mut three = [self.small()?, 1, 1];
        for further in &mut three[1..] {
            if !self.take(b',') {
                break;
            }
            *further = self.small()?;
        }
        Ok(three)
    }
}
