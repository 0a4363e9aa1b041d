//! Looks at the servers: at an admin port's status, or at a serving port's labels.

use super::follow::{Seen, Standing};
use crate::cli::client::{AdminArgs, Client};
use crate::cli::exit::{Exit, Failure};
use crate::cli::label;
use crate::cli::output::Clean;
use crate::cli::status::StatusView;

/// Where one model is seen.
pub(super) struct Place {
    at: AdminArgs,
    model: String,
}

// === impl Place ===

impl Place {
    pub(super) const fn new(at: AdminArgs, model: String) -> Self {
        Self { at, model }
    }

    /// One look. Connections are not kept: behind a load balancer the next look should be at another server.
    pub(super) async fn look(&self) -> Seen {
        match self.try_look().await {
            Ok(seen) => seen,
            Err(failure) => Seen::Nothing(Clean(&failure.message).to_string()),
        }
    }

    async fn try_look(&self) -> Result<Seen, Failure> {
        let client = self.at.client_of("server")?;
        match StatusView::ask(&client).await {
            Ok(status) => return Ok(self.standing(&status)),
            // No `/status`: a serving port. Asked anew at every look: what stands between may have answered for once.
            Err(failure) if failure.exit == Exit::BadInput => {}
            Err(failure) => return Err(failure),
        }
        // On one connection, so that both answers are of one server.
        let stable = self.label(&client, "stable").await?;
        let canary = self.label(&client, "canary").await?;
        Ok(Seen::Labels { stable, canary })
    }

    fn standing(&self, status: &StatusView) -> Seen {
        let Ok(model) = status.model(&self.model) else {
            // A file that was never valid gives no model.
            let refused = status.problems.first().cloned();
            return Seen::Status(Standing { read: status.revisions.clone(), refused, ..Standing::default() });
        };
        Seen::Status(Standing {
            phase: model.phase.clone(),
            message: model.message.clone(),
            observed: model.observed_revision.clone(),
            read: status.revisions.clone(),
            refused: model.values_error.clone(),
            stable: model.stable.as_ref().map(|stable| stable.version.clone()),
        })
    }

    /// The version under a label, none where the label is on none.
    async fn label(&self, client: &Client, label: &str) -> Result<Option<String>, Failure> {
        match label::version(client, &self.model, label).await {
            Err(failure) if failure.exit == Exit::BadInput && label == "canary" => Ok(None),
            answer => answer,
        }
    }
}
