//! Golden files: a recorded request, its right answer, and how far from it an answer may be.

use serde::Deserialize;

use crate::oip::{Invalid, Limits, Problems, TensorJson, tensor_count, unique};
use crate::signature::Signature;
use crate::tensor::{Datatype, NamedTensor, Tensor};

/// Differences reported of one comparison.
const DIFFERENCES_MAX: usize = 20;

/// One recorded request and its right answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    /// The inputs to send.
    pub inputs: Vec<NamedTensor>,
    /// The outputs that must come back; others may come too.
    pub outputs: Vec<NamedTensor>,
    /// How far numbers may be apart.
    pub tolerance: Tolerance,
}

/// `|actual - expected| <= absolute + relative * |expected|`, for floats. Everything else must be equal.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Near zero.
    #[serde(default = "Tolerance::absolute_default")]
    pub absolute: f64,
    /// Away from zero.
    #[serde(default = "Tolerance::relative_default")]
    pub relative: f64,
}

/// Why a golden file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// Larger than [`Golden::FILE_BYTES_MAX`].
    #[error("{actual} bytes are over the limit of {}", Golden::FILE_BYTES_MAX)]
    TooLarge {
        /// Its size.
        actual: usize,
    },
    /// Not JSON, or not of the right form; the text names line and column.
    #[error("this is not a golden file: {0}; write {{request, response, tolerance}} with finite numbers")]
    Json(#[from] serde_json::Error),
    /// Tensors of the request or the response that are wrong, all of them.
    #[error(transparent)]
    Tensors(#[from] Invalid),
    /// A tolerance that is negative or not a number.
    #[error("tolerance {0} is not a number of 0 or more")]
    Tolerance(f64),
    /// Nothing to compare.
    #[error("the response has no outputs")]
    Empty,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File<'a> {
    #[serde(borrow)]
    request: Request<'a>,
    #[serde(borrow)]
    response: Response<'a>,
    #[serde(default)]
    tolerance: Tolerance,
}

/// A recorded request may hold an id and parameters, which are not sent.
#[derive(Deserialize)]
struct Request<'a> {
    #[serde(borrow)]
    inputs: Vec<TensorJson<'a>>,
}

/// A recorded response may hold model name, version and id, which are not compared.
#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    outputs: Vec<TensorJson<'a>>,
}

impl Tolerance {
    const fn absolute_default() -> f64 {
        1e-5
    }

    const fn relative_default() -> f64 {
        1e-4
    }
}

impl Default for Tolerance {
    fn default() -> Self {
        Self { absolute: Self::absolute_default(), relative: Self::relative_default() }
    }
}

impl Golden {
    /// Bytes of one golden file.
    pub const FILE_BYTES_MAX: usize = 16 << 20;

    /// Whether an artifact's file of this name is a golden file: `golden/*.json`.
    #[must_use]
    pub fn is_file(name: &str) -> bool {
        name.strip_prefix("golden/").is_some_and(|file| !file.contains('/') && file.ends_with(".json"))
    }

    /// Reads a golden file.
    ///
    /// # Errors
    /// What is wrong and where.
    pub fn parse(text: &[u8]) -> Result<Self, GoldenError> {
        if text.len() > Self::FILE_BYTES_MAX {
            return Err(GoldenError::TooLarge { actual: text.len() });
        }
        let file: File<'_> = serde_json::from_slice(text)?;
        for limit in [file.tolerance.absolute, file.tolerance.relative] {
            if !(limit.is_finite() && limit >= 0.0) {
                return Err(GoldenError::Tolerance(limit));
            }
        }
        if file.response.outputs.is_empty() {
            return Err(GoldenError::Empty);
        }
        let mut problems = Problems::default();
        let inputs = decode("input", &file.request.inputs, &mut problems)?;
        let outputs = decode("output", &file.response.outputs, &mut problems)?;
        Ok(problems.finish(Self { inputs, outputs, tolerance: file.tolerance })?)
    }

    /// Reads a golden file of a model with this signature; the inputs are then in the signature's order. What can be
    /// told without running the model: `sluice push` refuses with these words what a server would refuse.
    ///
    /// # Errors
    /// Everything that is wrong with the file, or with its inputs for this model.
    pub fn fitting(text: &[u8], signature: &Signature) -> Result<Self, Vec<String>> {
        let mut golden = Self::parse(text).map_err(|error| vec![error.to_string()])?;
        let checked = signature.check(&golden.inputs);
        checked.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        golden.inputs.sort_by_key(|input| signature.inputs.iter().position(|spec| spec.name == input.name));
        Ok(golden)
    }

