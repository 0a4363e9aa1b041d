//! The list of CUDA's functions that `kernels/cuda-lazy` has trampolines for, held to be what is called and no more.
//!
//! A name that is missing fails to link. One too many is seen in the program: what nothing calls is not linked into it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::elf;
use super::program::{self, Build, Errors};
use super::toolkit::Toolkit;
use crate::shell;

/// Where it is.
const LIST: &str = "kernels/cuda-lazy/symbols.txt";

/// How often names may be added before linking works. The linker names twenty at a time.
const ROUNDS_MAX: usize = 20;

/// How the linker names what it does not find.
const UNDEFINED: &str = "undefined symbol: ";

/// Fails where the program does not hold a trampoline for each name.
pub(crate) fn check(root: &Path, program: &Path) -> Result<usize> {
    let list = List::read(root)?;
    let held = elf::functions(program)?;
    let unused: Vec<&str> = list.of_programs().filter(|name| !held.contains(*name)).collect();
    if !unused.is_empty() {
        bail!("nothing calls {}; `cargo xtask cuda --symbols` writes {LIST} anew", unused.join(", "));
    }
    Ok(list.of_programs().count())
}

/// Writes the list anew, from what the linker misses and what the program holds.
pub(crate) fn write(root: &Path, toolkit: &Toolkit) -> Result<()> {
    let mut list = List::read(root)?;
    for _ in 0..ROUNDS_MAX {
        let (said, status) = program::attempt(root, toolkit, Build::Test, Errors::Answered)?;
        if status.success() {
            let program = shell::target(root).join("debug/sluice");
            list.keep(&elf::functions(&program)?);
            return list.write(root);
        }
        let missing = undefined(&said);
        if missing.is_empty() {
            bail!("cargo ended with {status}, and not for a function of CUDA: build it without `--symbols` to see why");
        }
        println!("missing: {}", missing.iter().cloned().collect::<Vec<_>>().join(" "));
        list.names.extend(missing);
        list.write(root)?;
    }
    bail!("the linker misses more names after {ROUNDS_MAX} rounds")
}

/// The names of CUDA that the linker does not find, wherever they stand in what cargo printed.
fn undefined(said: &str) -> BTreeSet<String> {
    let after = said.split(UNDEFINED).skip(1);
    let name = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    after.map(name).filter(|name| name.trim_start_matches('_').starts_with("cu")).collect()
}

#[derive(Debug, PartialEq)]
struct List {
    /// Lines before the first name.
    head: String,
    names: BTreeSet<String>,
}

impl List {
    fn read(root: &Path) -> Result<Self> {
        let path = root.join(LIST);
        Ok(Self::parse(&fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?))
    }

    fn parse(text: &str) -> Self {
        let (head, names): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with('#'));
        let head = head.iter().map(|line| format!("{line}\n")).collect();
        Self { head, names: names.into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect() }
    }

    fn text(&self) -> String {
        let names: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        format!("{}{names}", self.head)
    }

    fn write(&self, root: &Path) -> Result<()> {
        Ok(fs::write(root.join(LIST), self.text())?)
    }

    /// Those that are in every program. The runtime's are called by candle's library for GGUF alone.
    fn of_programs(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str).filter(|name| !of_runtime(name))
    }

    fn keep(&mut self, held: &BTreeSet<String>) {
        self.names.retain(|name| of_runtime(name) || held.contains(name));
    }
}

fn of_runtime(name: &str) -> bool {
    name.trim_start_matches('_').starts_with("cuda")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let text = "# Why.\ncuInit\ncudaFree\n";
        assert_eq!(List::parse(text).text(), text);
        assert_eq!(List::parse("# Why.\ncudaFree\n\ncuInit\n").text(), text);
    }

    #[test]
    fn what_nothing_calls_leaves_and_the_runtimes_stays() {
        let mut list = List::parse("cuInit\ncuMemAlloc_v2\n__cudaRegisterVar\n");
        list.keep(&BTreeSet::from(["cuInit".to_owned()]));
        assert_eq!(list.text(), "__cudaRegisterVar\ncuInit\n");
        assert_eq!(list.of_programs().collect::<Vec<_>>(), ["cuInit"]);
    }

    #[test]
    fn names_are_found_in_what_the_linker_says() {
        let said = r#"{"message":"rust-lld: error: undefined symbol: cuFoo_v2\n>>> referenced by x\nerror: undefined symbol: other\n>>> error: undefined symbol: __cudaBar\n"}"#;
        assert_eq!(undefined(said).into_iter().collect::<Vec<_>>(), ["__cudaBar", "cuFoo_v2"]);
    }
}
