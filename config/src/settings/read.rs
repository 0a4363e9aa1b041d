//! From the text of each setting to its type. Every source's text is checked, the strongest one is used.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::table::setting_named;
use super::{Device, Given, LogFormat, Readiness, Settings, tls};
use crate::decode::scalars::{duration, spelled};
use crate::problem::{Problem, quoted};
use crate::values::{ModelName, Refused};

const DAY: Duration = Duration::from_secs(86_400);
const LIST_MAX: usize = 256;

/// Reads settings from layers, weakest first.
pub(super) struct Reader {
    layers: Vec<BTreeMap<&'static str, Given>>,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(layers: Vec<BTreeMap<&'static str, Given>>, problems: Vec<Problem>) -> Self {
        Self { layers, problems }
    }

    pub(super) fn finish(self) -> Vec<Problem> {
        self.problems
    }

    /// The setting, `Some(None)` where it is absent and has no default, `None` where it is wrong.
    pub(super) fn optional<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<Option<T>> {
        let mut value = None;
        let mut right = true;
        let mut given = false;
        for layer in &self.layers {
            let Some(Given { text, place }) = layer.get(name) else { continue };
            given = true;
            match parse(text.trim()) {
                Ok(parsed) => value = Some(parsed),
                Err(why) => {
                    right = false;
                    self.problems.push(Problem { message: format!("{} {why}", quoted(text)), ..place.clone() });
                }
            }
        }
        let default = setting_named(name).map_or("", |setting| setting.default);
        if !given && !default.is_empty() {
            value = parse(default).ok();
        }
        right.then_some(value)
    }

    pub(super) fn get<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.optional(name, parse).flatten()
    }

    pub(super) fn place(&self, name: &str) -> Option<Problem> {
        self.layers.iter().rev().find_map(|layer| layer.get(name)).map(|given| given.place.clone())
    }

    /// Something that only shows in several settings together; told where the first of `names` that was given stands.
    pub(super) fn wrong(&mut self, names: &[&str], message: String) {
        let place = names.iter().find_map(|name| self.place(name));
        let place = place.unwrap_or_else(|| super::outside(&format!("--{}", names.concat())));
        self.problems.push(Problem { message, ..place });
    }
}

/// Reads all settings; `None` with problems in the reader.
pub(super) fn settings(reader: &mut Reader) -> Option<Settings> {
    let zero = Duration::ZERO;
    let values = values(reader);
    let (http, grpc, admin) = (reader.get("http", address), reader.get("grpc", address), reader.get("admin", address));
    one_port_each(reader, &[("http", http), ("grpc", grpc), ("admin", admin)]);
    let cache = reader.get("cache", path);
    let cache_bytes_max = reader.get("cache-bytes-max", |text| size(text, 1 << 20, 1 << 50));
    let device = reader.get("device", device);
    let allow_simulated_device = reader.get("allow-simulated-device", flag);
    let grpc_message_bytes_max = reader.get("grpc-message-bytes-max", message_size);
    let http_body_bytes_max = reader.get("http-body-bytes-max", message_size);
    let inflated_bytes_max = reader.get("inflated-bytes-max", message_size);
    let connection_age_max = reader.get("connection-age-max", |text| span_or_off(text, Duration::from_secs(1), DAY));
    let connection_age_jitter = reader.get("connection-age-jitter", |text| span(text, zero, DAY));
    let keepalive = reader.get("keepalive", |text| span_or_off(text, Duration::from_secs(1), DAY));
    let (grace_period, not_ready_wait) = shutdown(reader);
    let log = reader.get("log", |text| Ok(text.to_owned()));
    let log_format = reader.get("log-format", log_format);
    let access_log_sample = reader.get("access-log-sample", share);
    let otlp_endpoint = reader.optional("otlp-endpoint", endpoint);
    let admin_token_file = reader.optional("admin-token-file", path);
    let access_file = reader.optional("access-file", path);
    let tls = tls::tls(reader, matches!(access_file, Some(Some(_))));
    let readiness = reader.get("readiness", readiness);
    let requests_max = reader.get("requests-max", |text| count(text, 1, 1_000_000));
    let watch_interval =
        reader.get("watch-interval", |text| span(text, Duration::from_secs(1), Duration::from_secs(3600)));
    let watch_notify = reader.get("watch-notify", flag);
    let status_configmap = reader.optional("status-configmap", object_name);
    one_mount(reader, values.as_deref(), status_configmap.as_ref());
    Some(Settings {
        values: values?,
        http: http?,
        grpc: grpc?,
        admin: admin?,
        cache: cache?,
        cache_bytes_max: cache_bytes_max?,
        device: device?,
        allow_simulated_device: allow_simulated_device?,
        grpc_message_bytes_max: grpc_message_bytes_max?,
        http_body_bytes_max: http_body_bytes_max?,
        inflated_bytes_max: inflated_bytes_max?,
        connection_age_max: connection_age_max?,
        connection_age_jitter: connection_age_jitter?,
        keepalive: keepalive?,
        grace_period: grace_period?,
        not_ready_wait: not_ready_wait?,
        log: log?,
        log_format: log_format?,
        access_log_sample: access_log_sample?,
        otlp_endpoint: otlp_endpoint?,
        admin_token_file: admin_token_file?,
        tls: tls?,
        access_file: access_file?,
        readiness: readiness?,
        requests_max: requests_max?,
        watch_interval: watch_interval?,
        watch_notify: watch_notify?,
        status_configmap: status_configmap?,
    })
}

