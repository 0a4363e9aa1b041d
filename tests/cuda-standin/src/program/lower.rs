//! A function's tree to instructions on numbered registers. Calls are taken in whole, so that only branches are left.

mod access;
mod calls;
mod control;
mod operands;
mod values;
mod warp;

use std::collections::HashMap;

use crate::ptx::{Function, Instruction as Written, Position, Space, Statement, Type, Variable};

use super::instruction::{Access, Constant, Instruction, Op, Place, Predicate, Slot};
use super::names::{ModuleNames, Scope, Symbol};
use super::trouble::{Checked, TROUBLES_MAX, Trouble, invalid, unsupported};
use super::{Parameter, decode, modifiers::Modifiers};

/// A kernel has no more instructions, calls taken in.
const CODE_MAX: usize = 1 << 20;
/// A kernel has no more registers, calls taken in.
const REGISTERS_MAX: usize = 1 << 22;
/// Between local variables, so that an access past one does not reach the next.
const GAP: u32 = 64;
/// Blocks lie in blocks no deeper, calls taken in.
const SCOPES_MAX: usize = 256;
/// A thread has no more local memory, and a kernel no more static shared memory.
const LOCAL_MAX: u32 = 512 << 10;
const SHARED_MAX: u32 = 1 << 20;

/// A call that is being taken in; the first is the kernel itself.
struct Frame<'a> {
    scopes: Vec<Scope<'a>>,
    /// Branches to the end of the call.
    returns: Vec<usize>,
}

/// A branch whose label was not seen yet.
struct Jump<'a> {
    code: usize,
    label: &'a str,
    scopes: Vec<u32>,
    at: Position,
}

/// What was read of a kernel so far.
pub(super) struct Lowering<'m, 'a> {
    module: &'m ModuleNames<'m, 'a>,
    frames: Vec<Frame<'a>>,
    next_scope: u32,
    pub(super) code: Vec<Instruction>,
    /// Types of the registers; predicates are numbered apart.
    pub(super) registers: Vec<Type>,
    pub(super) predicates: u32,
    /// First register, whether predicates, name: to tell of a register.
    pub(super) named: Vec<(Slot, bool, &'a str)>,
    pub(super) constants: Vec<Constant>,
    constant_index: HashMap<Constant, u32>,
    labels: HashMap<(u32, &'a str), u32>,
    jumps: Vec<Jump<'a>>,
    /// Where shared variables lie, by where they are declared: a function that is taken in twice has one of each.
    shared_index: HashMap<Position, u64>,
    pub(super) shared_bytes: u32,
    pub(super) dynamic_align: u32,
    pub(super) shared_granule: u32,
    local_used: u32,
    pub(super) local: Vec<bool>,
    source: (u32, u32),
    guard: Option<Predicate>,
    at: Position,
    pub(super) troubles: Vec<Trouble>,
}

impl<'m, 'a> Lowering<'m, 'a> {
    pub(super) fn new(module: &'m ModuleNames<'m, 'a>) -> Self {
        Self {
            module,
            frames: Vec::new(),
            next_scope: 0,
            code: Vec::new(),
            registers: Vec::new(),
            predicates: 0,
            named: Vec::new(),
            constants: vec![Constant::Bits(0)],
            constant_index: HashMap::from([(Constant::Bits(0), 0)]),
            labels: HashMap::new(),
            jumps: Vec::new(),
            shared_index: HashMap::new(),
            shared_bytes: 0,
            dynamic_align: 1,
            shared_granule: 8,
            local_used: 0,
            local: Vec::new(),
            source: (0, 0),
            guard: None,
            at: Position::default(),
            troubles: Vec::new(),
        }
    }

    /// Reads a kernel.
    pub(super) fn kernel(&mut self, function: &'m Function<'a>, parameters: &[Parameter]) {
        let mut scope = self.scope();
        for (variable, parameter) in function.parameters.iter().zip(parameters) {
            scope.declare(variable.name, Symbol::Parameter(parameter.offset, parameter.size));
        }
        self.frames.push(Frame { scopes: vec![scope], returns: Vec::new() });
        self.statements(function.body.as_deref().unwrap_or(&[]));
        self.at = function.at;
        self.push(Op::Exit);
        self.land();
    }

    fn scope(&mut self) -> Scope<'a> {
        self.next_scope += 1;
        Scope::new(self.next_scope, self.local_used)
    }

    fn statements(&mut self, statements: &'m [Statement<'a>]) {
        for statement in statements {
            if self.troubles.len() >= TROUBLES_MAX {
                return;
            }
            if let Err(trouble) = self.statement(statement) {
                self.troubles.push(trouble);
            }
        }
    }

