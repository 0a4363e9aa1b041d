//! Asking the registry.

use config::Values;

use super::facts::{Found, Measured, Place, RegistryFacts, Trouble};
use crate::registry::{Mlflow, ModelVersion, RegistryError, STORAGE_URI_TAG};

/// What it says of the version that the file names; `None` where it names none.
pub(super) async fn ask(mlflow: &Mlflow, values: &Values) -> Option<RegistryFacts> {
    let registry = values.model.registry.as_ref()?;
    let version = match mlflow.version(&registry.name, registry.version).await {
        Ok(version) => version,
        Err(error) => return Some(RegistryFacts { version: Err(trouble(&error)), place: None, measured: None }),
    };
    let place = place(mlflow, &registry.name, &version).await;
    let wanted = !values.gate.metrics.is_empty();
    let measured = if wanted { Some(measured(mlflow, &version).await) } else { None };
    Some(RegistryFacts { version: Ok(version), place: Some(place), measured })
}

/// What was pushed is a copy of what MLflow keeps, and it is the copy that is served.
async fn place(mlflow: &Mlflow, name: &str, version: &ModelVersion) -> Found<Place> {
    if let Some(uri) = version.tags.get(STORAGE_URI_TAG) {
        return Ok(Place { uri: uri.clone(), source: "the registry's tag sluice.storageUri" });
    }
    let uri = mlflow.download_uri(name, version.version).await.map_err(|error| trouble(&error))?;
    Ok(Place { uri, source: "the registry's download URI" })
}

/// The logged model first: what it measured is of this model alone.
async fn measured(mlflow: &Mlflow, version: &ModelVersion) -> Found<Vec<Measured>> {
    let mut accounts = Vec::new();
    if let Some(id) = version.logged_model() {
        let values = mlflow.metrics_of_model(id).await.map_err(|error| trouble(&error))?;
        accounts.push(Measured { of: format!("logged model {id}"), values });
    }
    if let Some(run) = &version.run_id {
        let values = mlflow.metrics_of_run(run).await.map_err(|error| trouble(&error))?;
        accounts.push(Measured { of: format!("run {run}"), values });
    }
    Ok(accounts)
}

fn trouble(error: &RegistryError) -> Trouble {
    let message = error.to_string();
    if error.is_answer() { Trouble::Wrong(message) } else { Trouble::Unreachable(message) }
}