fn values(reader: &mut Reader) -> Option<Vec<PathBuf>> {
    let values = reader.optional("values", |text| {
        let paths: Vec<PathBuf> = words(text)?.into_iter().map(PathBuf::from).collect();
        if paths.is_empty() {
            Err("names no path; write a values file or a directory of them".to_owned())
        } else {
            Ok(paths)
        }
    });
    if matches!(values, Some(None)) {
        reader.wrong(&["values"], "this is missing; name a values file or a directory of them".to_owned());
    }
    values.flatten()
}

fn one_port_each(reader: &mut Reader, addresses: &[(&str, Option<SocketAddr>)]) {
    for (index, (name, address)) in addresses.iter().enumerate() {
        let Some(address) = address.filter(|address| address.port() != 0) else { continue };
        let meets = |other: &&(&str, Option<SocketAddr>)| {
            let overlap = |other: SocketAddr| {
                other.port() == address.port()
                    && (other.ip() == address.ip() || other.ip().is_unspecified() || address.ip().is_unspecified())
            };
            other.1.is_some_and(overlap)
        };
        if let Some((other, _)) = addresses[..index].iter().find(meets) {
            let message =
                format!("{name} and {other} would both listen on port {}; write another port", address.port());
            reader.wrong(&[name, other], message);
        }
    }
}

/// A ConfigMap's own content is what its annotations are about, so it has to be all that is read.
fn one_mount(reader: &mut Reader, values: Option<&[PathBuf]>, status_configmap: Option<&Option<String>>) {
    if let (Some([_, _, ..]), Some(Some(_))) = (values, status_configmap) {
        let message =
            "is about one ConfigMap, and values are read from several paths; write the one where it is mounted";
        reader.wrong(&["status-configmap", "values"], message.to_owned());
    }
}

fn shutdown(reader: &mut Reader) -> (Option<Duration>, Option<Duration>) {
    let hour = Duration::from_secs(3600);
    let grace = reader.get("grace-period", |text| span(text, Duration::ZERO, hour));
    let wait = reader.get("not-ready-wait", |text| span(text, Duration::ZERO, hour));
    match (grace, wait) {
        (Some(grace), Some(wait)) if wait > grace && reader.place("not-ready-wait").is_none() => {
            // Nobody asked for a wait: a short grace period shortens it.
            (Some(grace), Some(grace))
        }
        (Some(grace), Some(wait)) if wait > grace => {
            let message = format!("{} is over the grace period {}; write less", spelled(wait), spelled(grace));
            reader.wrong(&["not-ready-wait"], message);
            (None, None)
        }
        both => both,
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "is not an address with a port; write such as 127.0.0.1:8000 or [::]:8000".to_owned())
}

pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("is not a path".to_owned()) } else { Ok(PathBuf::from(text)) }
}