    /// Everything wrong with an answer: what [`Golden::compare`] says, and NaN or Inf in any output, asked for or not.
    #[must_use]
    pub fn problems(&self, outputs: &[NamedTensor]) -> Vec<String> {
        let non_finite = outputs.iter().filter(|output| output.tensor.non_finite() > 0);
        let non_finite = non_finite.map(|output| format!("output '{}' holds NaN or Inf", output.name));
        non_finite.chain(self.compare(outputs).err().unwrap_or_default()).collect()
    }

    /// Whether these outputs are the right answer.
    ///
    /// # Errors
    /// Each difference: output, index, expected, actual and what was allowed. At most 20.
    pub fn compare(&self, outputs: &[NamedTensor]) -> Result<(), Vec<String>> {
        let mut differences = Vec::new();
        for expected in &self.outputs {
            match outputs.iter().find(|output| output.name == expected.name) {
                None => differences.push(format!("output '{}' is missing", expected.name)),
                Some(actual) => self.compare_one(&expected.name, &expected.tensor, &actual.tensor, &mut differences),
            }
        }
        differences.truncate(DIFFERENCES_MAX);
        if differences.is_empty() { Ok(()) } else { Err(differences) }
    }

    fn compare_one(&self, name: &str, expected: &Tensor, actual: &Tensor, differences: &mut Vec<String>) {
        if expected.datatype() != actual.datatype() || expected.shape() != actual.shape() {
            differences.push(format!(
                "output '{name}': expected {} {:?}, got {} {:?}",
                expected.datatype(),
                expected.shape(),
                actual.datatype(),
                actual.shape()
            ));
            return;
        }
        let float = matches!(expected.datatype(), Datatype::Fp32 | Datatype::Fp64 | Datatype::Fp16 | Datatype::Bf16);
        if !float {
            compare_exactly(name, expected, actual, differences);
            return;
        }
        let (Some(expected), Some(actual)) = (expected.to_f64(), actual.to_f64()) else { return };
        let Tolerance { absolute, relative } = self.tolerance;
        for (index, (expected, actual)) in expected.iter().zip(&actual).enumerate() {
            let allowed = absolute + relative * expected.abs();
            // Written so that NaN is a difference.
            let close = (actual - expected).abs() <= allowed;
            if !close && differences.len() < DIFFERENCES_MAX {
                differences
                    .push(format!("output '{name}'[{index}]: expected {expected}, got {actual}, allowed ±{allowed:e}"));
            }
        }
    }
}

/// The tensors that are right, `problems` having the others; `what` is `input` or `output`.
fn decode(what: &'static str, wire: &[TensorJson<'_>], problems: &mut Problems) -> Result<Vec<NamedTensor>, Invalid> {
    let limits = Limits::default();
    tensor_count(what, wire.len(), limits)?;
    unique(what, wire.iter().map(|tensor| &*tensor.name), problems);
    Ok(wire.iter().filter_map(|tensor| problems.take(tensor.decode(what, limits))).collect())
}

/// By bytes, since large whole numbers do not fit a float.
fn compare_exactly(name: &str, expected: &Tensor, actual: &Tensor, differences: &mut Vec<String>) {
    if expected.datatype() == Datatype::Bytes {
        for (index, (expected, actual)) in expected.byte_elements().zip(actual.byte_elements()).enumerate() {
            if expected != actual && differences.len() < DIFFERENCES_MAX {
                let (expected, actual) = (String::from_utf8_lossy(expected), String::from_utf8_lossy(actual));
                differences.push(format!("output '{name}'[{index}]: expected {expected:?}, got {actual:?}"));
            }
        }
        return;
    }
    let width = expected.datatype().size().unwrap_or(1);
    let pairs = expected.data().chunks_exact(width).zip(actual.data().chunks_exact(width));
    let signed = matches!(expected.datatype(), Datatype::Int8 | Datatype::Int16 | Datatype::Int32 | Datatype::Int64);
    for (index, (expected, actual)) in pairs.enumerate() {
        if expected != actual && differences.len() < DIFFERENCES_MAX {
            let (expected, actual) = (whole(expected, signed), whole(actual, signed));
            differences.push(format!("output '{name}'[{index}]: expected {expected}, got {actual}"));
        }
    }
}

