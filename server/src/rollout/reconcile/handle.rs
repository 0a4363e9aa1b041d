//! What the rest of the process holds of the reconciler.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::super::plan::{Verb, VerbError};
use super::super::status::Status;
use super::Command;

/// Says verbs to the reconciler and shows its status.
#[derive(Debug, Clone)]
pub struct RolloutHandle {
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<Arc<Status>>,
}

impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Command").field("model", &self.model).field("verb", &self.verb).finish_non_exhaustive()
    }
}

impl RolloutHandle {
    pub(super) const fn new(commands: mpsc::Sender<Command>, status: watch::Receiver<Arc<Status>>) -> Self {
        Self { commands, status }
    }

    /// Answers by `script`. Must be called inside a runtime.
    #[cfg(test)]
    pub(crate) fn scripted(
        status: watch::Receiver<Arc<Status>>,
        script: impl Fn(&str, Verb) -> Result<String, VerbError> + Send + 'static,
    ) -> Self {
        let (commands, mut asked) = mpsc::channel::<Command>(1);
        tokio::spawn(async move {
            while let Some(command) = asked.recv().await {
                let _gone = command.reply.send(script(&command.model, command.verb));
            }
        });
        Self::new(commands, status)
    }

    /// Has `verb` done to `model`; when it answers, routes are as the verb wants them. One sentence says what happened.
    pub async fn command(&self, model: &str, verb: Verb) -> Result<String, VerbError> {
        let ending = || VerbError::NotNow("the server is shutting down".to_owned());
        let (reply, answer) = oneshot::channel();
        let command = Command { model: model.to_owned(), verb, reply };
        self.commands.send(command).await.map_err(|_| ending())?;
        answer.await.unwrap_or_else(|_| Err(ending()))
    }

    /// The newest status, and every change of it.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }
}
