//! The least of ONNX's protobuf that a graph of a few nodes needs, by field number: models for tests.

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, body: &[u8]) -> Vec<u8> {
    [&varint(field << 3 | 2)[..], &varint(body.len() as u64), body].concat()
}

/// A tensor of any number of rows of one element: FP32, or INT64 where its name says that it holds ids or positions.
fn value(field: u64, name: &str) -> Vec<u8> {
    let datatype = if ["ids", "position"].contains(&name) { 7 } else { 1 };
    let any = message(1, &message(2, b"rows"));
    let one = message(1, &number(1, 1));
    let tensor = [number(1, datatype), message(2, &[any, one].concat())].concat();
    message(field, &[message(1, name.as_bytes()), message(2, &message(1, &tensor))].concat())
}

fn node((op, inputs, output): &(&str, [&str; 2], &str)) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|input| message(1, input.as_bytes()));
    let body = inputs.chain(message(2, output.as_bytes())).chain(message(4, op.as_bytes()));
    message(1, &body.collect::<Vec<u8>>())
}

/// A model; the constant `zero` is 0.
pub(crate) fn model(inputs: &[&str], nodes: &[(&str, [&str; 2], &str)], outputs: &[&str]) -> Vec<u8> {
    let zero = [number(1, 1), number(2, 1), message(4, &0_f32.to_le_bytes()), message(8, b"zero")].concat();
    let graph: Vec<u8> = nodes
        .iter()
        .map(node)
        .chain([message(2, b"graph"), message(5, &zero)])
        .chain(inputs.iter().map(|name| value(11, name)))
        .chain(outputs.iter().map(|name| value(12, name)))
        .flatten()
        .collect();
    [number(1, 8), message(7, &graph), message(8, &number(2, 17))].concat()
}
