//! Structured logs, and traces over OTLP where a setting names a collector.

use std::io::IsTerminal;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::infer::SPAN_TARGET;

/// What to log, how, and where traces go.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A `tracing` filter such as `info` or `server::rollout=debug,info`.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// OTLP gRPC endpoint; `None` sends no traces.
    pub otlp_endpoint: Option<String>,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error("log filter `{filter}`: {source}; write a level such as `info`, or `target=level` pairs")]
    Filter {
        /// As given.
        filter: String,
        /// What the parser says.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The OTLP exporter does not start.
    #[error("traces to `{endpoint}`: {source}")]
    Otlp {
        /// As given.
        endpoint: String,
        /// What the exporter says.
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// Logging was started before.
    #[error("logging runs already")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Flushes what is left to send when dropped.
#[must_use]
#[derive(Debug)]
pub struct LogGuard(Option<SdkTracerProvider>);

impl Drop for LogGuard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "traces were not flushed");
        }
    }
}

/// Starts logging to standard error, and tracing where asked. Call once, inside the runtime.
pub fn start(options: &LogOptions) -> Result<LogGuard, LogError> {
    let filter = EnvFilter::try_new(&options.filter)
        .map_err(|source| LogError::Filter { filter: options.filter.clone(), source })?;
    let provider = options.otlp_endpoint.as_deref().map(tracer_provider).transpose()?;
    let traces =
        provider.as_ref().map(|provider| tracing_opentelemetry::layer().with_tracer(provider.tracer("sluice")));
    let layers = tracing_subscriber::registry().with(log_layer(options.json).with_filter(filter));
    match traces {
        Some(traces) => layers.with(traces.with_filter(traced())).try_init()?,
        None => layers.try_init()?,
    }
    Ok(LogGuard(provider))
}

/// What goes to the collector, whatever the log shows.
fn traced() -> Targets {
    Targets::new().with_default(LevelFilter::INFO).with_target(SPAN_TARGET, LevelFilter::DEBUG)
}

fn log_layer(json: bool) -> Box<dyn Layer<Registry> + Send + Sync> {
    // In a file, colours are noise.
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    if json { layer.json().flatten_event(true).boxed() } else { layer.compact().boxed() }
}

fn tracer_provider(endpoint: &str) -> Result<SdkTracerProvider, LogError> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build();
    let exporter = exporter.map_err(|source| LogError::Otlp { endpoint: endpoint.to_owned(), source })?;
    let resource = Resource::builder().with_service_name("sluice").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
