//! Our kernels' machine code, loaded once for each device by the thread that owns it, and let go of with that thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::CudaFunction;
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::cuda_backend::{CudaDevice, WrapErr};

/// The kernels of one folder: machine code for a T4, and PTX for what is newer.
pub(crate) struct Module {
    /// The folder's name.
    pub(crate) name: &'static str,
    /// A fatbin.
    pub(crate) image: &'static [u8],
}

type Functions = HashMap<&'static str, CudaFunction>;

thread_local! {
    /// By context and module. A function holds its module, and that its context, so an address is of the same context for
    /// as long as it is a key here.
    static LOADED: RefCell<HashMap<(usize, &'static str), Functions>> = RefCell::default();
}

/// A kernel by name. `names` are all of its module: they are looked up together, when it is loaded.
pub(crate) fn function(
    device: &CudaDevice,
    module: &'static Module,
    names: &'static [&'static str],
    name: &'static str,
) -> Result<CudaFunction> {
    let key = (device.cuda_stream().context().cu_ctx().addr(), module.name);
    LOADED.with_borrow_mut(|loaded| {
        let functions = match loaded.entry(key) {
            Entry::Occupied(functions) => functions.into_mut(),
            Entry::Vacant(place) => place.insert(load(device, module, names)?),
        };
        functions
            .get(name)
            .cloned()
            .ok_or_else(|| candle_core::Error::Msg(format!("{}: no kernel `{name}`", module.name)))
    })
}

fn load(device: &CudaDevice, module: &Module, names: &'static [&'static str]) -> Result<Functions> {
    let stream = device.cuda_stream();
    let loaded = stream.context().load_module(Ptx::from_binary(module.image.to_vec())).w()?;
    names.iter().map(|name| Ok((*name, loaded.load_function(name).w()?))).collect()
}
