//! The opcodes that the stand-in is tested with, held to those of the kernels that were built.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::gate;
use super::program::Built;
use crate::shell;

/// Where the lists are, one instruction of each opcode a line.
const FOLDER: &str = "tests/cuda-standin/opcodes";

/// Fails where a kernel has an opcode that no list has, or a list has one that no kernel has.
pub(super) fn check(root: &Path, built: &Built) -> Result<()> {
    let listed = |name: &str| -> Result<BTreeSet<String>> {
        let file = root.join(FOLDER).join(name);
        Ok(opcodes(&fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?))
    };
    let (candle, ours) = (contained(root, &built.candle)?, contained(root, &built.kernels)?);
    same("candle.txt", &listed("candle.txt")?, &candle)?;
    same("kernels.txt", &listed("kernels.txt")?, &ours.difference(&candle).cloned().collect())?;
    println!("{} opcodes of candle's kernels and {} of ours, each in the lists of {FOLDER}", candle.len(), ours.len());
    Ok(())
}

/// The opcodes of a folder's modules, by the program that made the lists.
fn contained(root: &Path, folder: &Path) -> Result<BTreeSet<String>> {
    let mut command = shell::cargo(root);
    command.args(["run", "--quiet", "--package=cuda-standin", "--example=opcodes", "--"]).args(gate::modules(folder)?);
    Ok(opcodes(&shell::text(&mut command)?))
}

/// The first word of each line.
fn opcodes(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

fn same(name: &str, listed: &BTreeSet<String>, contained: &BTreeSet<String>) -> Result<()> {
    let told = |of: &BTreeSet<String>, less: &BTreeSet<String>| of.difference(less).cloned().collect::<Vec<_>>();
    let (missing, left_over) = (told(contained, listed), told(listed, contained));
    ensure!(
        missing.is_empty() && left_over.is_empty(),
        "{FOLDER}/{name} lacks {missing:?}, and no kernel has {left_over:?}; `cargo run -p cuda-standin --example opcodes` \
         prints it anew"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_left_over_is_told() {
        let of = opcodes("add.u32 b32_0, 1;\nret ;\n");
        same("a.txt", &of, &opcodes("ret ;\nadd.u32 x;")).unwrap();
        let told = same("a.txt", &of, &opcodes("ret ;\nmul.f32 x;")).unwrap_err().to_string();
        assert!(told.contains("lacks [\"mul.f32\"], and no kernel has [\"add.u32\"]"), "{told}");
    }
}
