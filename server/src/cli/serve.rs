//! `sluice serve`: flags, environment and settings file become [`config::Settings`], and the server runs on them.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};
use config::{LogFormat, Problems, Settings, SettingsLayer};
use models::cuda;

use super::exit::{Exit, Failure};
use super::files;
use super::output::Console;
use super::{client, tls};
use crate::app::{self, Lost, RunError, StartError};
use crate::telemetry::logs::{self, LogGuard, LogOptions};

/// Where in the cache folder the CUDA driver keeps what it compiled.
const COMPILED: &str = "cuda";
/// Bytes of a settings file.
const SETTINGS_MAX: u64 = 1 << 20;
/// Variables of `SLUICE_*` that other commands read, or this one before there are settings.
const NOT_SETTINGS: [&str; 9] = [
    "SLUICE_SETTINGS",
    client::ADMIN_URL_ENV,
    client::URL_ENV,
    client::STATUS_URL_ENV,
    client::STAGING_TOKEN_FILE_ENV,
    client::TOKEN_FILE_ENV,
    tls::CA_ENV,
    tls::CERT_ENV,
    tls::KEY_ENV,
];

const HELP: &str = "\
Examples:
  sluice serve --values values.yaml                           # one model, on this machine
  sluice serve --values /etc/models --cache /var/lib/sluice   # one model for each *.yaml
  SLUICE_HTTP=0.0.0.0:8000 sluice serve --settings settings.yaml --device cuda:0

Every flag is also an environment variable (--cache-bytes-max is SLUICE_CACHE_BYTES_MAX) and a key of the \
settings file (cacheBytesMax). The flag goes before the variable, that before the file, that before the default. \
The values files are watched: change one and the server acts on it, without a signal or a restart. \
SIGTERM and Ctrl-C drain: not ready first, then no new connections, then the end.

Exit codes: 0 drained and ended · 1 a setting is wrong · 2 usage · 3 a port or the cache cannot be had, or a part of the \
server ended · 4 device lost";

/// Serve the models of values files, and follow the files
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Settings file (YAML), for what no flag and no variable says
    #[arg(long, value_name = "FILE", env = "SLUICE_SETTINGS", hide_env_values = true)]
    settings: Option<PathBuf>,

    #[command(flatten)]
    flags: Flags,
}

/// One flag for each of [`config::SETTINGS`], so that there is one list.
#[derive(Debug, Default)]
struct Flags(SettingsLayer);

// === impl Flags ===

impl clap::Args for Flags {
    fn augment_args(command: clap::Command) -> clap::Command {
        config::SETTINGS.iter().map(flag).fold(command, clap::Command::arg)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::default();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in config::SETTINGS {
            let given: Vec<&str> =
                matches.get_many::<String>(setting.name).into_iter().flatten().map(String::as_str).collect();
            if !given.is_empty() {
                self.0.set(setting.name, given.join(","));
            }
        }
        Ok(())
    }
}

fn flag(setting: &config::Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!(" [default: {}]", setting.default) };
    let choice =
        if setting.form.starts_with('`') { format!(" One of {}.", plain(setting.form)) } else { String::new() };
    let help = format!("{}{choice}{default}", plain(setting.meaning));
    let arg = Arg::new(setting.name).long(setting.name).help(help).value_name(value_name(setting.form));
    match (setting.name, setting.default) {
        ("values", _) => arg.value_name("FILE-or-DIR").num_args(1..).action(ArgAction::Append),
        (_, "true" | "false") => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        _ => arg,
    }
}

/// A word for a form of [`config::Setting::form`].
fn value_name(form: &str) -> &'static str {
    let word = form.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match word {
        "address" => "ADDRESS",
        "directory" => "DIR",
        "duration" => "DURATION",
        "level" => "FILTER",
        "number" => "NUMBER",
        "path" => "FILE",
        "share" => "SHARE",
        "size" => "SIZE",
        "URL" => "URL",
        _ => "VALUE",
    }
}

fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// Settings, and what has to be done before there are threads.
pub(crate) fn prepare(args: &Args) -> Result<Settings, Failure> {
    let settings = resolve(args)?;
    if cuda::BUILT && settings.device != config::Device::Cpu {
        // Without it the driver compiles its kernels again at the next start, and nothing else is lost.
        let _kept = cuda::keep_compiled_in(&settings.cache.join(COMPILED));
    }
    Ok(settings)
}

