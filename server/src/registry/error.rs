//! Why the registry did not answer as hoped. Each case names the call, and what to do about it.

/// Why a call of the registry failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// There is no such model, version, run or logged model.
    #[error("{message} ({call})")]
    NotFound {
        /// Method and URL.
        call: String,
        /// MLflow's own words.
        message: String,
    },
    /// MLflow takes a value for wrong.
    #[error("the registry refuses it: {message} ({call})")]
    Refused {
        /// Method and URL.
        call: String,
        /// MLflow's own words.
        message: String,
    },
    /// The registry knows the release as something else.
    #[error("model {model}: {message}")]
    Taken {
        /// The registered model.
        model: String,
        /// What it knows, and what was asked for.
        message: String,
    },
    /// What should be made is there already.
    #[error("{message} ({call})")]
    Exists {
        /// Method and URL.
        call: String,
        /// MLflow's own words.
        message: String,
    },
    /// No answer at all.
    #[error("{call}: no answer: {reason}; is the registry's URL right, and is it reachable from here?")]
    Unreachable {
        /// Method and URL.
        call: String,
        /// What the connection met.
        reason: String,
    },
    /// MLflow's own protection against DNS rebinding.
    #[error(
        "{call}: MLflow refuses the host name {host:?}, whoever asks; start its server with --allowed-hosts {host}, or \
         use a name that it allows"
    )]
    HostRefused {
        /// Method and URL.
        call: String,
        /// The host that was asked for.
        host: String,
    },
    /// Credentials are missing or do not suffice.
    #[error(
        "{call}: {status}; set MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, of \
         somebody who may do this"
    )]
    Denied {
        /// Method and URL.
        call: String,
        /// The answer's status.
        status: String,
    },
    /// Something else answers there.
    #[error("{call}: this is not MLflow's answer: {reason}; give the URL that MLflow's own clients are given")]
    NotMlflow {
        /// Method and URL.
        call: String,
        /// What is unlike MLflow.
        reason: String,
    },
    /// The registry answers that it cannot.
    #[error("{call}: {status}: {message}")]
    Broken {
        /// Method and URL.
        call: String,
        /// The answer's status.
        status: String,
        /// MLflow's own words.
        message: String,
    },
}

impl RegistryError {
    /// Whether the registry was asked and knows better: asking again would not help.
    #[must_use]
    pub const fn is_answer(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::Refused { .. } | Self::Taken { .. } | Self::Exists { .. } => true,
            Self::Unreachable { .. }
            | Self::HostRefused { .. }
            | Self::Denied { .. }
            | Self::NotMlflow { .. }
            | Self::Broken { .. } => false,
        }
    }
}