/// A name as Kubernetes gives most of its objects: that of a DNS subdomain.
fn object_name(text: &str) -> Result<String, String> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let (first, last) = (part.bytes().next(), part.bytes().last());
        first.is_some_and(inner) && last.is_some_and(inner) && part.bytes().all(|byte| inner(byte) || byte == b'-')
    };
    if text.len() <= 253 && text.split('.').all(part) {
        return Ok(text.to_owned());
    }
    let example = "write 1 to 253 lower-case letters, digits, '-' or '.', such as fraud-detection-model-serving-values";
    Err(format!("is not the name of a ConfigMap; {example}"))
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| "is not true or false; write true or false".to_owned())
}

fn device(text: &str) -> Result<Device, String> {
    let refused = || "is not a device; write auto, cpu, cuda or cuda:N such as cuda:0".to_owned();
    match text {
        "auto" => Ok(Device::Auto),
        "cpu" => Ok(Device::Cpu),
        "cuda" => Ok(Device::Cuda(0)),
        _ => {
            let index = text.strip_prefix("cuda:").filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
            index.and_then(|digits| digits.parse().ok()).map(Device::Cuda).ok_or_else(refused)
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err("is not a log format; write json or text".to_owned()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..=1.0).contains(value));
    value.ok_or_else(|| "is not a share; write a number of 0 to 1, such as 0.01".to_owned())
}

fn endpoint(text: &str) -> Result<url::Url, String> {
    let url = url::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| "is not a collector's URL; write such as http://collector:4317".to_owned())
}

fn readiness(text: &str) -> Result<Readiness, String> {
    match text {
        "all" => Ok(Readiness::All),
        "any" => Ok(Readiness::Any),
        _ => {
            let names: Result<BTreeSet<ModelName>, Refused> = words(text)?.into_iter().map(ModelName::new).collect();
            match names {
                Ok(names) if !names.is_empty() => Ok(Readiness::Models(names)),
                Ok(_) => Err("names no model; write all, any or model names with commas".to_owned()),
                Err(Refused(why)) => Err(format!("is not all, any or model names with commas; {why}")),
            }
        }
    }
}

pub(super) fn words(text: &str) -> Result<Vec<&str>, String> {
    let words: Vec<&str> = text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if words.len() > LIST_MAX { Err(format!("names more than {LIST_MAX}")) } else { Ok(words) }
}

fn count(text: &str, low: usize, high: usize) -> Result<usize, String> {
    let value = text.parse().ok().filter(|value| (low..=high).contains(value));
    value.ok_or_else(|| format!("is not a whole number of {low} to {high}"))
}

/// What fits one request or reply. Clients of gRPC count a message in 31 bits, so the limit is below 2 GiB.
fn message_size(text: &str) -> Result<usize, String> {
    let bytes = size(text, 1 << 10, 2047 << 20)?;
    usize::try_from(bytes).map_err(|_| "is more than this machine can address".to_owned())
}

fn size(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let scale: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes = scale.zip(number.parse().ok()).and_then(|(scale, number): (u64, u64)| scale.checked_mul(number));
    let bytes = bytes.ok_or("is not a size; write a number of bytes, or 512KiB, 64MiB or 20GiB")?;
    if (low..=high).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("is not from {} to {}; write a size between", bytes_spelled(low), bytes_spelled(high)))
    }
}

fn bytes_spelled(bytes: u64) -> String {
    let units = [(1 << 50, "PiB"), (1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units.iter().find(|(scale, _)| bytes > 0 && bytes.is_multiple_of(*scale));
    unit.map_or_else(|| format!("{bytes} bytes"), |(scale, name)| format!("{}{name}", bytes / scale))
}

fn span(text: &str, low: Duration, high: Duration) -> Result<Duration, String> {
    let value = duration(text).map_err(|Refused(why)| format!("is {why}"))?;
    if (low..=high).contains(&value) {
        Ok(value)
    } else {
        Err(format!("is not from {} to {}; write a duration between", spelled(low), spelled(high)))
    }
}

fn span_or_off(text: &str, low: Duration, high: Duration) -> Result<Option<Duration>, String> {
    if text == "off" { Ok(None) } else { span(text, low, high).map(Some).map_err(|why| why + "; or write off") }
}
