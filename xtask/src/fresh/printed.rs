//! What the quickstart prints to try, as commands. Pure.

use anyhow::{Context, Result, bail};

/// The commands, as printed.
#[derive(Debug)]
pub(super) struct Printed {
    /// Asks for a better version.
    pub(super) deploy: String,
    /// Shows the status until it is interrupted.
    pub(super) watch: String,
    /// Asks for a version that goes bad on live traffic.
    pub(super) bad: String,
    /// Asks for a version that was changed after it was signed.
    pub(super) tampered: String,
    /// Asks for the first version again.
    pub(super) back: String,
    /// One request.
    pub(super) ask: Ask,
}

/// A printed `curl` command, for machines without curl.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ask {
    /// `HOST:PORT`.
    pub(super) authority: String,
    /// From the first slash on.
    pub(super) path: String,
    /// The JSON that is sent.
    pub(super) body: String,
}

/// How many requests of the quickstart's own callers were answered, and how many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) failed: u64,
}

/// A heading, and the indented lines under it.
type Part<'a> = (&'a str, Vec<&'a str>);

impl Printed {
    /// Reads the guide that follows the line that says `ready`.
    pub(super) fn parse(lines: &[String]) -> Result<Self> {
        let parts = parts(lines);
        let [deploy] = commands(&parts, "1  deploy")?;
        let [watch] = commands(&parts, "2  watch")?;
        let [bad, tampered] = commands(&parts, "3  break it")?;
        let [back] = commands(&parts, "4  roll back")?;
        let ask = parts.iter().flat_map(|(_, commands)| commands).find(|command| command.starts_with("curl "));
        let ask = Ask::parse(ask.context("no curl command is printed")?)?;
        Ok(Self { deploy, watch, bad, tampered, back, ask })
    }
}

fn parts(lines: &[String]) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for line in lines.iter().filter(|line| !line.is_empty()) {
        match (line.strip_prefix("   "), parts.last_mut()) {
            (Some(command), Some((_, commands))) => commands.push(command),
            _ => parts.push((line, Vec::new())),
        }
    }
    parts
}

fn commands<const N: usize>(parts: &[Part<'_>], heading: &str) -> Result<[String; N]> {
    let part = parts.iter().find(|(title, _)| title.starts_with(heading));
    let (_, commands) = part.with_context(|| format!("nothing printed starts with {heading:?}"))?;
    let commands: Vec<String> = commands.iter().map(ToString::to_string).collect();
    let found = commands.len();
    commands.try_into().ok().with_context(|| format!("{N} commands belong under {heading:?}, {found} are printed"))
}

/// The version that a printed `bump` asks for.
pub(super) fn version(command: &str) -> Result<&str> {
    let is_version =
        |word: &&str| word.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_numeric()));
    command.split(' ').find(is_version).with_context(|| format!("`{command}` names no version"))
}

impl Ask {
    fn parse(command: &str) -> Result<Self> {
        let url = command.split(' ').find_map(|word| word.strip_prefix("http://"));
        let body = command.split_once('\'').and_then(|(_, rest)| rest.rsplit_once('\'')).map(|(body, _)| body);
        let (Some((authority, path)), Some(body)) = (url.and_then(|url| url.split_once('/')), body) else {
            bail!("`{command}` has no URL or no quoted body");
        };
        Ok(Self { authority: authority.to_owned(), path: format!("/{path}"), body: body.to_owned() })
    }
}

impl Tally {
    /// From the line that the quickstart ends with: `ended; requests of this session: 27062 answered, 0 failed`.
    pub(super) fn parse(lines: &[String]) -> Result<Self> {
        let line = lines.iter().find(|line| line.starts_with("ended;")).context("no totals were printed at the end")?;
        let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(answered), Some(failed), None) => Ok(Self { answered, failed }),
            _ => bail!("`{line}` has no two totals"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    /// What the server's own test holds it to print.
    fn guide() -> Vec<String> {
        lines(include_str!(
            "../../../server/src/cli/quickstart/snapshots/server__cli__quickstart__guide__tests__the_guide.snap"
        ))
    }

    #[test]
    fn the_guide_of_the_quickstart_is_understood() {
        let printed = Printed::parse(&guide()).unwrap();
        let bumps = [&printed.deploy, &printed.bad, &printed.tampered, &printed.back];
        assert_eq!(bumps.map(|bump| version(bump).unwrap()), ["v1.1.0", "v1.2.0", "v1.3.0", "v1.0.0"]);
        assert_eq!(printed.watch, "target/release/sluice status --watch");
        let (authority, path) = ("127.0.0.1:8000".to_owned(), "/v2/models/fraud-detection/infer".to_owned());
        assert_eq!(printed.ask, Ask { authority, path, body: "{}".to_owned() });
    }

    #[test]
    fn a_missing_command_is_named() {
        let without = |word: &str| {
            let lines: Vec<String> = guide().into_iter().filter(|line| !line.contains(word)).collect();
            Printed::parse(&lines).unwrap_err().to_string()
        };
        assert_eq!(without("--watch"), "1 commands belong under \"2  watch\", 0 are printed");
        assert_eq!(without("1  deploy"), "nothing printed starts with \"1  deploy\"");
        assert_eq!(without("curl"), "no curl command is printed");
    }

    #[test]
    fn totals_are_read_or_missed() {
        let tally = |text| Tally::parse(&lines(text));
        let read = tally("\nended; requests of this session: 27062 answered, 3 failed").unwrap();
        assert_eq!(read, Tally { answered: 27062, failed: 3 });
        assert!(tally("ready").is_err());
        assert!(tally("ended; requests of this session: many answered").is_err());
    }
}
