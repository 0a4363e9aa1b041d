//! `sluice predict`: one request over HTTP, and an answer that can be read.

mod request;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::files;
use super::output::{BUSY, Clean, Console, STRONG};
use super::tls::TlsArgs;

/// Bytes of a request file; what a server takes by default.
const REQUEST_MAX: u64 = 64 << 20;

const HELP: &str = "\
Examples:
  sluice predict fraud-detection                       # made-up input: which version answers?
  sluice predict fraud-detection --json request.json
  echo '[[1, 0, 0.5, 1, 0, 1, 0.5, 1, 0]]' | sluice predict fraud-detection --json - --variant canary

--json takes an Open Inference Protocol request, {\"inputs\": [{\"name\", \"shape\", \"datatype\", \"data\"}]}, or a bare array of rows where the model has one input. Without it the \
model's metadata is asked for, and floats are 1, whole numbers 0, texts empty.

Exit codes: 0 answered · 1 no such model or version, or the input does not fit · 3 no server, not ready, or it failed";

/// Send a model one request and show the answer, and which version gave it
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The model
    model: String,

    /// The request; `-` is standard input
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Ask this version, whatever its share of the traffic
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,

    /// Ask the version in this role
    #[arg(long, value_name = "ROLE", value_parser = ["stable", "canary"])]
    variant: Option<String>,

    /// The server's HTTP port
    #[arg(long, value_name = "URL", env = client::URL_ENV, hide_env_values = true, default_value = "http://127.0.0.1:8000", value_parser = client::base_url)]
    url: Url,

    /// File with a bearer token that may ask for predictions, and without --json for metadata
    #[arg(long, value_name = "FILE", env = client::TOKEN_FILE_ENV, hide_env_values = true)]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    tls: TlsArgs,
}

/// What a model says of its inputs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Metadata {
    inputs: Vec<InputSpec>,
}

/// One input; -1 is an axis of any size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct InputSpec {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

/// An answer of the Open Inference Protocol.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Answer {
    #[serde(default)]
    model_version: String,
    outputs: Vec<Output>,
}

/// One output, its elements in row-major order.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Output {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    data: Vec<Value>,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let token = args.token_file.as_deref().map(client::read_token).transpose()?;
    let client = Client::over(&args.url, "HTTP port", token, &args.tls)?;
    let mut path = vec!["v2", "models", args.model.as_str()];
    if let Some(version) = &args.version {
        path.extend(["versions", version]);
    }
    let body = body(args, &client, &path, console).await?;
    path.push("infer");
    let headers: Vec<_> = args.variant.iter().map(|variant| ("x-sluice-variant", variant.clone())).collect();
    let sent = Instant::now();
    let (answered, answer): (_, Answer) = client.post(&path, &body, &headers).await?;
    let took = sent.elapsed();
    let header = |name| answered.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let version = [answer.model_version.as_str(), header("x-sluice-version")].into_iter().find(|text| !text.is_empty());
    let role = match header("x-sluice-variant") {
        "" => String::new(),
        variant => format!(" ({})", Clean(variant)),
    };
    let (model, version) = (Clean(&args.model), Clean(version.unwrap_or_default()));
    let ms = took.as_secs_f64() * 1e3;
    console.line(format_args!("{STRONG}{model} {version}{STRONG:#}{role} answered in {ms:.1} ms"))?;
    console.print(table::outputs(&answer.outputs))
}

/// The request: what was given, or a made-up one.
async fn body(args: &Args, client: &Client, path: &[&str], console: &mut Console) -> Result<Value, Failure> {
    let Some(file) = &args.json else {
        let metadata: Metadata = client.get(path).await?;
        let body = request::sample(&metadata.inputs)?;
        let shapes: Vec<String> = metadata.inputs.iter().map(ToString::to_string).collect();
        console.note(format_args!("{BUSY}made-up input:{BUSY:#} {} (--json FILE sends yours)", shapes.join(", ")));
        return Ok(body);
    };
    let (name, text) = if file.as_os_str() == "-" {
        ("standard input".to_owned(), files::read_stdin(REQUEST_MAX)?)
    } else {
        (file.display().to_string(), files::read_text(file, REQUEST_MAX)?)
    };
    let given =
        serde_json::from_str(&text).map_err(|error| Failure::input(format_args!("{name} is no JSON: {error}")))?;
    let located = |failure: Failure| Failure { message: format!("{name}: {}", failure.message), ..failure };
    match given {
        Value::Array(rows) => {
            let metadata: Metadata = client.get(path).await?;
            request::from_rows(&metadata.inputs, rows).map_err(located)
        }
        given => request::checked(given).map_err(located),
    }
}

impl std::fmt::Display for InputSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        write!(f, "{} {} [{}]", Clean(&self.name), Clean(&self.datatype), shape.join(", "))
    }
}
