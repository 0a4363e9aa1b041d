//! A device without a driver: blocks one after another, and launches of PTX text.

use cuda_standin::exec::{Counts, Fault, Launch, run};
use cuda_standin::memory::{Address, BlockName, Memory};
use cuda_standin::program::Program;
use cuda_standin::report::Reports;

/// What stands at the top of every module here.
pub(crate) const HEAD: &str = ".version 9.0\n.target sm_75\n.address_size 64\n";

/// Memory, what was found, and where the next block goes.
pub(crate) struct Device {
    pub(crate) memory: Memory,
    pub(crate) reports: Reports,
    next: Address,
    blocks: u64,
}

/// A module whose variables have their places.
pub(crate) struct Module {
    pub(crate) program: Program,
    variables: Vec<Address>,
}

impl Device {
    pub(crate) fn new() -> Self {
        Self { memory: Memory::default(), reports: Reports::default(), next: 0x7_0000_0000, blocks: 0 }
    }

    /// A block that nothing wrote, with a gap behind it.
    pub(crate) fn alloc(&mut self, len: usize) -> Address {
        self.blocks += 1;
        let at = self.next;
        self.next += (len as u64).next_multiple_of(512) + 4096;
        self.memory.insert(at, len as u64, BlockName::Allocation(self.blocks));
        at
    }

    /// A block that holds these bytes.
    pub(crate) fn upload(&mut self, bytes: &[u8]) -> Address {
        let at = self.alloc(bytes.len());
        self.memory.write(at, bytes).unwrap();
        at
    }

    pub(crate) fn download(&self, at: Address, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.memory.read(at, &mut bytes).unwrap();
        bytes
    }

    pub(crate) fn load(&mut self, text: &str) -> Module {
        let program = Program::parse(text).unwrap_or_else(|error| panic!("{error}"));
        let variables: Vec<Address> = program.variables().iter().map(|it| self.upload(&it.bytes)).collect();
        for (variable, at) in program.variables().iter().zip(&variables) {
            for (offset, other, add) in &variable.addresses {
                let address = variables[*other].wrapping_add(*add);
                self.memory.write(at + offset, &address.to_le_bytes()).unwrap();
            }
        }
        Module { program, variables }
    }

    /// Runs a kernel whose parameters are all 64 bits wide.
    pub(crate) fn launch(
        &mut self,
        module: &Module,
        kernel: &str,
        (grid, block, dynamic_shared): (u32, u32, u32),
        parameters: &[u64],
    ) -> Result<Counts, Fault> {
        let bytes: Vec<u8> = parameters.iter().flat_map(|it| it.to_le_bytes()).collect();
        let launch = Launch {
            program: &module.program,
            kernel: module.program.kernel(kernel).unwrap(),
            grid: [grid, 1, 1],
            block: [block, 1, 1],
            dynamic_shared,
            parameters: &bytes,
            variables: &module.variables,
        };
        run(&launch, &mut self.memory, &mut self.reports)
    }
}
