//! Names in scope: of one function body, and of the module.

use std::collections::HashMap;

use crate::ptx::{Function, Type, Variable};

use super::instruction::Slot;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// A register; predicates are numbered by themselves.
    Register(Slot, Type),
    /// Shared memory that the kernel names, at an offset.
    Shared(u64),
    /// Dynamic shared memory.
    DynamicShared,
    /// Local memory at an offset, so many bytes.
    Local(u32, u32),
    /// A parameter of the kernel: offset and bytes.
    Parameter(u32, u32),
    /// A variable of the module in global or constant memory.
    Variable(u32),
}

/// What one pair of braces declares.
#[derive(Debug, Default)]
pub(super) struct Scope<'a> {
    /// Unlike every other scope's.
    pub(super) id: u32,
    names: HashMap<&'a str, Symbol>,
    /// `%r<9>`: prefix, how many, the first register, type.
    ranges: Vec<(&'a str, u32, Slot, Type)>,
    /// Where local memory was used up to when the scope opened.
    pub(super) local: u32,
}

impl<'a> Scope<'a> {
    pub(super) fn new(id: u32, local: u32) -> Self {
        Self { id, local, ..Self::default() }
    }

    /// Answers false if the name is taken.
    pub(super) fn declare(&mut self, name: &'a str, symbol: Symbol) -> bool {
        self.names.insert(name, symbol).is_none()
    }

    pub(super) fn declare_range(&mut self, prefix: &'a str, count: u32, first: Slot, ty: Type) {
        self.ranges.push((prefix, count, first, ty));
    }

    pub(super) fn find(&self, name: &str) -> Option<Symbol> {
        self.names.get(name).copied().or_else(|| self.numbered(name))
    }

    /// `%r12` of `%r<20>`.
    fn numbered(&self, name: &str) -> Option<Symbol> {
        self.ranges.iter().find_map(|(prefix, count, first, ty)| {
            let digits = name.strip_prefix(prefix)?;
            let canonical = digits == "0" || !digits.starts_with('0');
            let number: u32 = if canonical && digits.bytes().all(|it| it.is_ascii_digit()) {
                digits.parse().ok()?
            } else {
                return None;
            };
            (number < *count).then(|| Symbol::Register(first + number, *ty))
        })
    }
}

/// What a module declares, by name.
#[derive(Debug, Default)]
pub(super) struct ModuleNames<'m, 'a> {
    /// Definitions, or declarations where there is no definition.
    pub(super) functions: HashMap<&'a str, &'m Function<'a>>,
    pub(super) shared: HashMap<&'a str, &'m Variable<'a>>,
    /// In global and constant memory, by index.
    pub(super) variables: HashMap<&'a str, u32>,
}
