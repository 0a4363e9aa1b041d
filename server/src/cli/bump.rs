//! `sluice bump`: the one-line change that is a deployment. Edits the values file in place, comments kept, and moves
//! the old version to `stable` only where it earned that.

mod registered;

use std::path::PathBuf;

use config::{BumpError, BumpTarget, Digest, Parsed, StorageUri, Values, Version, VersionSpec};
use reqwest::Url;
use similar::{ChangeTag, TextDiff};

use super::client::{self, Client};
use super::exit::{Exit, Failure};
use super::files;
use super::label;
use super::mlflow::mlflow;
use super::output::{BAD, BUSY, Clean, Console, FAINT, GOOD, STRONG};
use super::status::StatusView;
use super::tls::TlsArgs;

/// Unchanged lines around a change.
const CONTEXT: usize = 2;

const HELP: &str = "\
Examples:
  sluice bump values.yaml v2.4.0 --status http://127.0.0.1:8002   # was the old version promoted?
  sluice bump values.yaml v2.4.0 --promoted                       # it was
  sluice bump values.yaml v2.4.0 --promoted --digest sha256:10d0481a294d1f2b68d889626a202445a0af7f67e…
  sluice bump values.yaml v2.4.0 --promoted --registry https://mlflow.example.com   # and its number

`stable` is what a fresh process serves while the candidate is on trial. So the old version moves there only where it \
was promoted: --promoted says so, --status URL asks the server (its admin port, or its serving port). Where it was \
not, `stable` stays. Nothing needs to be said where `stable` names the old version already, or the new version is \
`stable`: that is a rollback.

--registry asks MLflow for the version of model.registry.name that is tagged version=v2.4.0, and fills in its number, \
its run, its place and, where `sluice push --registry` left one, its digest. A {version} that leads to that place stays. \
The variables by which it is asked are those of `sluice check`.

Without a digest from either the new version is pinned where the file has a digest for it: its own, or that of `stable`.

The edit is checked before it is written: the file must be valid, and mean what it meant but for this change.

Exit codes: 0 changed, or nothing to change · 1 the file or the version is wrong · 2 --promoted or --status is needed \
· 3 server or registry was not reached, or the file cannot be written";

/// Change the version in a values file, in place
#[derive(Debug, clap::Args)]
#[command(after_long_help = HELP)]
pub(crate) struct Args {
    /// The values file
    file: PathBuf,

    /// The version to serve from now on, such as v2.4.0
    #[arg(value_parser = version)]
    version: Version,

    /// Pin the new version to this digest (`sluice push` prints it)
    #[arg(long, value_name = "sha256:HEX", value_parser = digest)]
    digest: Option<Digest>,

    /// Where the new version is, when `model.storageUri` does not hold {version}
    #[arg(long, value_name = "URI", value_parser = storage_uri)]
    storage_uri: Option<StorageUri>,

    /// The MLflow server that knows the rest of the new version
    #[arg(long, value_name = "URL", value_parser = client::base_url)]
    registry: Option<Url>,

    /// The old version was promoted: it becomes `stable`
    #[arg(long, conflicts_with = "status")]
    promoted: bool,

    /// Ask this server whether the old version was promoted
    #[arg(long, value_name = "URL", value_parser = client::base_url)]
    status: Option<Url>,

    #[command(flatten)]
    tls: TlsArgs,
}

fn version(text: &str) -> Result<Version, String> {
    Version::new(text).map_err(|refused| refused.to_string())
}

fn digest(text: &str) -> Result<Digest, String> {
    Digest::parse(text).map_err(|refused| refused.to_string())
}

fn storage_uri(text: &str) -> Result<StorageUri, String> {
    StorageUri::new(text).map_err(|refused| refused.to_string())
}

/// What is to become of `stable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stable {
    /// It names the right version, or the change is a way back to it.
    Settled,
    /// Depends on whether the old version was promoted.
    Depends,
}

/// What a server says of the version that the file asks for now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Serving {
    version: String,
    digest: Option<String>,
}

pub(crate) async fn run(args: &Args, console: &mut Console) -> Result<(), Failure> {
    let file = args.file.display();
    let text = files::read_text(&args.file, files::VALUES_MAX)?;
    let Parsed { values, .. } = config::parse(&file.to_string(), &text).map_err(Failure::input)?;
    let asked = BumpTarget {
        version: args.version.clone(),
        digest: args.digest,
        storage_uri: args.storage_uri.clone(),
        registry: None,
    };
    let target = match &args.registry {
        Some(url) => registered::filled(&mlflow(url)?, &values, asked).await?,
        None => asked,
    };
    let stable = new_stable(args, &values, console).await?;
    let edited = config::bump(&text, &target, stable.as_ref()).map_err(|error| refused(&error, args))?;
    if edited == text {
        return console.line(format_args!("{file} asks for {} already", args.version));
    }
    let Parsed { values: after, .. } = config::parse(&file.to_string(), &edited).map_err(Failure::input)?;
    files::replace(&args.file, &edited)
        .map_err(|error| Failure::failed(format_args!("cannot write {file}: {error}")))?;
    console.print(diff(&text, &edited))?;
    for note in notes(&values, &after) {
        console.note(format_args!("{BUSY}note:{BUSY:#} {}", Clean(&note)));
    }
    console.line(format_args!("{STRONG}{file}{STRONG:#}: {} -> {}", values.model.target.version, args.version))
}

