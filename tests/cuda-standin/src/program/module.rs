//! The top of a module: version, target, names, variables with their values, and then every kernel.

use std::collections::HashMap;

use crate::ptx::{Function, FunctionKind, Initial, Item, Module, Position, Space};

use super::kernel::Kernel;
use super::lower::Lowering;
use super::names::ModuleNames;
use super::trouble::{TROUBLES_MAX, Trouble};
use super::{KernelFacts, Parameter, Variable, allocate, flow};

/// No module has more variables, and they no more bytes in all.
const VARIABLES_MAX: usize = 100_000;
const BYTES_MAX: u64 = 1 << 30;

/// Names and the index of each variable.
pub(super) fn names<'m, 'a>(module: &'m Module<'a>, troubles: &mut Vec<Trouble>) -> ModuleNames<'m, 'a> {
    let mut names = ModuleNames::default();
    let mut twice = |at: Position, name: &str| {
        troubles.push(Trouble { at, words: format!("`{name}` is defined twice"), unsupported: false });
    };
    let mut count = 0;
    for item in &module.items {
        match item {
            Item::Function(function) => {
                let defined = names.functions.get(function.name).is_some_and(|it| it.body.is_some());
                if defined && function.body.is_some() {
                    twice(function.at, function.name);
                } else if !defined {
                    names.functions.insert(function.name, function);
                }
            }
            Item::Variable(variable) if variable.space == Space::Shared => {
                if names.shared.insert(variable.name, variable).is_some() {
                    twice(variable.at, variable.name);
                }
            }
            Item::Variable(variable) => {
                if names.variables.insert(variable.name, count).is_some() {
                    twice(variable.at, variable.name);
                }
                count += 1;
            }
        }
    }
    names
}

/// Variables in global and constant memory, in order.
pub(super) fn variables(
    module: &Module<'_>,
    names: &ModuleNames<'_, '_>,
    troubles: &mut Vec<Trouble>,
) -> Vec<Variable> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for item in &module.items {
        let Item::Variable(it) = item else { continue };
        if it.space == Space::Shared {
            continue;
        }
        let mut refuse = |words: String, unsupported: bool| troubles.push(Trouble { at: it.at, words, unsupported });
        bytes += it.len();
        if it.external || it.count.is_none() {
            refuse(format!("unsupported: `{}`, which another module defines", it.name), true);
        } else if !matches!(it.space, Space::Global | Space::Const) {
            refuse(format!("`{}` is in a state space that has no variables of a module", it.name), false);
        } else if bytes > BYTES_MAX || found.len() == VARIABLES_MAX {
            refuse("the module's variables are too large or too many".to_owned(), false);
            return found;
        }
        let (values, addresses) = values(it, names, &mut refuse);
        found.push(Variable {
            name: it.name.to_owned(),
            len: it.len(),
            align: u64::from(it.align),
            bytes: values,
            constant: it.space == Space::Const,
            addresses,
        });
    }
    found
}

/// The bytes of an initialiser, and where addresses go.
fn values(
    it: &crate::ptx::Variable<'_>,
    names: &ModuleNames<'_, '_>,
    refuse: &mut impl FnMut(String, bool),
) -> (Vec<u8>, Vec<(u64, usize, u64)>) {
    let width = it.ty.bytes() as usize;
    let mut bytes = vec![0; usize::try_from(it.len().min(BYTES_MAX)).unwrap_or(0)];
    let mut addresses = Vec::new();
    for (index, initial) in it.initial.iter().enumerate() {
        match initial {
            Initial::Bits(bits) => {
                let Some(place) = bytes.get_mut(index * width..(index + 1) * width) else { continue };
                place.copy_from_slice(&bits.to_le_bytes()[..width.min(8)]);
            }
            Initial::Address(name, add) => match names.variables.get(name) {
                Some(_) if width != 8 => refuse(format!("the address of `{name}` needs 64 bits"), false),
                Some(variable) => addresses.push(((index * width) as u64, *variable as usize, add.cast_unsigned())),
                None => refuse(format!("no variable `{name}`"), false),
            },
        }
    }
    (bytes, addresses)
}

