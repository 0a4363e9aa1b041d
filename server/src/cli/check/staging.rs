//! Asking staging, at its serving port: whoever may send it requests may ask, so this needs no right in the cluster.

use reqwest::StatusCode;

use super::facts::{Found, Staging, Trouble};
use crate::cli::client::{Client, Heard};
use crate::cli::label::{self, LabelAnswer};
use crate::cli::output::Clean;

/// What it serves of `model`.
pub(super) async fn ask(client: &Client, model: &str) -> Found<Staging> {
    let stable = hear(client, &label::path(model, "stable")).await?;
    let ready = hear(client, &["v2", "models", model, "ready"]).await?;
    Ok(Staging { stable: labelled(&stable), ready: ready.status.is_success() })
}

/// An answer about the model: yes, no such model, or not now.
async fn hear(client: &Client, path: &[&str]) -> Found<Heard> {
    let heard = client.hear(path).await.map_err(|failure| Trouble::Unreachable(failure.message))?;
    match heard.status {
        status if status.is_success() => Ok(heard),
        StatusCode::NOT_FOUND | StatusCode::SERVICE_UNAVAILABLE => Ok(heard),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Trouble::Unreachable(format!(
            "staging answers {} to {}; --staging-token-file FILE lets you in",
            heard.status, heard.url
        ))),
        status => Err(Trouble::Unreachable(format!("staging answers {status} to {}", heard.url))),
    }
}

fn labelled(heard: &Heard) -> Result<String, String> {
    if !heard.status.is_success() {
        return Err(heard.said());
    }
    let answer: Result<LabelAnswer, _> = serde_json::from_slice(&heard.body);
    let version = answer.ok().and_then(LabelAnswer::version).map(|version| Clean(&version).to_string());
    version
        .ok_or_else(|| format!("{} answers something else than a model's version; is this a serving port?", heard.url))
}
