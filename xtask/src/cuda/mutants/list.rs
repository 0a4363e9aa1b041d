//! The faults: each a few words of a kernel or of its launch, and the words that are planted in their place.

/// A fault to plant.
pub(super) struct Mutant {
    /// What kind of mistake it is.
    pub(super) what: &'static str,
    /// Below `kernels/src`.
    pub(super) file: &'static str,
    /// Stands there exactly once.
    pub(super) right: &'static str,
    pub(super) wrong: &'static str,
}

impl Mutant {
    /// The tests that look at this file: of its op, or where it is of all ops, of the one that uses all of it.
    pub(super) fn tests(&self) -> &'static str {
        match self.file.split_once('/') {
            Some(("bias_activation", _)) => "bias_activation::suite",
            Some(("embedding", _)) => "embedding::suite",
            _ => "health::suite",
        }
    }
}

const fn mutant(what: &'static str, file: &'static str, right: &'static str, wrong: &'static str) -> Mutant {
    Mutant { what, file, right, wrong }
}

pub(super) const MUTANTS: &[Mutant] = &[
    mutant("a bound, one too far", "health/kernel.cu", "i < len;", "i <= len;"),
    mutant("a stride, one too long", "health/kernel.cu", "i += stride", "i += stride + 1"),
    mutant("a barrier, missing", "health/kernel.cu", "    __syncthreads();\n", ""),
    mutant(
        "a barrier that part of the block has left",
        "health/kernel.cu",
        "    __syncthreads();\n    if (warp > 0) {\n        return 0;\n    }\n",
        "    if (warp > 0) {\n        return 0;\n    }\n    __syncthreads();\n",
    ),
    mutant(
        "shared memory that nothing wrote",
        "health/kernel.cu",
        "lane < blockDim.x / WARP ? warps[lane] : 0",
        "warps[lane]",
    ),
    mutant("a shuffle with the wrong lanes", "health/kernel.cu", "distance = WARP / 2;", "distance = WARP / 4;"),
    mutant(
        "a row's length, wrong",
        "bias_activation/kernel.cu",
        "y + row * columns + column",
        "y + row * rows + column",
    ),
    mutant("a bound, one too far", "bias_activation/kernel.cu", "column < columns;", "column <= columns;"),
    mutant("an index, wrong", "bias_activation/kernel.cu", "read(bias + column)", "read(bias + first_column % 2)"),
    mutant("a bound, one too far", "embedding/kernel.cu", "inside = row < size;", "inside = row <= size;"),
    mutant("an index, of another dimension", "embedding/kernel.cu", "numbers[line - slab * count]", "numbers[line]"),
    mutant("a count by every thread", "embedding/kernel.cu", " && first_unit == 0", ""),
    mutant(
        "arguments, swapped",
        "bias_activation/launch.rs",
        ".arg(&dims[0]).arg(&dims[1])",
        ".arg(&dims[1]).arg(&dims[0])",
    ),
    mutant(
        "a move, wider than the row's end",
        "embedding/launch.rs",
        "row_bytes >> common.min(4)",
        "(row_bytes >> common.min(4)) + 1",
    ),
    mutant("a copy, left out", "embedding/launch.rs", "lines > 0 && self.inner > 0", "lines > 0 && self.inner > 8"),
    mutant(
        "memory, freed too early",
        "embedding/launch.rs",
        "let (to, _write) = out.device_ptr_mut(&stream);",
        "let mut early = unsafe { device.alloc::<T>(lines * self.inner) }?; let to = early.device_ptr_mut(&stream).0; \
         drop(early); let _write = out.device_ptr_mut(&stream);",
    ),
    mutant(
        "counters, not set to zero",
        "launch/counts.rs",
        "device.alloc_zeros::<u64>(len.max(1))?",
        "unsafe { device.alloc::<u64>(len.max(1)) }?",
    ),
];

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn each_place_is_there_once() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("kernels/src");
        for it in MUTANTS {
            let text = std::fs::read_to_string(sources.join(it.file)).unwrap();
            assert_eq!(text.matches(it.right).count(), 1, "{}: `{}`", it.file, it.right);
            assert_ne!(it.right, it.wrong);
        }
    }
}
