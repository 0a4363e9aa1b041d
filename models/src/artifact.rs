//! Which model an artifact directory holds: by `MLmodel` where MLflow wrote one, otherwise by file names.

use crate::error::LoadError;
use crate::files::ModelFiles;
use crate::mlmodel::Mlmodel;

/// Where the model is and what `MLmodel` says of it.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// File of the ONNX graph.
    pub(crate) file: String,
    pub(crate) mlmodel: Option<Mlmodel>,
}

/// Formats that are known but not run, by file name: exact names first, then endings.
const UNSUPPORTED: [(&str, &str); 7] = [
    ("model.safetensors", "safetensors"),
    ("model.json", "xgboost"),
    ("model.ubj", "xgboost"),
    ("model.xgb", "xgboost"),
    ("model.txt", "lightgbm"),
    ("model.lgb", "lightgbm"),
    ("saved_model.pb", "tensorflow"),
];
const PICKLES: [&str; 8] = [".pkl", ".pickle", ".joblib", ".pt", ".pth", ".cloudpickle", ".dill", ".bin.pkl"];
/// Flavours of MLflow whose model is a pickle.
const PICKLED_FLAVORS: [&str; 6] = ["sklearn", "pytorch", "statsmodels", "pyspark", "spacy", "fastai"];
const FILES_LISTED: usize = 10;

impl Artifact {
    /// Finds the model.
    pub(crate) fn find(files: &ModelFiles) -> Result<Self, LoadError> {
        let mlmodel = files.get("MLmodel").map(|data| Mlmodel::parse(data)).transpose()?;
        let file = match mlmodel.as_ref().and_then(|mlmodel| mlmodel.onnx_file.clone()) {
            Some(file) if files.get(&file).is_some() => file,
            Some(file) => {
                let reason = format!("the onnx flavor names {file:?}, which is not in the artifact");
                return Err(LoadError::Mlmodel { reason });
            }
            None => by_name(files, mlmodel.as_ref())?,
        };
        Ok(Self { file, mlmodel })
    }
}

fn by_name(files: &ModelFiles, mlmodel: Option<&Mlmodel>) -> Result<String, LoadError> {
    if files.get("model.onnx").is_some() {
        return Ok("model.onnx".to_owned());
    }
    // Nothing but the top folder: others hold goldens, examples and code.
    let top: Vec<&str> = files.names().filter(|name| !name.contains('/')).collect();
    let graphs: Vec<&str> = top.iter().copied().filter(|name| has_ending(name, ".onnx")).collect();
    match graphs.as_slice() {
        [one] => return Ok((*one).to_owned()),
        [] => {}
        many => return Err(LoadError::Ambiguous { files: many.iter().map(ToString::to_string).collect() }),
    }
    for (name, format) in UNSUPPORTED {
        if files.get(name).is_some() {
            return Err(LoadError::Unsupported { format, file: name.to_owned() });
        }
    }
    for name in files.names() {
        if PICKLES.iter().any(|ending| has_ending(name, ending)) {
            return Err(LoadError::Pickle { file: name.to_owned() });
        }
    }
    if let Some(mlmodel) = mlmodel {
        for flavor in &mlmodel.flavors {
            if PICKLED_FLAVORS.contains(&flavor.as_str()) || mlmodel.flavors == ["python_function"] {
                return Err(LoadError::Pickle { file: format!("MLmodel (flavor {flavor})") });
            }
        }
    }
    Err(LoadError::NoModel { files: files.names().take(FILES_LISTED).map(str::to_owned).collect() })
}

fn has_ending(name: &str, ending: &str) -> bool {
    name.len() > ending.len() && name.to_ascii_lowercase().ends_with(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], mlmodel: Option<&'static str>, expected: &str) {
        let mut files = ModelFiles::new();
        for name in names {
            files.insert(*name, bytes::Bytes::from_static(b"{}")).unwrap();
        }
        if let Some(text) = mlmodel {
            files.insert("MLmodel", bytes::Bytes::from_static(text.as_bytes())).unwrap();
        }
        let actual = match Artifact::find(&files) {
            Ok(artifact) => artifact.file,
            Err(error) => error.to_string(),
        };
        assert_eq!(actual, expected, "{names:?}");
    }

    #[test]
    fn finds_the_graph() {
        check(&["model.onnx", "other.onnx", "model.pkl"], None, "model.onnx");
        check(&["fraud.onnx", "golden/one.json"], None, "fraud.onnx");
        check(&["net.onnx", "model.onnx"], Some("flavors:\n  onnx:\n    data: net.onnx\n"), "net.onnx");
    }

    #[test]
    fn says_why_there_is_none() {
        check(&["a.onnx", "b.onnx"], None, "several models: a.onnx, b.onnx; an artifact holds one");
        check(
            &["model.safetensors"],
            None,
            "format safetensors (model.safetensors) is not supported; export the model to ONNX",
        );
        check(&["model.ubj"], None, "format xgboost (model.ubj) is not supported; export the model to ONNX");
        check(&["model.txt"], None, "format lightgbm (model.txt) is not supported; export the model to ONNX");
        check(&["README.md"], None, "no model among the files README.md; expected model.onnx");
        check(&[], None, "no model: there are no files; expected model.onnx");
        for pickle in ["model.pkl", "data/model.PTH", "a.joblib", "x.pt", "y.pickle"] {
            let expected =
                format!("{pickle} is a pickle, which can run any code when it is read: export the model to ONNX");
            check(&[pickle], None, &expected);
        }
        check(
            &["code/model.py"],
            Some("flavors:\n  python_function:\n    loader_module: x\n"),
            "MLmodel (flavor python_function) is a pickle, which can run any code when it is read: \
             export the model to ONNX",
        );
        check(
            &["x"],
            Some("flavors: {onnx: {data: ../m.onnx}}"),
            r#"MLmodel: the onnx flavor names "../m.onnx", which is not in the artifact"#,
        );
    }
}
