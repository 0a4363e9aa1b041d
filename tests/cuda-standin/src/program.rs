//! From the tree of a module to a typed, verified program. Knows nothing of memory or of launches.
//!
//! A kernel that needs another instruction brings: what it computes, in `arith`; its name and operands, in `decode` or
//! `lower`; and a line in `opcodes/kernels.txt`, which `examples/opcodes.rs` prints.

mod allocate;
mod decode;
mod flow;
pub(crate) mod instruction;
pub(crate) mod kernel;
mod lower;
mod modifiers;
mod module;
mod names;
mod trouble;
pub(crate) mod window;

use std::fmt;

use crate::ptx::{self, Position};
use kernel::Kernel;
use trouble::{Trouble, load_error};

/// Why a module cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError {
    /// What a driver answers for it.
    pub kind: LoadErrorKind,
    /// The line of the first problem, counted from 1.
    pub line: u32,
    /// The column of the first problem, counted from 1.
    pub column: u32,
    /// Every problem, a line each (the first twenty).
    pub message: String,
}

/// What a driver answers for a module that cannot be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadErrorKind {
    /// 200: no `.version`, so no PTX.
    NoImage,
    /// 218: an error in the text.
    InvalidPtx,
    /// 222: a `.version` that is too new.
    UnsupportedVersion,
    /// 801: PTX that the stand-in does not know.
    Unsupported,
}

impl fmt::Display for LoadError {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.message)
    }
}

/// A kernel of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KernelId(pub(crate) usize);

/// A parameter of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Where it begins in the bytes of all parameters.
    pub offset: u32,
    /// Its bytes.
    pub size: u32,
    /// Its alignment.
    pub align: u32,
}

/// What a driver tells of a kernel and checks at its launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelFacts {
    /// The name in the PTX.
    pub name: String,
    /// In order.
    pub parameters: Vec<Parameter>,
    /// Bytes of all parameters.
    pub parameter_bytes: u32,
    /// Shared memory that the kernel itself names.
    pub static_shared: u32,
    /// The block size that it requires.
    pub reqntid: Option<[u32; 3]>,
    /// The largest block that it allows.
    pub maxntid: Option<[u32; 3]>,
    /// Bytes of local memory of a thread.
    pub local_bytes: u32,
    /// Registers after allocation: the stand-in's count, not that of ptxas.
    pub registers: u32,
}

/// A variable of a module in global or constant memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name in the PTX.
    pub name: String,
    /// Its bytes.
    pub len: u64,
    /// Its alignment.
    pub align: u64,
    /// What it holds when the module is loaded, `len` bytes. All count as written: the driver clears what has no value.
    pub bytes: Vec<u8>,
    /// In constant memory.
    pub constant: bool,
    /// Places in `bytes` where the driver puts the address of another variable, as 64 bits: offset, index of the
    /// variable, what is added to its address.
    pub addresses: Vec<(u64, usize, u64)>,
}

/// One module: kernels and variables.
#[derive(Debug)]
pub struct Program {
    kernels: Vec<Kernel>,
    variables: Vec<Variable>,
    /// `.file`: number and path.
    files: Vec<(u32, String)>,
}

/// The versions of PTX that the driver of CUDA 13.0 takes.
const VERSION_MAX: (u32, u32) = (9, 0);
/// The first version that has sm_75.
const VERSION_MIN: (u32, u32) = (6, 3);

impl Program {
    /// Reads a module. An error says everything that is wrong with it, up to twenty things.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let module = match ptx::parse(text) {
            Ok(module) => module,
            Err(problems) => {
                let mut error = load_error(problems.into_iter().map(Trouble::from).collect());
                if !text.contains(".version") {
                    error.kind = LoadErrorKind::NoImage;
                }
                return Err(error);
            }
        };
        check_head(&module)?;
        let mut troubles = Vec::new();
        let names = module::names(&module, &mut troubles);
        let variables = module::variables(&module, &names, &mut troubles);
        let kernels = module::kernels(&module, &names, &mut troubles);
        if !troubles.is_empty() {
            return Err(load_error(troubles));
        }
        let files = module.files.iter().map(|(number, path)| (*number, (*path).to_owned())).collect();
        Ok(Self { kernels, variables, files })
    }

    /// The kernel of that name.
    #[must_use]
    pub fn kernel(&self, name: &str) -> Option<KernelId> {
        self.kernels.iter().position(|kernel| kernel.facts.name == name).map(KernelId)
    }

    /// What a driver tells of a kernel.
    #[must_use]
    pub fn facts(&self, kernel: KernelId) -> KernelFacts {
        self.kernels[kernel.0].facts.clone()
    }

    /// The kernels, in the order of the text.
    pub fn kernels(&self) -> impl Iterator<Item = KernelId> {
        (0..self.kernels.len()).map(KernelId)
    }

    /// The variables that the driver places as blocks, and whose addresses it gives to launches in this order.
    #[must_use]
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    pub(crate) fn code(&self, kernel: KernelId) -> &Kernel {
        &self.kernels[kernel.0]
    }

    /// The path of a `.file`.
    pub(crate) fn file(&self, number: u32) -> Option<&str> {
        self.files.iter().find(|(it, _)| *it == number).map(|(_, path)| path.as_str())
    }
}

/// Version and target.
fn check_head(module: &ptx::Module<'_>) -> Result<(), LoadError> {
    let refuse = |kind: LoadErrorKind, words: String| {
        let error = load_error(vec![Trouble { at: Position { line: 1, column: 1 }, words, unsupported: false }]);
        Err(LoadError { kind, ..error })
    };
    let Some((major, minor)) = module.version else {
        return refuse(LoadErrorKind::NoImage, "no `.version`".to_owned());
    };
    if (major, minor) > VERSION_MAX {
        let words = format!("`.version {major}.{minor}` is newer than 9.0, which this driver knows");
        return refuse(LoadErrorKind::UnsupportedVersion, words);
    }
    let targets: Vec<&str> = module.targets.iter().copied().filter(|it| it.starts_with("sm_")).collect();
    let [target] = targets[..] else {
        return refuse(LoadErrorKind::InvalidPtx, "one `.target sm_…` belongs at the top".to_owned());
    };
    if target == "sm_75" && (major, minor) < VERSION_MIN {
        let words = format!("`.version {major}.{minor}` does not know `.target sm_75`, which came with 6.3");
        return refuse(LoadErrorKind::InvalidPtx, words);
    }
    match target.strip_prefix("sm_").and_then(|it| it.parse::<u32>().ok()) {
        Some(..=75) => Ok(()),
        _ => refuse(LoadErrorKind::InvalidPtx, format!("`.target {target}` is above sm_75, which this device is")),
    }
}
