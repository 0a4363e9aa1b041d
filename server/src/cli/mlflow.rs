//! The registry, as every command that is told its URL asks it.

use reqwest::Url;

use super::client;
use super::exit::Failure;
use crate::registry::{Credentials, Mlflow};

/// A client of the registry at `url`, as the process's variables say who asks.
pub(super) fn mlflow(url: &Url) -> Result<Mlflow, Failure> {
    client::without_password(url)?;
    let credentials = Credentials::from_process().map_err(Failure::input)?;
    Mlflow::new(url, credentials).map_err(Failure::failed)
}
