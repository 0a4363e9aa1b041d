//! `sluice validate`: everything that is wrong with values files, each problem with its place.

use std::path::{Path, PathBuf};

use config::{Parsed, Problem};

use super::annotation::annotation;
use super::exit::{Exit, Failure};
use super::files;
use super::output::{BAD, BUSY, Console, GOOD, STRONG};

const HELP: &str = "\
Examples:
  sluice validate models/fraud-detection/values-production.yaml
  sluice validate models/*/values-*.yaml --format github     # annotations on the lines of a pull request
  sluice validate /etc/models                                # every *.yaml in it
  sluice validate --schema > values.schema.json              # completion and checks in an editor

Every problem is shown at once, as file:line:column: field: what is wrong and what would be right. Warnings \
(legal, and probably not meant) are shown too and do not fail.

Exit codes: 0 every file is valid · 1 at least one is not, or is not there";

/// Check values files: every problem at once, with its line
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// Values files, or folders of them
    #[arg(value_name = "FILE", required_unless_present = "schema")]
    files: Vec<PathBuf>,

    /// How problems are written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Print the JSON Schema of a values file instead
    #[arg(long, conflicts_with_all = ["files", "format"])]
    schema: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Lines for people
    Text,
    /// One JSON document
    Json,
    /// Annotations for GitHub Actions
    Github,
}

/// One file and what there is to say of it.
struct Checked {
    file: String,
    summary: Option<Summary>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// What a valid file asks for.
struct Summary {
    model: String,
    version: String,
    digest: String,
}

pub(crate) fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    if args.schema {
        return console.line(format_args!("{:#}", config::json_schema()));
    }
    let mut checked = Vec::new();
    for path in &args.files {
        match inside(path) {
            Ok(Some(files)) if files.is_empty() => {
                checked.push(unreadable(path, "holds no *.yaml or *.yml".to_owned()))
            }
            Ok(Some(files)) => {
                for file in files {
                    checked.push(check(&file)?);
                }
            }
            Ok(None) => checked.push(check(path)?),
            Err(error) => return Err(Failure::reading(path, &error)),
        }
    }
    match args.format {
        Format::Text => text(&checked, console)?,
        Format::Json => console.line(format_args!("{:#}", json(&checked)))?,
        Format::Github => github(&checked, console)?,
    }
    if checked.iter().any(|file| file.summary.is_none()) { Err(Failure::quiet(Exit::BadInput)) } else { Ok(()) }
}

/// The values files of a folder, as the server would read it; none for anything else.
fn inside(path: &Path) -> std::io::Result<Option<Vec<PathBuf>>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let is_values = |path: &PathBuf| {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        yaml && !hidden && !path.is_dir()
    };
    let entries: std::io::Result<Vec<PathBuf>> =
        std::fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files: Vec<PathBuf> = entries?.into_iter().filter(is_values).collect();
    files.sort();
    Ok(Some(files))
}

fn unreadable(path: &Path, message: String) -> Checked {
    let file = path.display().to_string();
    let problem = Problem { file: file.clone(), line: 0, column: 0, path: String::new(), message };
    Checked { file, summary: None, problems: vec![problem], warnings: Vec::new() }
}

/// A file that cannot be read has one problem; only a fault of the system stops the others from being checked.
fn check(path: &Path) -> Result<Checked, Failure> {
    let file = path.display().to_string();
    let parsed = match files::read_text(path, files::VALUES_MAX) {
        Ok(text) => config::parse(&file, &text),
        Err(failure) if failure.exit == Exit::BadInput => {
            // The place stands in front of every problem: it is not told twice.
            let message = failure.message.replacen(&format!("cannot read {file}:"), "cannot read it:", 1);
            return Ok(unreadable(path, message));
        }
        Err(failure) => return Err(failure),
    };
    Ok(match parsed {
        Ok(Parsed { values, warnings, digest, .. }) => {
            let (model, version) = (values.model.name.to_string(), values.model.target.version.to_string());
            let summary = Summary { model, version, digest: digest.to_string() };
            Checked { file, summary: Some(summary), problems: Vec::new(), warnings }
        }
        Err(problems) => {
            Checked { file, summary: None, problems: problems.iter().cloned().collect(), warnings: Vec::new() }
        }
    })
}

fn text(checked: &[Checked], console: &mut Console) -> Result<(), Failure> {
    for Checked { file, summary, problems, warnings } in checked {
        for problem in problems {
            console.line(format_args!("{BAD}error:{BAD:#} {problem}"))?;
        }
        for warning in warnings {
            console.line(format_args!("{BUSY}warning:{BUSY:#} {warning}"))?;
        }
        match summary {
            Some(Summary { model, version, .. }) => {
                console.line(format_args!("{GOOD}valid:{GOOD:#} {STRONG}{file}{STRONG:#}: {model} {version}"))?;
            }
            None => {
                let count = problems.len();
                let plural = if count == 1 { "" } else { "s" };
                console
                    .line(format_args!("{BAD}not valid:{BAD:#} {STRONG}{file}{STRONG:#}: {count} problem{plural}"))?;
            }
        }
    }
    Ok(())
}

fn json(checked: &[Checked]) -> serde_json::Value {
    let problem = |problem: &Problem| {
        let Problem { line, column, path, message, .. } = problem;
        serde_json::json!({ "line": line, "column": column, "path": path, "message": message })
    };
    let file = |checked: &Checked| {
        let summary = checked.summary.as_ref();
        serde_json::json!({
            "file": checked.file,
            "valid": summary.is_some(),
            "model": summary.map(|summary| &summary.model),
            "version": summary.map(|summary| &summary.version),
            "revision": summary.map(|summary| &summary.digest),
            "problems": checked.problems.iter().map(problem).collect::<Vec<_>>(),
            "warnings": checked.warnings.iter().map(problem).collect::<Vec<_>>(),
        })
    };
    serde_json::json!({ "files": checked.iter().map(file).collect::<Vec<_>>() })
}

fn github(checked: &[Checked], console: &mut Console) -> Result<(), Failure> {
    for file in checked {
        let errors = file.problems.iter().map(|problem| ("error", problem));
        for (level, problem) in errors.chain(file.warnings.iter().map(|warning| ("warning", warning))) {
            console.line(annotation(level, problem))?;
        }
    }
    Ok(())
}
