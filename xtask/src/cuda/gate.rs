//! What the assembler for a T4 says about every kernel: registers, shared memory, and that nothing is spilled.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::program::Built;
use super::toolkit::Toolkit;
use crate::shell;

/// With more, a T4 has less than half of its threads at work.
const REGISTERS_MAX: u64 = 64;

/// Not judged: half of its kernels are above the limits.
const NOT_CALLED: &str = "candle quantized";

/// What a kernel may declare.
const SHARED_MAX: u64 = 48 * 1024;

/// Candle's largest module takes ten seconds.
const LIMIT: Duration = Duration::from_secs(5 * 60);

/// One kernel, as the assembler sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Kernel {
    registers: u64,
    /// Bytes of shared memory that it declares.
    shared: u64,
    /// Bytes that are written to and read from memory because registers ran out.
    spilled: u64,
}

/// A module's kernels by name.
type Module = BTreeMap<String, Kernel>;

/// Prints a table of the modules, and fails where a kernel is over a limit.
pub(crate) fn check(toolkit: &Toolkit, built: &Built) -> Result<()> {
    println!("{:28} {:>7} {:>9} {:>12} {:>13}", "module", "kernels", "registers", "shared bytes", "spilled bytes");
    let mut over = Vec::new();
    let mut kernels = 0;
    for (owner, folder) in [("sluice", &built.kernels), ("candle", &built.candle)] {
        for ptx in modules(folder)? {
            let name = format!("{owner} {}", ptx.file_stem().unwrap_or_default().to_string_lossy());
            if name == NOT_CALLED {
                println!("{name:28} left out: of GGUF, which nothing calls");
                continue;
            }
            let module = assemble(toolkit, &ptx)?;
            println!("{}", row(&name, &module));
            kernels += module.len();
            over.extend(judge(&name, &module));
        }
    }
    println!("{kernels} kernels; at most {REGISTERS_MAX} registers, {SHARED_MAX} shared bytes and nothing spilled");
    if over.is_empty() { Ok(()) } else { bail!("over a limit: {}", over.join("; ")) }
}

/// Every PTX file of a folder, by name.
pub(super) fn modules(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|end| end == "ptx"));
    files.sort();
    if files.is_empty() {
        bail!("{} holds no PTX", folder.display());
    }
    Ok(files)
}

fn assemble(toolkit: &Toolkit, ptx: &Path) -> Result<Module> {
    let mut ptxas = toolkit.program("ptxas", Path::new("."));
    // It tells on standard error.
    ptxas.args(["--verbose", "--gpu-name=sm_75", "--output-file=/dev/null"]).arg(ptx);
    let said = shell::errors(&mut ptxas, LIMIT)?;
    let module = parse(&said);
    // A line that is not understood must not pass for a kernel without registers.
    let declared = fs::read_to_string(ptx)?.lines().filter(|line| line.contains(".entry ")).count();
    if module.len() != declared || module.values().any(|kernel| kernel.registers == 0) {
        bail!("{} has {declared} kernels, and ptxas tells of {}:\n{said}", ptx.display(), module.len());
    }
    Ok(module)
}

fn row(name: &str, module: &Module) -> String {
    let most = |of: fn(&Kernel) -> u64| module.values().map(of).max().unwrap_or_default();
    let spilled: u64 = module.values().map(|kernel| kernel.spilled).sum();
    let (registers, shared) = (most(|kernel| kernel.registers), most(|kernel| kernel.shared));
    format!("{name:28} {:>7} {registers:>9} {shared:>12} {spilled:>13}", module.len())
}

fn judge(name: &str, module: &Module) -> Vec<String> {
    let over = module.iter().filter(|(_, it)| it.registers > REGISTERS_MAX || it.shared > SHARED_MAX || it.spilled > 0);
    let told = |(kernel, it): (&String, &Kernel)| {
        format!("{name} {kernel}: {} registers, {} shared bytes, {} spilled", it.registers, it.shared, it.spilled)
    };
    over.map(told).collect()
}

/// Reads what `ptxas --verbose` says: a kernel's name, then of it and of functions inside it what they take.
fn parse(said: &str) -> Module {
    let mut module = Module::new();
    let mut current = String::new();
    for line in said.lines() {
        if let Some(rest) = line.split("Compiling entry function '").nth(1) {
            current = rest.split('\'').next().unwrap_or_default().to_owned();
            module.entry(current.clone()).or_default();
            continue;
        }
        let Some(kernel) = module.get_mut(&current) else { continue };
        kernel.spilled += number_before(line, " bytes spill stores") + number_before(line, " bytes spill loads");
        if line.contains(" registers") {
            kernel.registers = number_before(line, " registers");
            kernel.shared = number_before(line, " bytes smem");
        }
    }
    module
}

/// The number that stands before some words; 0 where they are not there.
fn number_before(line: &str, words: &str) -> u64 {
    let before = line.split_once(words).map(|(before, _)| before);
    before.and_then(|text| text.rsplit([' ', ',']).next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'good' for 'sm_75'
ptxas info    : Function properties for good
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 22 registers, used 1 barriers, 256 bytes smem, 376 bytes cmem[0]
ptxas info    : Compile time = 132.151 ms
ptxas info    : Compiling entry function 'bad' for 'sm_75'
ptxas info    : Function properties for bad
    48 bytes stack frame, 44 bytes spill stores, 40 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers, 388 bytes cmem[0]
";

    #[test]
    fn what_the_assembler_says_is_read() {
        let module = parse(SAID);
        assert_eq!(module["good"], Kernel { registers: 22, shared: 256, spilled: 0 });
        assert_eq!(module["bad"], Kernel { registers: 255, shared: 0, spilled: 84 });
    }

    #[test]
    fn a_kernel_over_a_limit_is_named() {
        let kernel = |registers, shared, spilled| Kernel { registers, shared, spilled };
        let module = |kernel| Module::from([("k".to_owned(), kernel)]);
        assert!(judge("m", &module(kernel(64, SHARED_MAX, 0))).is_empty());
        for over in [kernel(65, 0, 0), kernel(1, SHARED_MAX + 1, 0), kernel(1, 0, 4)] {
            assert!(judge("m", &module(over))[0].starts_with("m k: "));
        }
    }
}
