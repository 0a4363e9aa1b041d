//! What a module's text says, in the text's own order and words.

use super::types::Type;

/// A place in the text, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// Something wrong with the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Position,
    /// What, and what would be right.
    pub words: String,
}

/// A state space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are PTX's own")]
pub enum Space {
    Global,
    Const,
    Shared,
    Local,
    Param,
}

impl Space {
    /// Reads the name without its dot; `.shared::cta` is `.shared`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "global" => Self::Global,
            "const" => Self::Const,
            "shared" | "shared::cta" => Self::Shared,
            "local" => Self::Local,
            "param" | "param::entry" | "param::func" => Self::Param,
            _ => return None,
        })
    }
}

/// A whole text.
#[derive(Debug, Default)]
pub struct Module<'a> {
    /// `.version`, if there is one.
    pub version: Option<(u32, u32)>,
    /// `.target`.
    pub targets: Vec<&'a str>,
    /// `.file`: number and path.
    pub files: Vec<(u32, &'a str)>,
    /// In order.
    pub items: Vec<Item<'a>>,
}

/// What stands at the top of a module.
#[derive(Debug)]
#[expect(missing_docs, reason = "a variable is a variable")]
pub enum Item<'a> {
    Variable(Variable<'a>),
    Function(Function<'a>),
}

/// A variable or a parameter.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    /// Of its name.
    pub at: Position,
    /// Where it lives.
    pub space: Space,
    /// Declared here and defined elsewhere.
    pub external: bool,
    /// Bytes; its type's size unless the text says more.
    pub align: u32,
    /// Of an element.
    pub ty: Type,
    /// The name.
    pub name: &'a str,
    /// How many elements; none for `name[]`.
    pub count: Option<u64>,
    /// What it begins with; missing elements are zero.
    pub initial: Vec<Initial<'a>>,
}

impl Variable<'_> {
    /// Its bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        u64::from(self.ty.bytes()) * self.count.unwrap_or(0)
    }

    /// Without bytes: `name[]`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An element of an initialiser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Initial<'a> {
    /// Bits, to be cut to the type; floats are already in the type's format.
    Bits(u64),
    /// The address of another variable, plus bytes.
    Address(&'a str, i64),
}

/// What calls a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionKind {
    /// A launch.
    Entry,
    /// Another function.
    Device,
}

/// Limits that an entry sets on its launches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// `.reqntid`.
    pub required: Option<[u32; 3]>,
    /// `.maxntid`.
    pub most: Option<[u32; 3]>,
}

/// A kernel or a device function.
#[derive(Debug)]
pub struct Function<'a> {
    /// Of its name.
    pub at: Position,
    /// Who calls it.
    pub kind: FunctionKind,
    /// The name.
    pub name: &'a str,
    /// What it answers.
    pub results: Vec<Variable<'a>>,
    /// What it takes.
    pub parameters: Vec<Variable<'a>>,
    /// On launches.
    pub limits: Limits,
    /// None for a declaration.
    pub body: Option<Vec<Statement<'a>>>,
}

/// A statement of a body.
#[derive(Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Statement<'a> {
    /// Each name with how many registers it stands for, if `<n>` says it.
    Registers {
        at: Position,
        ty: Type,
        names: Vec<(&'a str, Option<u32>)>,
    },
    Variable(Variable<'a>),
    Label {
        at: Position,
        name: &'a str,
    },
    Instruction(Instruction<'a>),
    Block(Vec<Statement<'a>>),
    /// `.loc`: what follows comes from this line of that file.
    Location {
        file: u32,
        line: u32,
    },
}

/// An instruction as written.
#[derive(Debug)]
pub struct Instruction<'a> {
    /// Of the opcode.
    pub at: Position,
    /// The register, and whether it is negated.
    pub guard: Option<(&'a str, bool)>,
    /// Up to the first dot.
    pub opcode: &'a str,
    /// Without dots.
    pub modifiers: Vec<&'a str>,
    /// In order.
    pub operands: Vec<Operand<'a>>,
}

/// An operand as written.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand<'a> {
    /// A register, variable, label, function or constant of PTX.
    Name(&'a str),
    /// A special register with its component: `%tid.x`.
    Member(&'a str, &'a str),
    /// An integer, as its 64 bits.
    Integer(u64),
    /// `0f…`: the bits of an f32.
    Single(u32),
    /// `0d…` or a decimal: the bits of an f64.
    Double(u64),
    /// `[base + offset]`.
    Address(Box<Operand<'a>>, i64),
    /// `{a, b, …}`.
    Vector(Vec<Operand<'a>>),
    /// `d|p`.
    Pair(Box<Operand<'a>>, Box<Operand<'a>>),
    /// `!p`.
    Not(Box<Operand<'a>>),
    /// `(a, b, …)`, of a call.
    List(Vec<Operand<'a>>),
}
