//! Modules: images, their kernels and variables.

use super::attributes::{SHARED_DEFAULT, SHARED_MAX};
use super::code::{Answer, Code};
use super::handles::{Handle, Stale};
use super::state::{State, say};
use crate::image::{self, ImageError};
use crate::memory::{Address, BlockName};
use crate::program::{KernelFacts, KernelId, LoadErrorKind, Program};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the device gives for a module's code at a time. A figure of the stand-in, as are a byte for each byte of text.
const CODE_UNIT: u64 = 2 << 20;

#[derive(Debug)]
pub(super) struct Module {
    pub(super) context: Handle,
    pub(super) program: Arc<Program>,
    /// Where its variables lie, in the program's order.
    pub(super) variables: Arc<[Address]>,
    functions: BTreeMap<String, Handle>,
    code_bytes: u64,
}

/// A kernel of a module.
#[derive(Debug, Clone)]
pub(super) struct Function {
    pub(super) module: Handle,
    pub(super) kernel: KernelId,
    pub(super) facts: Arc<KernelFacts>,
    /// Dynamic shared memory that it may ask for.
    pub(super) dynamic_max: u32,
    /// Preferred share of shared memory in per cent; −1: as the driver likes.
    pub(super) carveout: i32,
}

/// An image that was refused: the code, and why in words.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) why: String,
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self { code, why: String::new() }
    }
}

impl State {
    /// `cuModuleLoadData`.
    pub(super) fn load(&mut self, bytes: &[u8]) -> Result<Handle, Refused> {
        let context = self.context()?;
        let text = image::ptx(bytes).map_err(|error| self.refused_image(&error))?;
        let program = self.parse(&text)?;
        let code_bytes = (text.len() as u64).next_multiple_of(CODE_UNIT);
        self.allocator.budget.take(code_bytes)?;
        let variables = match self.place_variables(&program, context) {
            Ok(variables) => variables,
            Err(code) => {
                self.allocator.budget.give(code_bytes);
                return Err(code.into());
            }
        };
        self.counts.modules.add(text.len() as u64);
        let module = Module { context, program: Arc::new(program), variables, functions: BTreeMap::new(), code_bytes };
        Ok(self.modules.add(module))
    }

    fn refused_image(&mut self, error: &ImageError) -> Refused {
        let why = error.to_string();
        let code = match error {
            ImageError::Invalid(_) => Code::INVALID_IMAGE,
            ImageError::NothingForThisCard => Code::NO_BINARY_FOR_GPU,
            ImageError::MachineCodeOnly => self.unsupported(why.clone()),
            ImageError::NotAscii { .. } => Code::INVALID_PTX,
        };
        say(&format!("module refused ({}): {why}", code.0));
        Refused { code, why }
    }

    fn parse(&mut self, text: &str) -> Result<Program, Refused> {
        if let Some(newer) = newer_than(text, self.version()) {
            return Err(Refused { code: Code::UNSUPPORTED_PTX_VERSION, why: newer });
        }
        Program::parse(text).map_err(|error| {
            let why = error.to_string();
            let code = match error.kind {
                LoadErrorKind::NoImage => Code::INVALID_IMAGE,
                LoadErrorKind::InvalidPtx => Code::INVALID_PTX,
                LoadErrorKind::UnsupportedVersion => Code::UNSUPPORTED_PTX_VERSION,
                LoadErrorKind::Unsupported => self.unsupported(format!("a module's PTX: {why}")),
            };
            say(&format!("module refused ({}): {why}", code.0));
            Refused { code, why }
        })
    }

    /// Each variable becomes a block that no call frees. When the device has too little, none is left behind.
    fn place_variables(&mut self, program: &Program, owner: Handle) -> Answer<Arc<[Address]>> {
        let mut placed = Vec::new();
        for variable in program.variables() {
            match self.allocator.plain(variable.len.max(1), owner, true) {
                Ok(address) => placed.push(address),
                Err(code) => {
                    placed.into_iter().for_each(|address| self.allocator.free_of_module(address));
                    return Err(code);
                }
            }
        }
        for (variable, address) in program.variables().iter().zip(&placed) {
            let mut bytes = variable.bytes.clone();
            for (offset, index, plus) in &variable.addresses {
                let (at, to) = (*offset as usize, placed.get(*index).copied().unwrap_or_default().wrapping_add(*plus));
                if let Some(place) = bytes.get_mut(at..at + 8) {
                    place.copy_from_slice(&to.to_le_bytes());
                }
            }
            self.memory.insert(*address, variable.len, BlockName::Variable(variable.name.clone()));
            let _ = self.memory.write(*address, &bytes);
        }
        Ok(placed.into())
    }

    fn module(&mut self, handle: Handle) -> Answer<&Module> {
        self.initialised()?;
        if handle != 0
            && let Err(why @ Stale::Invented) = self.modules.get(handle)
        {
            return Err(self.stale("module", handle, why));
        }
        self.modules.get(handle).map_err(|_| Code::INVALID_HANDLE)
    }

    /// `cuModuleUnload`, which waits for all work.
    pub(super) fn unload(&mut self, handle: Handle) -> Answer {
        self.module(handle)?;
        self.context()?;
        let module = self.modules.remove(handle).map_err(|_| Code::INVALID_HANDLE)?;
        self.functions.drain(|function| function.module == handle);
        for address in module.variables.iter() {
            self.allocator.free_of_module(*address);
            let _ = self.memory.remove(*address);
        }
        self.allocator.budget.give(module.code_bytes);
        Ok(())
    }

