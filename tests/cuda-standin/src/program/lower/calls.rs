//! Calls: the body of a function stands where it is called, and its parameters are the caller's. No stack is left, so a
//! function that calls itself is followed a few calls deep, and then counts as one that fills the stack.

use super::super::instruction::{Access, Op, Source};
use super::super::modifiers::Modifiers;
use super::super::names::Symbol;
use super::super::trouble::{Checked, invalid, unsupported};
use super::{Frame, Lowering};
use crate::ptx::{Function, Instruction as Written, Operand, Space, Type};

/// Calls are followed so deep.
const DEPTH_MAX: usize = 64;

impl<'m, 'a> Lowering<'m, 'a> {
    pub(super) fn call(&mut self, written: &'m Written<'a>, mut m: Modifiers<'_>) -> Checked<()> {
        m.flag("uni");
        if !m.done() {
            return self.unknown(written);
        }
        let none: &[Operand<'a>] = &[];
        let (results, name, arguments) = match written.operands.as_slice() {
            [Operand::List(results), Operand::Name(name), Operand::List(arguments)] => {
                (&results[..], name, &arguments[..])
            }
            [Operand::List(results), Operand::Name(name)] => (&results[..], name, none),
            [Operand::Name(name), Operand::List(arguments)] => (none, name, &arguments[..]),
            [Operand::Name(name)] => (none, name, none),
            _ => return self.indirect(written),
        };
        let Some(function) = self.module.functions.get(name).copied() else {
            return invalid(written.at, format!("no function `{name}`"));
        };
        let results = self.variables(results, function.results.len(), written)?;
        let arguments = self.variables(arguments, function.parameters.len(), written)?;
        let skip = self.skip_unless_guarded();
        match (*name, &function.body) {
            ("__assertfail", None) => self.assertion(&arguments),
            ("vprintf", None) => self.print(&results, &arguments),
            (name, None) => return unsupported(written.at, &format!("the external function {name}")),
            (_, Some(_)) => self.take_in(function, results, arguments)?,
        }
        if let Some(branch) = skip {
            let target = self.here();
            self.code[branch].op = Op::Branch { target };
        }
        Ok(())
    }

    /// No function has an address here, so a call through a register finds none.
    fn indirect(&mut self, written: &Written<'a>) -> Checked<()> {
        let register = written.operands.iter().find(|it| matches!(it, Operand::Name(_)));
        let Some(register) = register else { return invalid(written.at, "a call has a function") };
        let from = self.value(register, Type::B64)?;
        self.push(Op::WildCall).from[0] = from;
        Ok(())
    }

    /// A guarded call is jumped over by the others.
    fn skip_unless_guarded(&mut self) -> Option<usize> {
        let guard = self.guard.take()?;
        let branch = self.code.len();
        let inverse = super::Predicate { slot: guard.slot, negated: !guard.negated };
        self.push(Op::Branch { target: 0 }).guard = Some(inverse);
        Some(branch)
    }

    /// The caller's variables for the function's.
    fn variables(&mut self, given: &[Operand<'a>], wanted: usize, written: &Written<'a>) -> Checked<Vec<Symbol>> {
        if given.len() != wanted {
            return invalid(written.at, format!("{} are given where the function has {wanted}", given.len()));
        }
        let mut symbols = Vec::new();
        for operand in given {
            let Operand::Name(name) = operand else { return unsupported(written.at, "a call with a value") };
            match self.find(name)? {
                Some(symbol @ Symbol::Local(..)) => symbols.push(symbol),
                Some(_) => return unsupported(written.at, "a call with a register"),
                None => return invalid(written.at, format!("`{name}` is not declared")),
            }
        }
        Ok(symbols)
    }

    fn take_in(&mut self, function: &'m Function<'a>, results: Vec<Symbol>, arguments: Vec<Symbol>) -> Checked<()> {
        if self.frames.len() > DEPTH_MAX {
            self.push(Op::TooDeep);
            return Ok(());
        }
        let (source, at, local) = (self.source, self.at, self.local_used);
        let mut scope = self.scope();
        let formal = function.results.iter().chain(&function.parameters);
        for (variable, symbol) in formal.zip(results.into_iter().chain(arguments)) {
            if variable.space != Space::Param {
                return unsupported(variable.at, "parameters in registers");
            }
            scope.declare(variable.name, symbol);
        }
        self.frames.push(Frame { scopes: vec![scope], returns: Vec::new() });
        self.statements(function.body.as_deref().unwrap_or(&[]));
        let end = self.here();
        for branch in self.frames.pop().map(|frame| frame.returns).unwrap_or_default() {
            self.code[branch].op = Op::Branch { target: end };
        }
        (self.source, self.at, self.local_used) = (source, at, local);
        Ok(())
    }

    /// The value of a parameter that the caller has stored.
    fn stored(&mut self, symbol: Symbol) -> Source {
        let Symbol::Local(offset, bytes) = symbol else { return Source::ZERO };
        let from = self.constant(super::Constant::Bits(u64::from(offset)));
        let to = self.fresh(Type::B64);
        let bytes = if bytes >= 8 { 8 } else { 4 };
        let access = Access { space: Some(Space::Local), bytes, count: 1, extend: 0, offset: 0, strong: false };
        let it = self.push(Op::Load(access));
        it.from[0] = from;
        it.to[0] = to;
        Source::register(to)
    }

    fn assertion(&mut self, arguments: &[Symbol]) {
        let mut from = [Source::ZERO; 5];
        for (source, symbol) in from.iter_mut().zip(arguments) {
            *source = self.stored(*symbol);
        }
        self.push(Op::Assert).from = from;
    }

    fn print(&mut self, results: &[Symbol], arguments: &[Symbol]) {
        let mut from = [Source::ZERO; 5];
        for (source, symbol) in from.iter_mut().zip(arguments) {
            *source = self.stored(*symbol);
        }
        let count = self.fresh(Type::B32);
        let it = self.push(Op::Print);
        it.from = from;
        it.to[0] = count;
        if let Some(Symbol::Local(offset, _)) = results.first() {
            let to = self.constant(super::Constant::Bits(u64::from(*offset)));
            let access = Access { space: Some(Space::Local), bytes: 4, count: 1, extend: 0, offset: 0, strong: false };
            let it = self.push(Op::Store(access));
            (it.from[0], it.from[1]) = (to, Source::register(count));
        }
    }
}
