//! What the registry knows of the version that a file is bumped to.

use config::{BumpTarget, Digest, StorageUri, Values};

use crate::cli::exit::Failure;
use crate::registry::{DIGEST_TAG, LABEL_TAG, Mlflow, ModelVersion, RegistryError, STORAGE_URI_TAG};

/// Versions listed where the right one is not there.
const LISTED: usize = 10;

/// `asked` with number, run, place and digest, each where the command line did not give it.
pub(super) async fn filled(mlflow: &Mlflow, values: &Values, asked: BumpTarget) -> Result<BumpTarget, Failure> {
    let Some(name) = values.model.registry.as_ref().map(|registry| registry.name.clone()) else {
        let failure = Failure::input("the file has no model.registry that could be filled in");
        return Err(failure.hint("write `registry: {type: mlflow, name: NAME, version: 1}` below model, once"));
    };
    let label = asked.version.as_str();
    let found = mlflow.labelled(&name, label).await.map_err(failed)?;
    let version = match found.as_slice() {
        [one] => one,
        [] => return Err(missing(mlflow, &name, label).await),
        several => {
            let message = format!("several versions of {name} are tagged {LABEL_TAG}={label}: {}", list(several));
            return Err(Failure::input(message).hint("leave the tag to the right one"));
        }
    };
    let storage_uri = match &asked.storage_uri {
        Some(given) => given.clone(),
        None => place(mlflow, &name, version).await?,
    };
    Ok(BumpTarget {
        digest: digest(version, asked.digest)?,
        storage_uri: Some(storage_uri),
        registry: Some((version.version, version.run_id.clone())),
        version: asked.version,
    })
}

async fn missing(mlflow: &Mlflow, name: &str, label: &str) -> Failure {
    match mlflow.versions(name).await {
        Err(error) => failed(error),
        Ok(there) if there.is_empty() => Failure::input(format_args!("the registry has no version of {name} at all"))
            .hint("register it: `sluice push DIR URL --registry URL --name NAME`"),
        Ok(there) => Failure::input(format_args!(
            "no version of {name} is tagged {LABEL_TAG}={label}; there are {}",
            list(&there)
        ))
        .hint("tag the right one, or register it with `sluice push --registry`"),
    }
}

/// Where the registry says that the bytes are.
async fn place(mlflow: &Mlflow, name: &str, version: &ModelVersion) -> Result<StorageUri, Failure> {
    let uri = match version.tags.get(STORAGE_URI_TAG) {
        Some(pushed) => pushed.clone(),
        None => mlflow.download_uri(name, version.version).await.map_err(failed)?,
    };
    let uri = if uri.starts_with('/') { format!("file://{uri}") } else { uri };
    StorageUri::new(&uri).map_err(|refused| {
        let number = version.version;
        let failure = Failure::input(format_args!("the registry says that version {number} is at {uri}: {refused}"));
        if uri.starts_with("mlflow-artifacts:") {
            failure.hint("only MLflow's own proxy can read that: publish it with `sluice push --registry`")
        } else {
            failure.hint("--storage-uri URI says where it is")
        }
    })
}

/// What the command line pins and what the registry knows must be the same.
fn digest(version: &ModelVersion, given: Option<Digest>) -> Result<Option<Digest>, Failure> {
    let Some(tagged) = version.tags.get(DIGEST_TAG) else { return Ok(given) };
    let number = version.version;
    let tagged = Digest::parse(tagged).map_err(|refused| {
        Failure::input(format_args!("version {number} is tagged {DIGEST_TAG}={tagged}: {refused}"))
    })?;
    match given {
        Some(given) if given != tagged => Err(Failure::input(format_args!(
            "--digest is {given}, and version {number} is tagged {DIGEST_TAG}={tagged}: one of them is of something else"
        ))),
        _ => Ok(Some(tagged)),
    }
}

fn list(versions: &[ModelVersion]) -> String {
    let named: Vec<String> = versions.iter().take(LISTED).map(ModelVersion::named).collect();
    let more = versions.len().saturating_sub(LISTED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", named.join(", "))
}

fn failed(error: RegistryError) -> Failure {
    if error.is_answer() { Failure::input(&error) } else { Failure::failed(&error) }
}
