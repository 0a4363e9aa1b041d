//! PTX text as a faithful tree, positions kept. Knows nothing of what instructions mean.

mod lexer;
mod parser;
mod tree;
mod types;

pub use parser::parse;
pub use tree::{
    Function, FunctionKind, Initial, Instruction, Item, Limits, Module, Operand, Position, Problem, Space, Statement,
    Variable,
};
pub use types::Type;