/// What `stable` becomes; `None` leaves it.
async fn new_stable(args: &Args, values: &Values, console: &mut Console) -> Result<Option<VersionSpec>, Failure> {
    let old = &values.model.target;
    if settle(values, &args.version) == Stable::Settled {
        return Ok(None);
    }
    let promoted = match (&args.status, args.promoted) {
        (_, true) => true,
        (Some(url), false) => ask(url, values, &args.tls, console).await?,
        (None, false) => return Err(undecided(old)),
    };
    Ok(promoted.then(|| old.clone()))
}

/// Whether `stable` needs an answer before `model` goes on to `next`. Pure.
fn settle(values: &Values, next: &Version) -> Stable {
    let old = &values.model.target;
    match &values.stable {
        _ if old.version == *next => Stable::Settled,
        Some(stable) if stable.version == old.version || stable.version == *next => Stable::Settled,
        _ => Stable::Depends,
    }
}

/// Whether what serves is what the file asks for now. Pure.
fn is_promoted(old: &VersionSpec, serving: Option<&Serving>) -> bool {
    serving.is_some_and(|serving| {
        // A label may have been given to other bytes; where both digests are known they decide.
        let same_bytes = match (&old.digest, &serving.digest) {
            (Some(pinned), Some(serving)) => pinned.to_string() == *serving,
            _ => true,
        };
        serving.version == old.version.as_str() && same_bytes
    })
}

/// What the new file leaves to the one who changed it. Pure.
///
/// A registry block that still names the old version is no reason to refuse: the server does not read it, and its
/// numbers cannot be known from a release label.
fn notes(before: &Values, after: &Values) -> Vec<String> {
    let (old, new) = (&before.model.target, &after.model.target);
    if old.version == new.version {
        return Vec::new();
    }
    let mut notes = Vec::new();
    if old.digest.is_some() && new.digest.is_none() {
        notes.push(format!("the digest was {}'s and is gone; --digest sha256:… pins {}", old.version, new.version));
    }
    let registry = after.model.registry.as_ref().filter(|_| before.model.registry == after.model.registry);
    if let Some(registry) = registry {
        let run = registry.run_id.as_ref().map(|run| format!(" and run {run}")).unwrap_or_default();
        notes.push(format!(
            "model.registry still names version {}{run} of {}, which is {}; write the one of {} there",
            registry.version, registry.name, old.version, new.version
        ));
    }
    notes
}

fn undecided(old: &VersionSpec) -> Failure {
    Failure {
        exit: Exit::Usage,
        message: format!("is {} promoted? only then it may become `stable`", old.version),
        hint: Some("--promoted says that it is; --status URL asks the server (http://127.0.0.1:8002)".to_owned()),
    }
}

async fn ask(url: &Url, values: &Values, tls: &TlsArgs, console: &mut Console) -> Result<bool, Failure> {
    let (model, old) = (values.model.name.as_str(), &values.model.target);
    let serving = serving(url, model, tls).await?;
    let promoted = is_promoted(old, serving.as_ref());
    let stable = serving.map_or_else(|| "nothing".to_owned(), |serving| Clean(&serving.version).to_string());
    let then = if promoted { "it becomes `stable`" } else { "`stable` stays as it is" };
    console.note(format_args!("{url} serves {stable} as stable of {model}: {then}"));
    Ok(promoted)
}

/// What serves as stable: the admin port knows it with its digest, the serving port by its label.
async fn serving(url: &Url, model: &str, tls: &TlsArgs) -> Result<Option<Serving>, Failure> {
    let client = Client::over(url, "server", None, tls)?;
    match StatusView::ask(&client).await {
        Ok(status) => {
            let stable = status.model(model)?.stable.clone();
            Ok(stable.map(|stable| Serving { version: stable.version, digest: stable.digest }))
        }
        // No `/status` here: a serving port.
        Err(failure) if failure.exit == Exit::BadInput => {
            let version = label::version(&client, model, "stable").await?;
            Ok(version.map(|version| Serving { version, digest: None }))
        }
        Err(failure) => Err(failure),
    }
}

