//! The list of all settings, as data: flags, environment, the settings file, the reference page and the defaults all
//! come from it.

use std::fmt::Write as _;

/// One setting. Its flag, variable and key in the settings file follow from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// In words joined by `-`, such as `grpc-message-bytes-max`.
    pub name: &'static str,
    /// What an absent setting means, as it would be written; empty where absence is a meaning of its own.
    pub default: &'static str,
    /// What may be written.
    pub form: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

impl Setting {
    /// The flag, such as `--grpc-message-bytes-max`.
    #[must_use]
    pub fn flag(&self) -> String {
        format!("--{}", self.name)
    }

    /// The environment variable, such as `SLUICE_GRPC_MESSAGE_BYTES_MAX`.
    #[must_use]
    pub fn env(&self) -> String {
        format!("SLUICE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// The key in the settings file, such as `grpcMessageBytesMax`.
    #[must_use]
    pub fn key(&self) -> String {
        let mut words = self.name.split('-');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |key, word| {
            let (initial, rest) = word.split_at(word.len().min(1));
            key + &initial.to_uppercase() + rest
        })
    }
}

const fn setting(name: &'static str, default: &'static str, form: &'static str, meaning: &'static str) -> Setting {
    Setting { name, default, form, meaning }
}

const ADDRESS: &str = "address and port, such as `0.0.0.0:8000`";
const DURATION: &str = "duration, such as `30s`";
const SIZE: &str = "size, such as `64MiB`";

/// Every setting of `sluice serve`, in the order of the reference page.
pub const SETTINGS: &[Setting] = &[
    setting(
        "values",
        "",
        "paths, with commas",
        "Values files, or directories in which each `*.yaml` is one model. At least one.",
    ),
    setting("http", "127.0.0.1:8000", ADDRESS, "Where HTTP is served (OIP V2, V1). Port 0 takes a free one."),
    setting("grpc", "127.0.0.1:8001", ADDRESS, "Where gRPC is served."),
    setting("admin", "127.0.0.1:8002", ADDRESS, "Where metrics, status and rollout verbs are served."),
    setting("cache", "sluice-cache", "directory", "Where pulled artifacts and this process's decisions are kept."),
    setting("cache-bytes-max", "20GiB", SIZE, "What the cache may hold; the least recently used versions leave first."),
    setting(
        "device",
        "auto",
        "`auto`, `cpu`, `cuda` or `cuda:N`",
        "What models run on. `auto` takes a CUDA device where there is one, else the CPU.",
    ),
    setting(
        "allow-simulated-device",
        "false",
        "`true` or `false`",
        "Accept a CUDA device that is a stand-in on the CPU; for tests.",
    ),
    setting("grpc-message-bytes-max", "64MiB", SIZE, "One gRPC request message."),
    setting("http-body-bytes-max", "64MiB", SIZE, "One HTTP request body, as sent."),
    setting("inflated-bytes-max", "256MiB", SIZE, "One request body after decompression."),
    setting(
        "connection-age-max",
        "10m",
        "duration, or `off`",
        "A connection of this age is asked to close, so that clients find new replicas.",
    ),
    setting(
        "connection-age-jitter",
        "1m",
        DURATION,
        "At most this much is added to a connection's age, at random, so that clients do not return together.",
    ),
    setting("keepalive", "60s", "duration, or `off`", "How often an idle connection is pinged."),
    setting(
        "grace-period",
        "30s",
        DURATION,
        "How long requests may take to finish after SIGTERM. Keep it under the pod's `terminationGracePeriodSeconds`.",
    ),
    setting(
        "not-ready-wait",
        "5s",
        DURATION,
        "How long the server says \"not ready\" after SIGTERM, and still serves, before it stops accepting. Part of the grace period.",
    ),
    setting(
        "log",
        "info",
        "level, or `tracing` filter",
        "Which log lines are written, such as `warn` or `info,server=debug`.",
    ),
    setting("log-format", "json", "`json` or `text`", "Form of the log lines."),
    setting(
        "access-log-sample",
        "0",
        "share of 0 to 1",
        "Share of requests that leave a log line. Failed ones always do, up to 100 a second.",
    ),
    setting(
        "otlp-endpoint",
        "",
        "URL, such as `http://collector:4317`",
        "Where traces go (OTLP over gRPC). Absent: nowhere.",
    ),
    setting(
        "admin-token-file",
        "",
        "path",
        "File with the bearer token that rollout verbs demand. Absent: they are answered to loopback only.",
    ),
    setting(
        "tls-cert",
        "",
        "path",
        "PEM file with the server's certificate, and those between it and its root. The ports speak TLS then, and the file is read again every `watch-interval`.",
    ),
    setting("tls-key", "", "path", "PEM file with the private key of `tls-cert`; may be the same file."),
    setting(
        "tls-client-ca",
        "",
        "path",
        "PEM file with the authorities that client certificates must come from. Absent: no client is asked for one.",
    ),
    setting(
        "tls-client-auth",
        "required",
        "`required` or `optional`",
        "Whether a client without a certificate is refused in the handshake, or may go on and show a token.",
    ),
    setting("tls-on", "http,grpc,admin", "`http`, `grpc` and `admin`, with commas", "Which ports speak TLS."),
    setting(
        "access-file",
        "",
        "path",
        "YAML file with the clients that may ask, for what and how much (`docs/security.md`); read again every `watch-interval`. Absent: predictions and metadata are answered to everybody.",
    ),
    setting(
        "readiness",
        "all",
        "`all`, `any` or model names, with commas",
        "Which models must serve for the process to be ready.",
    ),
    setting(
        "requests-max",
        "1024",
        "number",
        "Requests at work or waiting at once, over all models; more are told to come back.",
    ),
    setting(
        "watch-interval",
        "15s",
        DURATION,
        "How often values are re-read, whether or not the kernel told of a change.",
    ),
    setting(
        "watch-notify",
        "true",
        "`true` or `false`",
        "Ask the kernel to tell of changes of values. `false` leaves them to the re-reading, for a node that has no watches to spare.",
    ),
    setting(
        "status-configmap",
        "",
        "name of a ConfigMap",
        "In a cluster: the ConfigMap that all values are mounted from. Phase, message and observed revision are written as annotations on it, for Argo CD. Absent, or outside a cluster: nowhere.",
    ),
];

/// The setting called `name`.
pub(super) fn setting_named(name: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == name)
}

/// The Markdown of `docs/settings.md`.
#[must_use]
pub fn settings_reference() -> String {
    let mut page = String::from(
        "# Settings\n\n\
         What is fixed when `sluice serve` starts. A flag goes before its environment variable, that before the \
         settings file (`--settings FILE`, YAML), that before the default. Everything wrong in any of them is told at \
         once. Generated from the list in `config/src/settings/table.rs`; do not edit.\n\n\
         Durations are a number of seconds, or text such as `250ms`, `30s`, `5m` or `1h`; sizes are a number of bytes, \
         or text such as `64KiB`, `64MiB` or `20GiB`.\n\n\
         | flag | variable | key in the file | written as | default | meaning |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let (flag, env, key, form, meaning) =
            (setting.flag(), setting.env(), setting.key(), setting.form, setting.meaning);
        let _ = writeln!(page, "| `{flag}` | `{env}` | `{key}` | {form} | {default} | {meaning} |");
    }
    page
}
