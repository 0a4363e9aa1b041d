//! What was done, in numbers: calls, launches, bytes, instructions, for each kernel. Never a time.

use crate::exec;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Sums since the start, or since they were last taken.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    /// How often each function was called.
    pub calls: BTreeMap<&'static str, u64>,
    /// What each kernel did; products of cuBLAS and generators of cuRAND are kernels of those names.
    pub kernels: BTreeMap<String, Kernel>,
    /// Blocks of device memory that were given, and their bytes.
    pub allocations: Blocks,
    /// Blocks of pinned memory that were given, and their bytes.
    pub pinned: Blocks,
    /// Copies to the device, and their bytes.
    pub to_device: Blocks,
    /// Copies to the host, and their bytes.
    pub to_host: Blocks,
    /// Copies on the device, and their bytes.
    pub on_device: Blocks,
    /// Fills, and their bytes.
    pub fills: Blocks,
    /// Modules that were loaded, and the bytes of their text.
    pub modules: Blocks,
}

/// How many, and how large together.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// How many.
    pub times: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Blocks {
    /// One more.
    pub fn add(&mut self, bytes: u64) {
        self.times += 1;
        self.bytes += bytes;
    }
}

/// What one kernel did in all its launches.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Its launches.
    pub launches: u64,
    /// What they did.
    pub done: exec::Counts,
}

impl Counts {
    /// A function was called.
    pub fn call(&mut self, name: &'static str) {
        *self.calls.entry(name).or_default() += 1;
    }

    /// A kernel ran, or failed while it ran.
    pub fn launch(&mut self, kernel: &str, done: exec::Counts) {
        if !self.kernels.contains_key(kernel) {
            self.kernels.insert(kernel.to_owned(), Kernel::default());
        }
        if let Some(of) = self.kernels.get_mut(kernel) {
            of.launches += 1;
            of.done = sum(of.done, done);
        }
    }

    /// All kernels together.
    #[must_use]
    pub fn all_kernels(&self) -> Kernel {
        self.kernels.values().fold(Kernel::default(), |all, one| Kernel {
            launches: all.launches + one.launches,
            done: sum(all.done, one.done),
        })
    }

    /// One JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::from("{");
        let all = self.all_kernels();
        let calls: u64 = self.calls.values().sum();
        let _ = write!(text, "{},\n\"driver_calls\":{calls}", of_kernel(&all));
        for (name, blocks) in [
            ("allocations", self.allocations),
            ("pinned", self.pinned),
            ("copies_to_device", self.to_device),
            ("copies_to_host", self.to_host),
            ("copies_on_device", self.on_device),
            ("fills", self.fills),
            ("modules", self.modules),
        ] {
            let _ = write!(text, ",\n\"{name}\":{{\"times\":{},\"bytes\":{}}}", blocks.times, blocks.bytes);
        }
        let calls: Vec<String> = self.calls.iter().map(|(name, times)| format!("\"{name}\":{times}")).collect();
        let kernels: Vec<String> = self
            .kernels
            .iter()
            .map(|(name, kernel)| format!("{}:{{{}}}", crate::report::quoted(name), of_kernel(kernel)))
            .collect();
        let _ = write!(text, ",\n\"calls\":{{{}}},\n\"kernels\":{{\n{}}}}}\n", calls.join(","), kernels.join(",\n"));
        text
    }
}

fn of_kernel(kernel: &Kernel) -> String {
    let done = kernel.done;
    format!(
        "\"launches\":{},\"thread_instructions\":{},\"warp_instructions\":{},\"bytes_loaded\":{},\"bytes_stored\":{},\
         \"atomics\":{},\"barriers\":{}",
        kernel.launches,
        done.thread_instructions,
        done.warp_instructions,
        done.bytes_loaded,
        done.bytes_stored,
        done.atomics,
        done.barriers
    )
}

fn sum(a: exec::Counts, b: exec::Counts) -> exec::Counts {
    exec::Counts {
        thread_instructions: a.thread_instructions + b.thread_instructions,
        warp_instructions: a.warp_instructions + b.warp_instructions,
        bytes_loaded: a.bytes_loaded + b.bytes_loaded,
        bytes_stored: a.bytes_stored + b.bytes_stored,
        atomics: a.atomics + b.atomics,
        barriers: a.barriers + b.barriers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_reads_back_with_sums_and_each_kernel() {
        let mut counts = Counts::default();
        counts.call("cuLaunchKernel");
        counts.call("cuLaunchKernel");
        counts.launch("a\"b", exec::Counts { thread_instructions: 5, bytes_loaded: 8, ..Default::default() });
        counts.launch("a\"b", exec::Counts { thread_instructions: 6, ..Default::default() });
        counts.launch("c", exec::Counts { bytes_stored: 3, ..Default::default() });
        counts.to_device.add(64);
        let read: serde_json::Value = serde_json::from_str(&counts.to_json()).unwrap();
        assert_eq!(read["launches"], 3);
        assert_eq!(read["thread_instructions"], 11);
        assert_eq!(read["driver_calls"], 2);
        assert_eq!(read["calls"]["cuLaunchKernel"], 2);
        assert_eq!(read["kernels"]["a\"b"]["launches"], 2);
        assert_eq!(read["kernels"]["a\"b"]["bytes_loaded"], 8);
        assert_eq!(read["kernels"]["c"]["bytes_stored"], 3);
        assert_eq!(read["copies_to_device"]["bytes"], 64);
    }
}