    /// `cuModuleGetFunction`: the same handle for the same name. A module knows its context, so none need be current:
    /// candle asks in threads that have none yet.
    pub(super) fn get_function(&mut self, handle: Handle, name: Option<&str>) -> Answer<Handle> {
        self.module(handle)?;
        self.usable()?;
        let name = name.filter(|name| !name.is_empty()).ok_or(Code::INVALID_VALUE)?;
        let module = self.module(handle)?;
        if let Some(function) = module.functions.get(name) {
            return Ok(*function);
        }
        let kernel = module.program.kernel(name).ok_or(Code::NOT_FOUND)?;
        let facts = Arc::new(module.program.facts(kernel));
        let dynamic_max = SHARED_DEFAULT.saturating_sub(facts.static_shared);
        let function = self.functions.add(Function { module: handle, kernel, facts, dynamic_max, carveout: -1 });
        if let Ok(module) = self.modules.get_mut(handle) {
            module.functions.insert(name.to_owned(), function);
        }
        Ok(function)
    }

    /// `cuModuleGetGlobal`: address and length of a variable.
    pub(super) fn get_global(&mut self, handle: Handle, name: Option<&str>) -> Answer<(Address, u64)> {
        self.module(handle)?;
        self.context()?;
        let name = name.ok_or(Code::INVALID_VALUE)?;
        let module = self.module(handle)?;
        let variable = module.program.variables().iter().zip(module.variables.iter()).find(|(it, _)| it.name == name);
        match variable {
            Some((variable, address)) => Ok((*address, variable.len)),
            None if module.program.kernel(name).is_some() => Err(Code::INVALID_VALUE),
            None => Err(Code::NOT_FOUND),
        }
    }

    pub(super) fn function_count(&mut self, handle: Handle) -> Answer<u32> {
        let count = self.module(handle)?.program.kernels().count();
        self.context()?;
        Ok(count as u32)
    }

    /// The function of a handle. A null or destroyed one is told before anything else that is wrong, and no context need
    /// be current, because its module has one.
    pub(super) fn function(&mut self, handle: Handle) -> Answer<&mut Function> {
        self.initialised()?;
        match self.functions.get(handle) {
            Ok(_) => {}
            Err(Stale::Destroyed) => return Err(Code::INVALID_HANDLE),
            Err(_) if handle == 0 => return Err(Code::INVALID_HANDLE),
            Err(why) => return Err(self.stale("function", handle, why)),
        }
        self.usable()?;
        self.functions.get_mut(handle).map_err(|_| Code::INVALID_HANDLE)
    }

    /// `cuFuncGetAttribute`, by its number in `CUfunction_attribute`.
    pub(super) fn function_attribute(&mut self, handle: Handle, attribute: i32) -> Answer<i32> {
        let function = self.function(handle)?;
        let facts = &function.facts;
        Ok(match attribute {
            0 => super::launch::threads_max(facts) as i32,
            1 => facts.static_shared as i32,
            // Constant memory that the compiler adds, and whether a cache mode was compiled in.
            2 | 7 => 0,
            3 => facts.local_bytes as i32,
            4 => facts.registers.min(super::launch::REGISTERS_MAX) as i32,
            5 | 6 => 75,
            8 => function.dynamic_max as i32,
            9 => function.carveout,
            // Clusters, which came after Turing.
            10..=15 => 0,
            _ => return Err(Code::INVALID_VALUE),
        })
    }

    /// `cuFuncSetAttribute`: dynamic shared memory, or the preferred share of it.
    pub(super) fn set_function_attribute(&mut self, handle: Handle, attribute: i32, value: i32) -> Answer {
        let function = self.function(handle)?;
        match attribute {
            8 if (0..=(SHARED_MAX - function.facts.static_shared.min(SHARED_MAX)) as i32).contains(&value) => {
                function.dynamic_max = value as u32;
            }
            9 if (-1..=100).contains(&value) => function.carveout = value,
            _ => return Err(Code::INVALID_VALUE),
        }
        Ok(())
    }

    /// `cuFuncGetParamInfo`: offset and size of a parameter.
    pub(super) fn parameter(&mut self, handle: Handle, index: u64) -> Answer<(u64, u64)> {
        let facts = &self.function(handle)?.facts;
        let parameter = usize::try_from(index).ok().and_then(|index| facts.parameters.get(index));
        parameter.map(|it| (u64::from(it.offset), u64::from(it.size))).ok_or(Code::INVALID_VALUE)
    }
}

/// Why a driver that says it is older cannot compile this text: each minor release of CUDA has its own PTX, CUDA 13.0 has
/// 9.0, and 12.x has 8.x.
fn newer_than(text: &str, driver: i32) -> Option<String> {
    if driver >= super::attributes::DRIVER_VERSION {
        return None;
    }
    let knows = (driver / 1000 - 4, driver % 1000 / 10);
    let version = text.split_once(".version")?.1.split_whitespace().next()?;
    let (major, minor) = version.split_once('.')?;
    let wants = (major.parse().ok()?, minor.parse().ok()?);
    (wants > knows).then(|| format!("Unsupported .version {version}; current version is '{}.{}'", knows.0, knows.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_driver_knows_older_ptx() {
        assert_eq!(newer_than(".version 9.0\n", 13_000), None);
        assert_eq!(newer_than("// x\n.version 8.8\n", 12_080), None);
        assert!(newer_than("// x\n.version 9.0\n", 12_080).is_some());
        assert_eq!(newer_than("nothing", 12_080), None);
    }
}
