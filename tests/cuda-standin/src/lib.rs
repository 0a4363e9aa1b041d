//! Stands in for the CUDA driver where there is no GPU: it runs the PTX that would go to a T4 on the CPU, and checks what
//! a GPU does not. Never part of the product.
//!
//! Layers, lowest first; dependencies point down only:
//!
//! | module | what |
//! | --- | --- |
//! | [`report`] | what a check found: kind, kernel, block, thread, line |
//! | [`memory`] | blocks of bytes at made-up addresses, and which bytes were written |
//! | [`ptx`] | text to a faithful tree, positions kept |
//! | `arith` | what each instruction computes, for 32 lanes at once |
//! | [`program`] | tree to a typed, verified program with few registers |
//! | [`exec`] | runs one launch, warp by warp; counts; checks |
//! | [`image`] | what a module is loaded from: the PTX in it |
//! | [`count`] | sums of what was done, as JSON. Never a time |
//! | [`fault`] | planned faults |
//! | [`driver`] | what a T4's driver would answer, behind the functions of `cuda.h` |
//! | `blas`, `rand` | cuBLAS and cuRAND as far as they are called |
//!
//! One library has the functions of all three: [`install`] gives it their names.
//!
//! | variable | means |
//! | --- | --- |
//! | `CUDA_STANDIN_FAULTS` | faults that are to happen: [`fault`] |
//! | `CUDA_STANDIN_COUNTS` | a file for the counts, written when the process ends; `%p` is the process's number |
//! | `CUDA_STANDIN_REPORT` | a file for the findings, likewise; each is also said on stderr when it is found |
//! | `CUDA_VISIBLE_DEVICES`, `CUDA_LAUNCH_BLOCKING` | as for a real driver |

mod arith;
mod blas;
mod border;
pub mod count;
pub mod driver;
pub mod exec;
pub mod fault;
pub mod image;
pub mod install;
pub mod memory;
pub mod program;
pub mod ptx;
mod rand;
pub mod report;