/// Where parameters lie, and their bytes in all.
fn parameters(function: &Function<'_>) -> (Vec<Parameter>, u32) {
    let mut end = 0u32;
    let found = function
        .parameters
        .iter()
        .map(|it| {
            let offset = end.next_multiple_of(it.align);
            let size = u32::try_from(it.len()).unwrap_or(u32::MAX);
            end = offset.saturating_add(size);
            Parameter { offset, size, align: it.align }
        })
        .collect();
    (found, end)
}

/// A kernel may have so many bytes of parameters.
const PARAMETERS_MAX: u32 = 4096;

/// Every kernel of a module.
pub(super) fn kernels(module: &Module<'_>, names: &ModuleNames<'_, '_>, troubles: &mut Vec<Trouble>) -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for item in &module.items {
        let Item::Function(function) = item else { continue };
        if function.kind != FunctionKind::Entry || function.body.is_none() || troubles.len() >= TROUBLES_MAX {
            continue;
        }
        let (parameters, parameter_bytes) = parameters(function);
        if parameter_bytes > PARAMETERS_MAX {
            let words = format!("{parameter_bytes} bytes of parameters (at most {PARAMETERS_MAX})");
            troubles.push(Trouble { at: function.at, words, unsupported: false });
            continue;
        }
        let mut lowering = Lowering::new(names);
        lowering.kernel(function, &parameters);
        let facts = KernelFacts {
            name: function.name.to_owned(),
            parameters,
            parameter_bytes,
            static_shared: lowering.shared_bytes,
            reqntid: function.limits.required,
            maxntid: function.limits.most,
            local_bytes: lowering.local.iter().filter(|used| **used).count() as u32,
            registers: 0,
        };
        kernels.push(finish(lowering, facts, troubles));
    }
    kernels
}

/// Follows the registers, and gives them slots.
fn finish(mut lowering: Lowering<'_, '_>, mut facts: KernelFacts, troubles: &mut Vec<Trouble>) -> Kernel {
    // What is unknown may be what writes a register.
    let complete = lowering.troubles.is_empty();
    troubles.append(&mut lowering.troubles);
    let rows = u32::try_from(lowering.registers.len()).unwrap_or(u32::MAX);
    let mut code = std::mem::take(&mut lowering.code);
    let lives = flow::lives(&code, rows, lowering.predicates);
    let mut seen = HashMap::new();
    for (at, register) in lives.unwritten.iter().filter(|_| complete) {
        if seen.insert(*register, ()).is_none() && troubles.len() < TROUBLES_MAX {
            let name = register_name(&lowering, *register, rows);
            let words = format!("`{name}` is read, and nothing has written it");
            let at = Position { line: code[*at].place.line, column: 1 };
            troubles.push(Trouble { at, words, unsupported: false });
        }
    }
    let (rows, predicates) = allocate::allocate(&mut code, rows, &lives);
    facts.registers = rows;
    let dynamic_shared = lowering.shared_bytes.next_multiple_of(lowering.dynamic_align);
    Kernel {
        facts,
        code,
        constants: lowering.constants,
        rows,
        predicates,
        local: lowering.local,
        dynamic_shared,
        shared_granule: lowering.shared_granule.max(1),
    }
}

fn register_name(lowering: &Lowering<'_, '_>, register: u32, rows: u32) -> String {
    let (slot, predicate) = if register < rows { (register, false) } else { (register - rows, true) };
    let last = lowering.named.iter().filter(|(first, of, _)| *of == predicate && *first <= slot).max_by_key(|it| it.0);
    last.map_or_else(
        || format!("register {slot}"),
        |(first, _, name)| {
            if name.starts_with('%') { format!("{name}{}", slot - first) } else { (*name).to_owned() }
        },
    )
}