fn refused(error: &BumpError, args: &Args) -> Failure {
    let failure = Failure::input(format_args!("{}: {error}", args.file.display()));
    match error {
        BumpError::NoUri { .. } => failure.hint("--storage-uri URI says where it is"),
        BumpError::Invalid(_) | BumpError::Layout { .. } => failure,
    }
}

/// The changed lines with a little around them.
fn diff(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut shown = String::new();
    for (index, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if index > 0 {
            shown.push_str(&format!("  {FAINT}…{FAINT:#}\n"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, style) = match change.tag() {
                ChangeTag::Delete => ('-', BAD),
                ChangeTag::Insert => ('+', GOOD),
                ChangeTag::Equal => (' ', FAINT),
            };
            shown.push_str(&format!("{style}{sign} {}{style:#}\n", Clean(change.value().trim_end())));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(version: &str, stable: Option<&str>) -> Values {
        let stable = stable.map(|stable| format!("stable: {{version: {stable}}}\n")).unwrap_or_default();
        let text = format!(
            "schemaVersion: v1alpha1\nmodel: {{name: m, version: {version}, storageUri: \"file:///m/{{version}}\"}}\n{stable}"
        );
        config::parse("values.yaml", &text).unwrap().values
    }

    #[test]
    fn when_stable_needs_an_answer() {
        use Stable::{Depends, Settled};
        for (version, stable, next, expected) in [
            ("v1", None, "v2", Depends),
            ("v2", Some("v1"), "v3", Depends),
            // The old version is stable already.
            ("v1", Some("v1"), "v2", Settled),
            // A way back to stable.
            ("v2", Some("v1"), "v1", Settled),
            // The same version: another digest or place of it, or nothing at all.
            ("v2", Some("v1"), "v2", Settled),
            ("v1", None, "v1", Settled),
        ] {
            let next = Version::new(next).unwrap();
            assert_eq!(settle(&values(version, stable), &next), expected, "{version} {stable:?} {next}");
        }
    }

    #[test]
    fn only_the_same_version_with_the_same_bytes_was_promoted() {
        let (a, b) = (Digest::from_bytes([1; 32]), Digest::from_bytes([2; 32]));
        let old = |digest| VersionSpec { digest, ..values("v2", None).model.target };
        let serving = |version: &str, digest: Option<Digest>| Serving {
            version: version.to_owned(),
            digest: digest.map(|digest| digest.to_string()),
        };
        assert!(is_promoted(&old(None), Some(&serving("v2", Some(a)))));
        assert!(is_promoted(&old(Some(a)), Some(&serving("v2", Some(a)))));
        assert!(is_promoted(&old(Some(a)), Some(&serving("v2", None))));
        assert!(!is_promoted(&old(Some(a)), Some(&serving("v2", Some(b)))));
        assert!(!is_promoted(&old(None), Some(&serving("v1", None))));
        assert!(!is_promoted(&old(None), None));
    }

    #[test]
    fn what_is_left_to_do_is_told() {
        let digest = Digest::from_bytes([1; 32]);
        let text = format!(
            "schemaVersion: v1alpha1\nmodel:\n  name: m\n  version: v2\n  storageUri: \"file:///m/{{version}}\"\n  digest: {digest}\n  registry: {{name: fraud, version: 17, runId: ab12}}\nstable: {{version: v1, digest: \"{digest}\"}}\n"
        );
        let told = |version: &str| {
            let version = Version::new(version).unwrap();
            let target = BumpTarget { version, digest: None, storage_uri: None, registry: None };
            let edited = config::bump(&text, &target, None).unwrap();
            let values = |text: &str| config::parse("values.yaml", text).unwrap().values;
            notes(&values(&text), &values(&edited))
        };
        let registry = "model.registry still names version 17 and run ab12 of fraud, which is v2; write the one of ";
        let digest = "the digest was v2's and is gone; --digest sha256:… pins v3".to_owned();
        assert_eq!(told("v3"), [digest, format!("{registry}v3 there")]);
        assert_eq!(told("v1"), [format!("{registry}v1 there")], "stable's digest pins it");
        assert_eq!(told("v2"), Vec::<String>::new());
    }

    #[test]
    fn a_diff_shows_the_change_and_little_else() {
        let old: String = (0..20).map(|line| format!("line {line}\n")).collect();
        let new = old.replace("line 3\n", "line three\n").replace("line 16\n", "");
        let shown = anstream::adapter::strip_str(&diff(&old, &new)).to_string();
        insta::assert_snapshot!(shown, @r"
          line 1
          line 2
        - line 3
        + line three
          line 4
          line 5
          …
          line 14
          line 15
        - line 16
          line 17
          line 18
        ");
    }
}