/// A little-endian whole number of up to 64 bits.
fn whole(bytes: &[u8], signed: bool) -> i128 {
    let negative = signed && bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let filling = if negative { 0xff } else { 0 };
    let mut wide = [filling; 16];
    wide.iter_mut().zip(bytes).for_each(|(wide, byte)| *wide = *byte);
    i128::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
        "request": {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1], "data": [1]}]},
        "response": {"model_name": "m", "outputs": [
            {"name": "p", "datatype": "FP32", "shape": [3], "data": [0.5, 100.0, 0.0]},
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["good"]},
            {"name": "n", "datatype": "INT64", "shape": [1], "data": [9007199254740993]}]},
        "tolerance": {"absolute": 0.001, "relative": 0.01}}"#;

    fn outputs(p: [f32; 3], label: &str, n: i64) -> Vec<NamedTensor> {
        let floats: Vec<u8> = p.iter().flat_map(|v| v.to_le_bytes()).collect();
        let named = |name: &str, tensor| NamedTensor { name: name.into(), tensor };
        vec![
            named("n", Tensor::new(Datatype::Int64, vec![1], n.to_le_bytes().to_vec().into()).unwrap()),
            named("p", Tensor::new(Datatype::Fp32, vec![3], floats.into()).unwrap()),
            named("label", Tensor::from_elements(vec![1], &[label]).unwrap()),
        ]
    }

    #[test]
    fn answers_within_tolerance_are_right() {
        let golden = Golden::parse(FILE.as_bytes()).unwrap();
        assert_eq!(golden.compare(&outputs([0.505, 101.0, 0.0009], "good", 9007199254740993)), Ok(()));
    }

    #[test]
    fn the_sample_in_the_documents_is_a_golden_file() {
        let page = include_str!("../../docs/artifacts.md");
        let sample = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let golden = Golden::parse(sample.as_bytes()).unwrap();
        assert_eq!((golden.inputs.len(), golden.outputs.len()), (1, 2));
        assert_eq!(golden.tolerance, Tolerance::default(), "the page says that these are the defaults");
    }

    #[test]
    fn each_difference_is_told() {
        let golden = Golden::parse(FILE.as_bytes()).unwrap();
        let differences = golden.compare(&outputs([0.75, f32::NAN, 0.0], "bad", -9007199254740992)).unwrap_err();
        assert_eq!(
            differences,
            [
                "output 'p'[0]: expected 0.5, got 0.75, allowed ±6e-3",
                "output 'p'[1]: expected 100, got NaN, allowed ±1.001e0",
                "output 'label'[0]: expected \"good\", got \"bad\"",
                "output 'n'[0]: expected 9007199254740993, got -9007199254740992",
            ]
        );
        assert_eq!(golden.compare(&outputs([0.5, 100.0, 0.0], "good", 9007199254740993)[..2]).unwrap_err().len(), 1);
    }

    #[test]
    fn a_file_fits_a_signature_or_says_why_not() {
        let spec = |name: &str| crate::TensorSpec {
            name: name.into(),
            datatype: Datatype::Fp32,
            shape: vec![crate::Dim::Any],
        };
        let signature = |names: &[&str]| Signature {
            inputs: names.iter().map(|name| spec(name)).collect(),
            outputs: Vec::new(),
            batched: true,
        };
        let two = FILE.replace(
            r#"[{"name": "x","#,
            r#"[{"name": "w", "datatype": "FP32", "shape": [1], "data": [2]}, {"name": "x","#,
        );
        let golden = Golden::fitting(two.as_bytes(), &signature(&["x", "w"])).unwrap();
        assert_eq!(golden.inputs.iter().map(|input| &*input.name).collect::<Vec<_>>(), ["x", "w"], "in its order");
        let told = Golden::fitting(two.as_bytes(), &signature(&["x", "y"])).unwrap_err().join("; ");
        assert!(told.contains("'w'") && told.contains("'y'"), "{told}");
        assert_eq!(Golden::fitting(b"{", &signature(&[])).unwrap_err().len(), 1);
    }

    #[test]
    fn nan_is_a_problem_where_nobody_asked_for_the_output_too() {
        let golden = Golden::parse(FILE.as_bytes()).unwrap();
        assert_eq!(golden.problems(&outputs([0.5, 100.0, 0.0], "good", 9007199254740993)), Vec::<String>::new());
        let named = |name: &str, value: f32| NamedTensor {
            name: name.into(),
            tensor: Tensor::new(Datatype::Fp32, vec![1], value.to_le_bytes().to_vec().into()).unwrap(),
        };
        let mut more = outputs([0.5, 100.0, 0.0], "good", 9007199254740993);
        more.push(named("extra", f32::NAN));
        assert_eq!(golden.problems(&more), ["output 'extra' holds NaN or Inf"]);
    }

    #[test]
    fn bad_files_are_refused() {
        let check = |from: &str, to: &str, expected: &str| {
            let error = Golden::parse(FILE.replace(from, to).as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("0.001", "-1", "tolerance -1 is not a number of 0 or more");
        check("\"tolerance\"", "\"tolerence\"", "unknown field `tolerence`");
        check("[1]}]}", "[1, 2]}]}", "input 'x': shape [1] needs 1 elements, but 2 were given");
        check(r#", "data": [1]}]}"#, "}]}", "input 'x' has no data");
        assert!(Golden::parse(b"{").is_err());
        assert!(matches!(
            Golden::parse(br#"{"request": {"inputs": []}, "response": {"outputs": []}}"#),
            Err(GoldenError::Empty)
        ));
    }
}