pub(crate) async fn run(settings: Settings, console: &mut Console) -> Result<(), Failure> {
    let _logs = start_logs(&settings)?;
    let announce = |app: &app::App| {
        let at = app.addresses();
        let (http, grpc, admin) = (at.http, at.grpc, at.admin);
        tracing::info!(%http, %grpc, %admin, "listening");
        // For people, and for programs that start the server on free ports; where nobody reads it, nothing is lost.
        let _unread = console.line(format_args!("listening http={http} grpc={grpc} admin={admin}"));
    };
    app::run(settings, announce).await.map_err(|error| failed(&error))
}

/// Settings from everything that was given.
fn resolve(args: &Args) -> Result<Settings, Failure> {
    let file = match &args.settings {
        Some(path) => Some((path.display().to_string(), files::read_text(path, SETTINGS_MAX)?)),
        None => None,
    };
    settle(&args.flags.0, file.as_ref().map(|(name, text)| (name.as_str(), text.as_str())))
}

/// Settings from flags, the environment and a file (its name and its text).
pub(crate) fn settle(flags: &SettingsLayer, file: Option<(&str, &str)>) -> Result<Settings, Failure> {
    Settings::resolve(flags, environment(), file).map_err(|problems| refused(&problems))
}

/// The variables that can be settings. A variable that is not text cannot be one of them.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()))
}

fn refused(problems: &Problems) -> Failure {
    let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Failure::input(all.join("\n       ")).hint("`sluice serve --help` lists every setting")
}

/// Starts the log on standard error.
pub(crate) fn start_logs(settings: &Settings) -> Result<LogGuard, Failure> {
    let options = LogOptions {
        filter: settings.log.clone(),
        json: settings.log_format == LogFormat::Json,
        otlp_endpoint: settings.otlp_endpoint.as_ref().map(ToString::to_string),
    };
    logs::start(&options).map_err(|error| match error {
        logs::LogError::Filter { .. } => Failure::input(error),
        _ => Failure::failed(error),
    })
}

/// Why the server did not start or could not go on.
pub(crate) fn failed(error: &RunError) -> Failure {
    match error {
        RunError::Start(error) => not_started(error),
        RunError::Lost(lost) => {
            let exit = if matches!(lost, Lost::Device { .. }) { Exit::DeviceLost } else { Exit::Failed };
            Failure { exit, message: lost.to_string(), hint: None }
        }
    }
}

/// Why the server did not start, and whose fault that is.
pub(crate) fn not_started(error: &StartError) -> Failure {
    let exit = match error {
        StartError::AdminToken { .. }
        | StartError::AdminTokenEmpty { .. }
        | StartError::Credentials(_)
        | StartError::Device(_) => Exit::BadInput,
        StartError::Bind { .. } | StartError::Store(_) | StartError::System(_) => Exit::Failed,
    };
    Failure { exit, message: error.to_string(), hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn given(line: &[&str]) -> Vec<(String, String)> {
        let line = Line::try_parse_from([&["serve"], line].concat()).unwrap();
        line.args.flags.0.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn flags_become_a_layer_of_what_was_given_and_nothing_else() {
        assert_eq!(given(&[]), []);
        let line = ["--values", "a", "b", "--values", "c", "--http", "[::]:1", "--allow-simulated-device"];
        let pairs = [("allow-simulated-device", "true"), ("http", "[::]:1"), ("values", "a,b,c")];
        assert_eq!(given(&line), pairs.map(|(name, text)| (name.to_owned(), text.to_owned())));
        assert_eq!(given(&["--allow-simulated-device=false"])[0].1, "false");
    }

    #[test]
    fn every_setting_has_a_flag() {
        let command = <Flags as clap::Args>::augment_args(clap::Command::new("serve"));
        for setting in config::SETTINGS {
            assert!(command.get_arguments().any(|arg| arg.get_long() == Some(setting.name)), "{}", setting.name);
        }
    }

    #[test]
    fn a_lost_part_and_a_lost_device_have_codes_of_their_own() {
        let task = crate::tasks::Ended { task: "reconcile", panicked: true };
        let device = Lost::Device { name: "cuda:0".to_owned(), reason: "an illegal address".to_owned() };
        for (lost, exit) in [(Lost::Task(task), Exit::Failed), (device, Exit::DeviceLost)] {
            let told = lost.to_string();
            assert_eq!(failed(&lost.into()).exit, exit, "{told}");
        }
    }

    #[test]
    fn wrong_settings_are_told_together() {
        let line = ["serve", "--http", "nowhere", "--device", "tpu"];
        let failure = resolve(&Line::try_parse_from(line).unwrap().args).unwrap_err();
        assert_eq!(failure.exit, Exit::BadInput);
        for place in ["--http", "--device", "--values"] {
            assert!(failure.message.contains(place), "{place}: {}", failure.message);
        }
    }
}