    fn statement(&mut self, statement: &'m Statement<'a>) -> Checked<()> {
        match statement {
            Statement::Registers { at, ty, names } => self.declare_registers(*at, *ty, names),
            Statement::Variable(variable) => self.declare_variable(variable),
            Statement::Label { at, name } => self.label(*at, name),
            Statement::Location { file, line } => {
                self.source = (*file, *line);
                Ok(())
            }
            Statement::Block(statements) => {
                let open: usize = self.frames.iter().map(|frame| frame.scopes.len()).sum();
                if open > SCOPES_MAX {
                    return unsupported(self.at, "so many blocks in blocks, calls taken in");
                }
                let scope = self.scope();
                let local = scope.local;
                self.scopes().push(scope);
                self.statements(statements);
                self.scopes().pop();
                self.local_used = local;
                Ok(())
            }
            Statement::Instruction(written) => {
                self.at = written.at;
                if self.code.len() > CODE_MAX {
                    return unsupported(written.at, "a kernel of more than a million instructions, calls taken in");
                }
                let done = self.instruction(written);
                self.guard = None;
                done
            }
        }
    }

    /// There is always a frame while statements are read.
    fn scopes(&mut self) -> &mut Vec<Scope<'a>> {
        if self.frames.is_empty() {
            self.frames.push(Frame { scopes: Vec::new(), returns: Vec::new() });
        }
        let last = self.frames.len() - 1;
        &mut self.frames[last].scopes
    }

    fn declare(&mut self, at: Position, name: &'a str, symbol: Symbol) -> Checked<()> {
        let fresh = self.scopes().last_mut().is_none_or(|scope| scope.declare(name, symbol));
        if fresh { Ok(()) } else { invalid(at, format!("`{name}` is declared twice")) }
    }

    fn declare_registers(&mut self, at: Position, ty: Type, names: &[(&'a str, Option<u32>)]) -> Checked<()> {
        for (name, count) in names {
            let first = self.fresh_many(ty, count.unwrap_or(1));
            if self.registers.len() + self.predicates as usize > REGISTERS_MAX {
                return unsupported(at, "a kernel of so many registers, calls taken in");
            }
            self.named.push((first, ty == Type::Pred, name));
            match count {
                None => self.declare(at, name, Symbol::Register(first, ty))?,
                Some(count) => {
                    if let Some(scope) = self.scopes().last_mut() {
                        scope.declare_range(name, *count, first, ty);
                    }
                }
            }
        }
        Ok(())
    }

    fn fresh_many(&mut self, ty: Type, count: u32) -> Slot {
        if ty == Type::Pred {
            let first = self.predicates;
            self.predicates = self.predicates.saturating_add(count);
            return first;
        }
        let first = self.registers.len();
        self.registers.extend(std::iter::repeat_n(ty, count as usize));
        u32::try_from(first).unwrap_or(u32::MAX)
    }

    /// A register that the text does not name.
    fn fresh(&mut self, ty: Type) -> Slot {
        self.fresh_many(ty, 1)
    }

    fn declare_variable(&mut self, variable: &'m Variable<'a>) -> Checked<()> {
        let (at, name) = (variable.at, variable.name);
        let symbol = match variable.space {
            Space::Shared => self.shared(variable)?,
            Space::Local | Space::Param => self.local(variable)?,
            Space::Global | Space::Const => return unsupported(at, ".global inside a function"),
        };
        self.declare(at, name, symbol)
    }

    /// Gives a variable its place in shared memory.
    fn shared(&mut self, variable: &Variable<'a>) -> Checked<Symbol> {
        if variable.external || variable.count.is_none() {
            self.dynamic_align = self.dynamic_align.max(variable.align);
            return Ok(Symbol::DynamicShared);
        }
        if let Some(offset) = self.shared_index.get(&variable.at) {
            return Ok(Symbol::Shared(*offset));
        }
        let begin = u64::from(self.shared_bytes).next_multiple_of(u64::from(variable.align));
        match u32::try_from(begin + variable.len()) {
            Ok(end) if end <= SHARED_MAX => self.shared_bytes = end,
            _ => return invalid(variable.at, format!("too much shared memory (at most {SHARED_MAX} bytes)")),
        }
        self.shared_index.insert(variable.at, begin);
        Ok(Symbol::Shared(begin))
    }

    fn local(&mut self, variable: &Variable<'a>) -> Checked<Symbol> {
        let begin = (self.local_used + GAP).next_multiple_of(variable.align.max(8));
        let len = u32::try_from(variable.len()).unwrap_or(u32::MAX);
        let Some(end) = begin.checked_add(len).filter(|end| *end <= LOCAL_MAX) else {
            return invalid(variable.at, format!("too much local memory (at most {LOCAL_MAX} bytes)"));
        };
        self.local_used = end;
        if self.local.len() < end as usize {
            self.local.resize(end as usize, false);
        }
        self.local[begin as usize..end as usize].fill(true);
        Ok(Symbol::Local(begin, len))
    }

    fn label(&mut self, at: Position, name: &'a str) -> Checked<()> {
        let here = self.here();
        let scope = self.scopes().last().map_or(0, |scope| scope.id);
        match self.labels.insert((scope, name), here) {
            Some(_) => invalid(at, format!("the label `{name}` stands twice")),
            None => Ok(()),
        }
    }

    /// The index of the next instruction.
    fn here(&self) -> u32 {
        u32::try_from(self.code.len()).unwrap_or(u32::MAX)
    }

    /// Gives branches their targets.
    fn land(&mut self) {
        for jump in std::mem::take(&mut self.jumps) {
            let found = jump.scopes.iter().rev().find_map(|scope| self.labels.get(&(*scope, jump.label)));
            match found {
                Some(target) => self.code[jump.code].op = Op::Branch { target: *target },
                None => {
                    let words = format!("no label `{}`", jump.label);
                    self.troubles.push(Trouble { at: jump.at, words, unsupported: false });
                }
            }
        }
    }

    /// Adds an instruction; the caller fills its operands in.
    fn push(&mut self, op: Op) -> &mut Instruction {
        let place = Place { line: self.at.line, source: self.source };
        if let Op::Load(access) | Op::Store(access) | Op::Atomic(access, _) = op {
            self.see_access(access);
        }
        self.code.push(Instruction::new(op, self.guard, place));
        let last = self.code.len() - 1;
        &mut self.code[last]
    }

    fn see_access(&mut self, access: Access) {
        if matches!(access.space, None | Some(Space::Shared)) {
            self.shared_granule = self.shared_granule.min(access.bytes);
        }
    }

    fn instruction(&mut self, written: &'m Written<'a>) -> Checked<()> {
        if let Some((name, negated)) = written.guard {
            let slot = self.predicate_register(name, written.at)?;
            self.guard = Some(Predicate { slot, negated });
        }
        let m = Modifiers::of(&written.modifiers);
        match written.opcode {
            "mov" => self.mov(written, m),
            "cvt" => self.cvt(written, m),
            "cvta" => self.cvta(written, m),
            "isspacep" => self.isspacep(written, m),
            "setp" => self.setp(written, m),
            "set" => self.set(written, m),
            "selp" => self.selp(written, m),
            "slct" => self.slct(written, m),
            "testp" => self.testp(written, m),
            "lop3" => self.lop3(written, m),
            "add" | "sub" | "mad" if written.modifiers.contains(&"cc") => self.carry(written, m),
            "addc" | "subc" | "madc" => self.carry(written, m),
            "and" | "or" | "xor" | "not" if written.modifiers == ["pred"] => self.logic(written),
            "ld" | "ldu" => self.load(written, m),
            "st" => self.store(written, m),
            "atom" | "red" => self.atomic(written, m),
            "bra" => self.bra(written, m),
            "call" => self.call(written, m),
            "ret" => self.ret(written, m),
            "exit" => self.bare(written, Op::Exit),
            "trap" | "brkpt" => self.bare(written, Op::Trap),
            "bar" | "barrier" => self.bar(written, m),
            "shfl" => self.shfl(written, m),
            "vote" => self.vote(written, m),
            "match" => self.matches(written, m),
            "activemask" => self.activemask(written),
            // Memory is in order here, and waiting is for others only.
            "membar" | "fence" | "nanosleep" | "prefetch" | "prefetchu" | "pmevent" => {
                self.push(Op::Nothing);
                Ok(())
            }
            _ => self.operation(written, &m),
        }
    }

    /// What only computes.
    fn operation(&mut self, written: &Written<'a>, m: &Modifiers<'_>) -> Checked<()> {
        let Some(shape) = decode::operation(written.opcode, m) else { return self.unknown(written) };
        self.operands(written, shape.from.len() + 1)?;
        let mut from = [super::instruction::Source::ZERO; 5];
        for ((source, operand), ty) in from.iter_mut().zip(&written.operands[1..]).zip(&shape.from) {
            *source = self.value(operand, *ty)?;
        }
        let to = self.target(&written.operands[0], shape.to)?;
        let it = self.push(Op::Pure(shape.run));
        it.from = from;
        it.to[0] = to;
        Ok(())
    }

    fn bare(&mut self, written: &Written<'a>, op: Op) -> Checked<()> {
        self.operands(written, 0)?;
        self.push(op);
        Ok(())
    }

    /// The opcode with its modifiers is not known.
    fn unknown<T>(&self, written: &Written<'a>) -> Checked<T> {
        if !decode::is_instruction(written.opcode) {
            return invalid(written.at, format!("PTX has no instruction `{}`", written.opcode));
        }
        let words: Vec<&str> = std::iter::once(written.opcode).chain(written.modifiers.iter().copied()).collect();
        unsupported(written.at, &words.join("."))
    }

    /// The instruction has this many operands.
    fn operands(&self, written: &Written<'a>, wanted: usize) -> Checked<()> {
        let found = written.operands.len();
        if found == wanted {
            Ok(())
        } else {
            invalid(written.at, format!("`{}` has {found} operands, and {wanted} are right", written.opcode))
        }
    }
}
