//! Graphs, which are not built: each call says so.

use super::call;
use crate::driver::code::Code;
use crate::driver::handles::Handle;
use std::ffi::c_int;

/// No graph was ever made, so a handle of one is null or wrong.
fn refuse(name: &'static str, handle: Handle) -> c_int {
    call(name, |state| {
        state.initialised()?;
        match handle {
            0 => Err(Code::INVALID_VALUE),
            _ => Err(state.unsupported(format!("{name}: graphs are not built"))),
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphInstantiateWithFlags(_exec: *mut Handle, graph: Handle, _flags: u64) -> c_int {
    refuse("cuGraphInstantiateWithFlags", graph)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphLaunch(exec: Handle, _stream: Handle) -> c_int {
    refuse("cuGraphLaunch", exec)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphUpload(exec: Handle, _stream: Handle) -> c_int {
    refuse("cuGraphUpload", exec)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphExecDestroy(exec: Handle) -> c_int {
    refuse("cuGraphExecDestroy", exec)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphDestroy(graph: Handle) -> c_int {
    refuse("cuGraphDestroy", graph)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn cuGraphGetNodes(graph: Handle, _nodes: *mut Handle, _count: *mut usize) -> c_int {
    refuse("cuGraphGetNodes", graph)
}
