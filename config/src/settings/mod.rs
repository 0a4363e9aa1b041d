//! Settings: what is fixed when the server starts. Each comes from its flag, else its environment variable, else the
//! settings file, else its default; everything wrong in any of them is told at once. Knows nothing of how a flag is
//! parsed from a command line.

mod environment;
mod file;
mod read;
mod table;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use table::{SETTINGS, Setting, settings_reference};

use crate::problem::{Problem, Problems};
use crate::values::ModelName;
use crate::watch::WatchOptions;

/// What `sluice serve` was started with. Every field is described in [`SETTINGS`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Values files or directories of them; at least one.
    pub values: Vec<PathBuf>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where metrics, status and rollout verbs are served.
    pub admin: SocketAddr,
    /// Where pulled artifacts and decisions are kept.
    pub cache: PathBuf,
    /// Bytes that the cache may hold.
    pub cache_bytes_max: u64,
    /// What models run on.
    pub device: Device,
    /// Accept a device that is only simulated.
    pub allow_simulated_device: bool,
    /// Bytes of one gRPC request message.
    pub grpc_message_bytes_max: usize,
    /// Bytes of one HTTP body as sent.
    pub http_body_bytes_max: usize,
    /// Bytes of one request after decompression.
    pub inflated_bytes_max: usize,
    /// Age at which a connection is asked to close; `None` never asks.
    pub connection_age_max: Option<Duration>,
    /// At most this much is added to a connection's age, at random.
    pub connection_age_jitter: Duration,
    /// How often an idle connection is pinged; `None` never pings.
    pub keepalive: Option<Duration>,
    /// How long requests may take to finish after SIGTERM.
    pub grace_period: Duration,
    /// How long the server says "not ready" after SIGTERM before it stops accepting.
    pub not_ready_wait: Duration,
    /// Filter of log lines, in `tracing`'s syntax.
    pub log: String,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Share of requests that leave a log line, 0 to 1.
    pub access_log_sample: f64,
    /// Where traces go, if anywhere.
    pub otlp_endpoint: Option<url::Url>,
    /// File with the token that rollout verbs demand; without it they are answered to loopback only.
    pub admin_token_file: Option<PathBuf>,
    /// TLS, where it is spoken.
    pub tls: Option<TlsSettings>,
    /// File with the clients that may ask; without it the serving ports are open.
    pub access_file: Option<PathBuf>,
    /// Which models must serve for the process to be ready.
    pub readiness: Readiness,
    /// Requests at work or waiting at once, over all models.
    pub requests_max: usize,
    /// How often values are re-read without any hint.
    pub watch_interval: Duration,
    /// Ask the kernel for hints.
    pub watch_notify: bool,
    /// ConfigMap that the values are mounted from, for what the server says of its rollouts there.
    pub status_configmap: Option<String>,
}

/// The `--tls-…` settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The server's certificate, and those between it and its root.
    pub cert: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// Whom client certificates must come from; without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether a client may be without one.
    pub client_auth: ClientAuth,
    /// Which ports speak TLS; at least one.
    pub ports: BTreeSet<Port>,
}

/// `--tls-client-auth`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// A client without a certificate is refused in the handshake.
    Required,
    /// A client without a certificate may go on.
    Optional,
}

/// A port of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// OIP V2 and V1 over HTTP.
    Http,
    /// OIP V2 over gRPC.
    Grpc,
    /// Metrics, status, verbs.
    Admin,
}

/// `--device`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// A CUDA device where there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// This CUDA device, counted from 0.
    Cuda(u32),
}

/// `--log-format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Text,
}

/// `--readiness`: which models must serve for the process to be ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// All of them.
    All,
    /// One of them.
    Any,
    /// These.
    Models(BTreeSet<ModelName>),
}

/// Settings as text, by name (`grpc-message-bytes-max`). Fill it from flags; absent is "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SettingsLayer(BTreeMap<String, String>);

impl SettingsLayer {
    /// An empty layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `text`. A list is written with commas.
    pub fn set(&mut self, name: &str, text: impl Into<String>) {
        self.0.insert(name.to_owned(), text.into());
    }

    /// What was set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// A setting's text and the place it came from.
#[derive(Debug, Clone)]
struct Given {
    text: String,
    /// A problem at that place, its message still to be written.
    place: Problem,
}

impl Settings {
    /// Settles each setting: `flags` before `env` before `file` (its name and its text) before the default.
    ///
    /// # Errors
    /// Everything that is wrong in any source, whether or not another source goes before it: a typo in the file is
    /// told even where a flag hides it.
    pub fn resolve(
        flags: &SettingsLayer,
        env: impl Iterator<Item = (String, String)>,
        file: Option<(&str, &str)>,
    ) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        let mut layers = Vec::new();
        if let Some((name, text)) = file {
            layers.push(file::layer(name, text, &mut problems));
        }
        layers.push(environment::layer(env, &mut problems));
        layers.push(flag_layer(flags, &mut problems));
        let mut reader = read::Reader::new(layers, problems);
        let settings = read::settings(&mut reader);
        let problems = reader.finish();
        match (Problems::of(problems), settings) {
            (Some(problems), _) => Err(problems),
            (None, Some(settings)) => Ok(settings),
            (None, None) => Err(Problems::unexplained("settings")),
        }
    }
}

impl Settings {
    /// How each of [`Settings::values`] is watched.
    pub fn watches(&self) -> impl Iterator<Item = WatchOptions> {
        self.values.iter().map(|source| WatchOptions {
            interval: self.watch_interval,
            notify: self.watch_notify,
            ..WatchOptions::new(source)
        })
    }
}

fn flag_layer(flags: &SettingsLayer, problems: &mut Vec<Problem>) -> BTreeMap<&'static str, Given> {
    let mut layer = BTreeMap::new();
    for (name, text) in flags.iter() {
        let place = outside(&format!("--{name}"));
        match table::setting_named(name) {
            Some(setting) => drop(layer.insert(setting.name, Given { text: text.to_owned(), place })),
            None => {
                let flags: Vec<String> = SETTINGS.iter().map(Setting::flag).collect();
                let hint = crate::problem::did_you_mean(&place.file, flags.iter().map(String::as_str));
                problems.push(Problem { message: format!("this is not a setting{hint}"), ..place });
            }
        }
    }
    layer
}

/// A place that has no lines.
fn outside(source: &str) -> Problem {
    Problem { file: source.to_owned(), line: 0, column: 0, path: String::new(), message: String::new() }
}
