//! `printf` of a kernel: the words of a format with arguments that lie one after another in memory.

use std::io::Write;

use crate::memory::Memory;
use crate::program::window;
use crate::ptx::Space;

/// A format and a string argument are read so far.
const TEXT_MAX: usize = 4096;

/// Where text and arguments are read from.
pub(super) struct Reader<'m> {
    pub(super) memory: &'m Memory,
    /// Of the thread that prints.
    pub(super) local: &'m [u8],
}

impl Reader<'_> {
    fn byte(&self, address: u64) -> Option<u8> {
        match window::resolve(address) {
            (Space::Local, at) => self.local.get(usize::try_from(at).ok()?).copied(),
            (Space::Global, at) => {
                let (block, at) = self.memory.span(at, 1).ok()?;
                block.bytes.get(at).copied()
            }
            _ => None,
        }
    }

    fn number(&self, address: u64, bytes: u64) -> u64 {
        (0..bytes).fold(0, |value, index| {
            value | u64::from(self.byte(address.wrapping_add(index)).unwrap_or(0)) << (8 * index)
        })
    }

    fn text(&self, address: u64) -> String {
        (0..TEXT_MAX as u64)
            .map_while(|index| self.byte(address.wrapping_add(index)).filter(|byte| *byte != 0))
            .map(char::from)
            .collect()
    }

    /// The text that a format makes, and how many arguments it took.
    pub(super) fn format(&self, format: u64, mut arguments: u64) -> (String, u32) {
        let format = self.text(format);
        let (mut out, mut count) = (String::new(), 0);
        let mut rest = format.chars().peekable();
        while let Some(letter) = rest.next() {
            if letter != '%' {
                out.push(letter);
                continue;
            }
            let mut options = String::new();
            while let Some(option) = rest.next_if(|it| "-+ #0123456789.".contains(*it)) {
                options.push(option);
            }
            let mut long = 0;
            while let Some(length) = rest.next_if(|it| "hlLjzt".contains(*it)) {
                long += u32::from(length != 'h');
            }
            let Some(kind) = rest.next() else { break };
            if kind == '%' {
                out.push('%');
                continue;
            }
            let bytes = if "fFeEgGaAsp".contains(kind) || long > 0 { 8 } else { 4 };
            arguments = arguments.next_multiple_of(bytes);
            let value = self.number(arguments, bytes);
            arguments = arguments.wrapping_add(bytes);
            count += 1;
            out += &padded(&self.one(kind, value, bytes, &options), &options);
        }
        (out, count)
    }

    fn one(&self, kind: char, value: u64, bytes: u64, options: &str) -> String {
        let digits = options.split_once('.').and_then(|(_, digits)| digits.parse::<usize>().ok()).map(|it| it.min(100));
        let float = f64::from_bits(value);
        match kind {
            'd' | 'i' if bytes == 4 => (value as u32).cast_signed().to_string(),
            'd' | 'i' => value.cast_signed().to_string(),
            'u' => value.to_string(),
            'x' => format!("{value:x}"),
            'X' => format!("{value:X}"),
            'o' => format!("{value:o}"),
            'p' => format!("{value:#x}"),
            'c' => char::from(value as u8).to_string(),
            's' => self.text(value),
            'f' | 'F' => format!("{float:.*}", digits.unwrap_or(6)),
            'e' | 'E' => format!("{float:.*e}", digits.unwrap_or(6)),
            _ => format!("{float}"),
        }
    }
}

/// To the width that the options ask for.
fn padded(text: &str, options: &str) -> String {
    let width = options.trim_start_matches(['-', '+', ' ', '#', '0']).split('.').next().unwrap_or("");
    let width = width.parse::<usize>().unwrap_or(0).min(1000);
    if options.starts_with('-') {
        format!("{text:<width$}")
    } else if options.starts_with('0') {
        format!("{text:0>width$}")
    } else {
        format!("{text:>width$}")
    }
}

/// To standard output, where a driver prints it; a closed one is nobody's loss.
pub(super) fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::BlockName;

    #[test]
    fn a_format_takes_its_arguments_in_order() {
        let mut memory = Memory::default();
        memory.insert(4096, 4096, BlockName::Allocation(1));
        memory.write(4096, b"%d|%5u|%-4x|%s|%.2f|%lld|%c|%%\0").unwrap();
        memory.write(5000, b"text\0").unwrap();
        let arguments = [
            u64::from((-3i32).cast_unsigned()) | 7 << 32,
            255,
            5000,
            1.5f64.to_bits(),
            (-9i64).cast_unsigned(),
            u64::from(b'z'),
        ];
        let bytes: Vec<u8> = arguments.iter().flat_map(|it| it.to_le_bytes()).collect();
        memory.write(6000, &bytes).unwrap();
        let reader = Reader { memory: &memory, local: &[] };
        assert_eq!(reader.format(4096, 6000), ("-3|    7|ff  |text|1.50|-9|z|%".to_owned(), 7));
    }
}
