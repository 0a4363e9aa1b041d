//! A checked graph to a plan, node by node.

use std::collections::HashMap;
use std::sync::Arc;

use super::graph::Graph;
use super::node::Node;
use super::ops;
use crate::error::{GraphProblem, OpError};
use crate::plan::{Arg, Builder, Op, Plan, Value};
use crate::signature::Signature;
use crate::tensor::Tensor;

/// Lowers every node and reports every node that cannot be.
pub(super) fn lower(graph: Graph) -> Result<(Signature, Plan), Vec<GraphProblem>> {
    let mut problems = Vec::new();
    let mut builder = Builder::default();
    let mut values: HashMap<String, Arg> = HashMap::new();
    for spec in &graph.signature.inputs {
        values.insert(spec.name.to_string(), builder.input(spec.name.clone(), spec.datatype));
    }
    for (name, tensor) in graph.initializers {
        match constant(&mut builder, &tensor) {
            Ok(arg) => {
                values.insert(name, arg);
            }
            Err(error) => problems.push(GraphProblem::Tensor { name, reason: error.to_string() }),
        }
    }
    for node in &graph.nodes {
        let Some(rule) = ops::lookup(&node.domain, &node.op) else { continue };
        // What a failed node would have produced is unknown; its readers would only repeat its failure.
        if node.inputs.iter().any(|name| !name.is_empty() && !values.contains_key(name)) {
            continue;
        }
        let mut lowering = Lowering { node, builder: &mut builder, values: &mut values };
        if let Err(reason) = rule(&mut lowering) {
            let (op, node) = (node.op.clone(), node.name.to_string());
            problems.push(GraphProblem::Node { op, node, reason });
        }
    }
    let mut outputs = Vec::new();
    for output in &graph.signature.outputs {
        match values.get(&*output.name) {
            Some(arg) => outputs.push((output.name.clone(), *arg)),
            None if problems.is_empty() => {
                let (name, reason) = (output.name.to_string(), "nothing computes it".to_owned());
                problems.push(GraphProblem::Interface { what: "output", name, reason });
            }
            None => {}
        }
    }
    if problems.is_empty() { Ok((graph.signature, Plan::new(builder, outputs))) } else { Err(problems) }
}

fn constant(builder: &mut Builder, tensor: &Tensor) -> Result<Arg, OpError> {
    let value = Value::Host(tensor.clone()).upload()?;
    Ok(builder.constant(value))
}

/// One node being lowered: its operands as values of the plan, and where its outputs go.
pub(super) struct Lowering<'a> {
    pub(super) node: &'a Node,
    builder: &'a mut Builder,
    values: &'a mut HashMap<String, Arg>,
}

/// A rule's answer: what is wrong, in words.
pub(super) type Lowered = Result<(), String>;

impl Lowering<'_> {
    /// An operand that must be there.
    pub(super) fn operand(&self, index: usize) -> Result<Arg, String> {
        match self.optional(index) {
            Arg::Absent => Err(format!("operand {index} is missing")),
            arg => Ok(arg),
        }
    }

    /// An operand, or [`Arg::Absent`].
    pub(super) fn optional(&self, index: usize) -> Arg {
        let name = self.node.inputs.get(index).map_or("", String::as_str);
        self.values.get(name).copied().unwrap_or(Arg::Absent)
    }

    /// Every operand in order.
    pub(super) fn operands(&self) -> Vec<Arg> {
        (0..self.node.inputs.len()).map(|index| self.optional(index)).collect()
    }

    /// What an operand holds, where that is known now.
    pub(super) fn known(&self, arg: Arg) -> Option<&Value> {
        self.builder.value(arg)
    }

    /// Whole numbers of an optional operand that must be known now; `None` where it is absent.
    pub(super) fn known_ints(&self, index: usize, what: &str) -> Result<Option<Vec<i64>>, String> {
        match self.optional(index) {
            Arg::Absent => Ok(None),
            arg => match self.known(arg) {
                Some(value) => value.to_ints("constant").map(Some).map_err(|error| format!("{what}: {error}")),
                None => Err(format!("{what} must be constant")),
            },
        }
    }

    /// A single number of an optional operand that must be known now.
    pub(super) fn known_number(&self, index: usize, what: &str) -> Result<Option<f64>, String> {
        match self.optional(index) {
            Arg::Absent => Ok(None),
            arg => {
                let value = self.known(arg).ok_or_else(|| format!("{what} must be constant"))?;
                let numbers = value.download(None).ok().and_then(|tensor| tensor.to_f64()).unwrap_or_default();
                match numbers.as_slice() {
                    [number] => Ok(Some(*number)),
                    _ => Err(format!("{what} must be one number, not shape {:?}", value.dims())),
                }
            }
        }
    }

    /// Adds a constant.
    pub(super) fn constant(&mut self, tensor: &Tensor) -> Result<Arg, String> {
        constant(self.builder, tensor).map_err(|error| error.to_string())
    }

    /// Adds a constant of F32 numbers.
    pub(super) fn floats(&mut self, values: &[f32], shape: Vec<usize>) -> Result<Arg, String> {
        let data: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = Tensor::new(crate::Datatype::Fp32, shape, data.into()).map_err(|error| error.to_string())?;
        self.constant(&tensor)
    }

    /// Adds a constant list of whole numbers.
    pub(super) fn ints(&mut self, values: &[i64]) -> Result<Arg, String> {
        let value = Value::ints(values.to_vec()).map_err(|error| error.to_string())?;
        Ok(self.builder.constant(value))
    }

    /// Adds a step.
    pub(super) fn push(&mut self, op: Op, args: &[Arg]) -> Result<Arg, String> {
        let name: Arc<str> = self.node.name.clone();
        self.builder.push(&name, op, args).map_err(|error| error.to_string())
    }

    /// Names a value as an output of the node.
    pub(super) fn output(&mut self, index: usize, arg: Arg) {
        if let Some(name) = self.node.outputs.get(index).filter(|name| !name.is_empty()) {
            self.values.insert(name.clone(), arg);
        }
    }

    /// One op of every operand to the first output, the most usual rule.
    pub(super) fn simple(&mut self, op: Op, operands: usize) -> Lowered {
        let args = (0..operands).map(|index| self.operand(index)).collect::<Result<Vec<_>, _>>()?;
        let out = self.push(op, &args)?;
        self.output(0, out);
        Ok(())
    }
}
