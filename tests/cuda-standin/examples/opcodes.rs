//! Prints one example of each opcode in PTX files, with registers named by their types: `opcodes/candle.txt` is what it
//! printed for candle's modules.
#![expect(clippy::print_stdout, reason = "a program that prints its answer prints")]

use std::collections::{BTreeMap, HashMap};

use cuda_standin::ptx::{Instruction, Item, Operand, Statement, Type, parse};

fn main() -> Result<(), String> {
    let mut examples = BTreeMap::new();
    for path in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let module = parse(&text).map_err(|problems| format!("{path}: {problems:?}"))?;
        for item in &module.items {
            if let Item::Function(function) = item {
                collect(function.body.as_deref().unwrap_or(&[]), &mut HashMap::new(), &mut examples);
            }
        }
    }
    examples.values().for_each(|example| println!("{example}"));
    Ok(())
}

/// Types of registers by name, without the number of those that come in ranges.
type Registers<'a> = HashMap<&'a str, Type>;

fn collect<'a>(statements: &'a [Statement<'a>], registers: &mut Registers<'a>, to: &mut BTreeMap<String, String>) {
    for statement in statements {
        match statement {
            Statement::Registers { ty, names, .. } => registers.extend(names.iter().map(|(name, _)| (*name, *ty))),
            Statement::Block(inner) => collect(inner, registers, to),
            Statement::Instruction(it) if it.opcode != "call" => {
                let words: Vec<&str> = std::iter::once(it.opcode).chain(it.modifiers.iter().copied()).collect();
                let key = words.join(".");
                to.entry(key.clone()).or_insert_with(|| example(&key, it, registers));
            }
            _ => {}
        }
    }
}

fn example(opcode: &str, instruction: &Instruction<'_>, registers: &Registers<'_>) -> String {
    let mut used = 0;
    let operands: Vec<String> = instruction.operands.iter().map(|it| operand(it, registers, &mut used)).collect();
    format!("{opcode} {};", operands.join(", "))
}

fn operand(operand: &Operand<'_>, registers: &Registers<'_>, used: &mut u32) -> String {
    let mut inner = |it: &Operand<'_>| self::operand(it, registers, used);
    match operand {
        Operand::Name(name) => {
            let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
            match registers.get(name).or_else(|| registers.get(stem)) {
                Some(ty) => {
                    *used += 1;
                    format!("{}_{}", ty.name(), *used - 1)
                }
                None if name.contains("param") || name.contains("retval") => "p".to_owned(),
                None if name.starts_with("$L") => "end".to_owned(),
                None if *name == "WARP_SZ" => "WARP_SZ".to_owned(),
                None => "variable".to_owned(),
            }
        }
        Operand::Member(name, component) => format!("{name}.{component}"),
        Operand::Integer(value) => format!("{value}"),
        Operand::Single(bits) => format!("0f{bits:08X}"),
        Operand::Double(bits) => format!("0d{bits:016X}"),
        Operand::Address(base, offset) => format!("[{}+{}]", inner(base), offset.rem_euclid(8) / 8 * 8),
        Operand::Vector(elements) => format!("{{{}}}", elements.iter().map(inner).collect::<Vec<_>>().join(", ")),
        Operand::Pair(a, b) => format!("{}|{}", inner(a), inner(b)),
        Operand::Not(it) => format!("!{}", inner(it)),
        Operand::List(_) => String::new(),
    }
}
