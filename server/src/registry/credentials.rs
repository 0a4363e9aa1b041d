//! Who asks, by the variables that MLflow's own clients read.

use base64::Engine;
use reqwest::header::HeaderValue;

const TOKEN: &str = "MLFLOW_TRACKING_TOKEN";
const USERNAME: &str = "MLFLOW_TRACKING_USERNAME";
const PASSWORD: &str = "MLFLOW_TRACKING_PASSWORD";

/// What is sent as `authorization`, if anything. Never shown.
#[derive(Clone, Default)]
pub struct Credentials(Option<HeaderValue>);

impl Credentials {
    /// Reads the process's variables.
    ///
    /// # Errors
    /// Which variable is missing beside another, or holds what a header cannot carry.
    pub fn from_process() -> Result<Self, String> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables through `lookup`. User and password go before a token, as in MLflow's own clients.
    pub(super) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let value = |name| lookup(name).filter(|value| !value.is_empty());
        let (text, source) = match (value(USERNAME), value(PASSWORD), value(TOKEN)) {
            (Some(user), Some(password), _) => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
                (format!("Basic {pair}"), USERNAME)
            }
            (Some(_), None, _) => return Err(format!("{USERNAME} is set and {PASSWORD} is not; set both or neither")),
            (None, Some(_), _) => return Err(format!("{PASSWORD} is set and {USERNAME} is not; set both or neither")),
            (None, None, Some(token)) => (format!("Bearer {}", token.trim()), TOKEN),
            (None, None, None) => return Ok(Self(None)),
        };
        let header = HeaderValue::try_from(text);
        let mut header =
            header.map_err(|_| format!("{source} is no token: one line of printable ASCII is expected"))?;
        header.set_sensitive(true);
        Ok(Self(Some(header)))
    }

    pub(super) const fn header(&self) -> Option<&HeaderValue> {
        self.0.as_ref()
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Credentials(…)" } else { "Credentials(none)" })
    }
}
