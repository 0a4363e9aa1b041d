//! The graph of a file, with names resolved: what is read is produced before, and by one producer.

use std::collections::{HashMap, HashSet};

use super::interface;
use super::node::{ML, Node, STANDARD};
use super::proto::{GraphProto, ModelProto};
use super::{ops, tensor};
use crate::error::GraphProblem;
use crate::files::ModelFiles;
use crate::signature::Signature;
use crate::tensor::Tensor;

/// Opsets whose rules the lowering knows. Before 7, `Add` and its like had rules of broadcasting of their own.
const STANDARD_OPSETS: (i64, i64) = (7, 25);
const ML_OPSETS: (i64, i64) = (1, 5);

/// A checked graph.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) signature: Signature,
    pub(super) initializers: Vec<(String, Tensor)>,
    /// In an order in which they can run.
    pub(super) nodes: Vec<Node>,
}

impl Graph {
    /// Checks everything that can be checked without running, and reports all of it.
    pub(super) fn parse(model: ModelProto, files: &ModelFiles) -> Result<Self, Vec<GraphProblem>> {
        let Some(graph) = model.graph else {
            return Err(vec![GraphProblem::Empty("the ONNX file holds no graph; export the model again")]);
        };
        let mut problems = Vec::new();
        let mut opsets = HashMap::new();
        for import in &model.opset_import {
            let domain = if import.domain().is_empty() { STANDARD } else { import.domain() };
            opsets.insert(domain.to_owned(), import.version());
        }
        check_opsets(&opsets, &graph, &mut problems);
        let signature = interface::signature(&graph, &mut problems);
        let GraphProto { node, initializer, .. } = graph;
        let mut initializers = Vec::with_capacity(initializer.len());
        for proto in initializer {
            let name = proto.name().to_owned();
            match tensor::read(proto, files) {
                Ok(tensor) => initializers.push((name, tensor)),
                Err(reason) => problems.push(GraphProblem::Tensor { name, reason }),
            }
        }
        let mut nodes = Vec::with_capacity(node.len());
        for (index, proto) in node.into_iter().enumerate() {
            match Node::parse(proto, index, &opsets, files) {
                Ok(node) => nodes.push(node),
                Err(problem) => problems.push(problem),
            }
        }
        check_ops(&nodes, &mut problems);
        if problems.is_empty() {
            check_names(&signature, &initializers, &nodes, &mut problems);
        }
        if problems.is_empty() { Ok(Self { signature, initializers, nodes }) } else { Err(problems) }
    }
}

fn check_opsets(opsets: &HashMap<String, i64>, graph: &GraphProto, problems: &mut Vec<GraphProblem>) {
    for (domain, (min, max)) in [(STANDARD, STANDARD_OPSETS), (ML, ML_OPSETS)] {
        let used = graph.node.iter().any(|n| n.domain() == domain || (domain == STANDARD && n.domain().is_empty()));
        let version = opsets.get(domain).copied();
        if used && !version.is_some_and(|version| (min..=max).contains(&version)) {
            problems.push(GraphProblem::Opset { domain: domain.to_owned(), version: version.unwrap_or(0), min, max });
        }
    }
}

fn check_ops(nodes: &[Node], problems: &mut Vec<GraphProblem>) {
    for node in nodes {
        if ops::lookup(&node.domain, &node.op).is_none() {
            problems.push(GraphProblem::UnsupportedOp {
                op: node.op.clone(),
                node: node.name.to_string(),
                domain: node.domain.clone(),
                opset: node.opset,
                hint: ops::hint(&node.domain, &node.op),
            });
        }
    }
}

fn check_names(
    signature: &Signature,
    initializers: &[(String, Tensor)],
    nodes: &[Node],
    problems: &mut Vec<GraphProblem>,
) {
    let all: HashSet<&str> = nodes.iter().flat_map(|node| &node.outputs).map(String::as_str).collect();
    let mut defined: HashSet<&str> = HashSet::new();
    let inputs = signature.inputs.iter().map(|spec| &*spec.name);
    let sources = inputs.chain(initializers.iter().map(|(name, _)| name.as_str()));
    for name in sources {
        if !defined.insert(name) {
            problems.push(GraphProblem::Duplicate(name.to_owned()));
        }
    }
    for node in nodes {
        for name in node.inputs.iter().filter(|name| !name.is_empty()) {
            if !defined.contains(name.as_str()) {
                problems.push(GraphProblem::Undefined {
                    node: node.name.to_string(),
                    name: name.clone(),
                    later: all.contains(name.as_str()),
                });
            }
        }
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            if !defined.insert(name) {
                problems.push(GraphProblem::Duplicate(name.clone()));
            }
        }
    }
    for output in &signature.outputs {
        if !defined.contains(&*output.name) {
            let reason = "nothing produces it".to_owned();
            problems.push(GraphProblem::Interface { what: "output", name: output.name.to_string(), reason });
        }
    }
}
