//! Which Git host the commit is at, and how to be let in: from flags, else from the CI job's own environment. Pure: the
//! environment is an argument. Everything that is missing is told at once.

use std::path::PathBuf;

use reqwest::{Url, header};

use crate::cli::client;
use crate::cli::exit::Failure;
use crate::cli::files;
use crate::cli::output::Clean;

/// Bytes of a token's file.
const TOKEN_MAX: u64 = 4096;

/// A Git host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Kind {
    /// GitHub, or GitHub Enterprise
    Github,
    /// GitLab, hosted or one's own
    Gitlab,
}

/// Where the status goes; what is absent is the CI job's.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HostArgs {
    /// The Git host; found where a CI of it runs this
    #[arg(long, value_enum, value_name = "HOST")]
    host: Option<Kind>,

    /// The host's API, such as <https://api.github.com> or <https://gitlab.com/api/v4>
    #[arg(long, value_name = "URL", value_parser = client::base_url)]
    api: Option<Url>,

    /// OWNER/NAME at GitHub; the project's number or path at GitLab
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,

    /// The commit
    #[arg(long, value_name = "SHA")]
    sha: Option<String>,

    /// File with the host's token, where no variable has it
    #[arg(long, value_name = "FILE")]
    git_token_file: Option<PathBuf>,

    /// What the status links to; the CI job, where there is one
    #[arg(long, value_name = "URL")]
    target_url: Option<Url>,
}

/// A host, and one commit there.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub(super) kind: Kind,
    /// Where statuses of the commit are posted.
    pub(super) statuses: Url,
    /// The header that lets in.
    pub(super) credential: (&'static str, header::HeaderValue),
    /// Whether the credential is GitLab's own of a job, which may do less.
    pub(super) job_token: bool,
    pub(super) target_url: Option<Url>,
}

// === impl Kind ===

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Github => "GitHub",
            Self::Gitlab => "GitLab",
        }
    }
}

// === impl HostArgs ===

impl HostArgs {
    /// The host that these flags and `variable` mean.
    pub(super) fn resolve(&self, variable: impl Fn(&str) -> Option<String>) -> Result<Host, Failure> {
        let variable = |name: &str| variable(name).filter(|text| !text.is_empty());
        let kind = match self.host {
            Some(kind) => kind,
            None if variable("GITHUB_ACTIONS").is_some() => Kind::Github,
            None if variable("GITLAB_CI").is_some() => Kind::Gitlab,
            None => {
                let failure = Failure::input("which Git host? neither GITHUB_ACTIONS nor GITLAB_CI is set");
                return Err(failure.hint("--host github or --host gitlab says it"));
            }
        };
        let mut missing = Vec::new();
        let api = self.api(kind, &variable).map_err(|why| missing.push(why)).ok();
        let path = self.path(kind, &variable).map_err(|why| missing.push(why)).ok();
        let sha = self.sha(kind, &variable).map_err(|why| missing.push(why)).ok();
        let token = self.token(kind, &variable).map_err(|why| missing.push(why)).ok();
        let (Some(api), Some(path), Some(sha), Some((credential, job_token))) = (api, path, sha, token) else {
            return Err(Failure::input(missing.join("\n")));
        };
        let target_url = self.target_url.clone().or_else(|| job_url(kind, &variable));
        Ok(Host { kind, statuses: statuses(api, &path, &sha), credential, job_token, target_url })
    }

    fn api(&self, kind: Kind, variable: &impl Fn(&str) -> Option<String>) -> Result<Url, String> {
        if let Some(api) = &self.api {
            return Ok(api.clone());
        }
        let (name, default) = match kind {
            Kind::Github => ("GITHUB_API_URL", "https://api.github.com"),
            Kind::Gitlab => ("CI_API_V4_URL", "https://gitlab.com/api/v4"),
        };
        let text = variable(name).unwrap_or_else(|| default.to_owned());
        client::base_url(&text).map_err(|why| format!("{name}: {why}"))
    }

    /// The parts of the path that name the repository.
    fn path(&self, kind: Kind, variable: &impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
        let name = match kind {
            Kind::Github => "GITHUB_REPOSITORY",
            Kind::Gitlab => "CI_PROJECT_ID",
        };
        let text = self.repository.clone().or_else(|| variable(name));
        let text = text.ok_or_else(|| format!("which repository? set {name}, or --repository"))?;
        let whole = |part: &str| !part.is_empty() && part != "." && part != "..";
        match kind {
            Kind::Github => match text.split('/').collect::<Vec<_>>()[..] {
                [owner, name] if whole(owner) && whole(name) => {
                    Ok(vec!["repos".to_owned(), owner.to_owned(), name.to_owned()])
                }
                _ => Err(format!("the repository {:?} is not OWNER/NAME", Clean(&text).to_string())),
            },
            Kind::Gitlab if text.split('/').all(whole) => Ok(vec!["projects".to_owned(), text]),
            Kind::Gitlab => Err(format!("the project {:?} is neither a number nor a path", Clean(&text).to_string())),
        }
    }

    fn sha(&self, kind: Kind, variable: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
        let name = match kind {
            Kind::Github => "GITHUB_SHA",
            Kind::Gitlab => "CI_COMMIT_SHA",
        };
        let text = self.sha.clone().or_else(|| variable(name));
        let text = text.ok_or_else(|| format!("which commit? set {name}, or --sha"))?;
        let whole = matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if whole {
            Ok(text)
        } else {
            Err(format!("{:?} is no whole commit id: 40 hex digits", Clean(&text).to_string()))
        }
    }

    fn token(
        &self,
        kind: Kind,
        variable: &impl Fn(&str) -> Option<String>,
    ) -> Result<((&'static str, header::HeaderValue), bool), String> {
        let file = match &self.git_token_file {
            Some(path) => Some(files::read_text(path, TOKEN_MAX).map_err(|failure| failure.message)?),
            None => None,
        };
        match kind {
            Kind::Github => {
                let token = file.or_else(|| variable("GITHUB_TOKEN")).ok_or("no token: set GITHUB_TOKEN")?;
                Ok((secret("authorization", "Bearer ", &token)?, false))
            }
            Kind::Gitlab => match file.or_else(|| variable("GITLAB_TOKEN")) {
                Some(token) => Ok((secret("private-token", "", &token)?, false)),
                None => {
                    let token = variable("CI_JOB_TOKEN").ok_or("no token: set GITLAB_TOKEN, or CI_JOB_TOKEN")?;
                    Ok((secret("job-token", "", &token)?, true))
                }
            },
        }
    }
}

fn secret(name: &'static str, prefix: &str, token: &str) -> Result<(&'static str, header::HeaderValue), String> {
    let value = header::HeaderValue::try_from(format!("{prefix}{}", token.trim()));
    let mut value = value.map_err(|_| "the token is not one line of printable ASCII".to_owned())?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// `{api}/{path}/statuses/{sha}`, each part escaped: a project's path is one part.
fn statuses(mut api: Url, path: &[String], sha: &str) -> Url {
    if let Ok(mut segments) = api.path_segments_mut() {
        segments.pop_if_empty().extend(path).extend(["statuses", sha]);
    }
    api
}

/// The page of the job that runs this.
fn job_url(kind: Kind, variable: &impl Fn(&str) -> Option<String>) -> Option<Url> {
    let text = match kind {
        Kind::Github => {
            let (server, repository) = (variable("GITHUB_SERVER_URL")?, variable("GITHUB_REPOSITORY")?);
            format!("{server}/{repository}/actions/runs/{}", variable("GITHUB_RUN_ID")?)
        }
        Kind::Gitlab => variable("CI_JOB_URL")?,
    };
    Url::parse(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

    fn none() -> HostArgs {
        HostArgs { host: None, api: None, repository: None, sha: None, git_token_file: None, target_url: None }
    }

    fn resolve(args: &HostArgs, variables: &[(&str, &str)]) -> Result<Host, String> {
        let found =
            args.resolve(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()));
        found.map_err(|failure| failure.message)
    }

    #[test]
    fn a_ci_job_says_everything_itself() {
        let github = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "acme/models"),
            ("GITHUB_SHA", SHA),
            ("GITHUB_TOKEN", "ghs_1"),
            ("GITHUB_API_URL", "https://git.example.com/api/v3"),
            ("GITHUB_SERVER_URL", "https://git.example.com"),
            ("GITHUB_RUN_ID", "42"),
        ];
        let host = resolve(&none(), &github).unwrap();
        assert_eq!(host.statuses.as_str(), format!("https://git.example.com/api/v3/repos/acme/models/statuses/{SHA}"));
        assert_eq!((host.credential.0, host.credential.1.to_str().unwrap()), ("authorization", "Bearer ghs_1"));
        assert_eq!(host.target_url.unwrap().as_str(), "https://git.example.com/acme/models/actions/runs/42");
        let gitlab = [
            ("GITLAB_CI", "true"),
            ("CI_API_V4_URL", "https://gitlab.example.com/api/v4"),
            ("CI_PROJECT_ID", "7"),
            ("CI_COMMIT_SHA", SHA),
            ("CI_JOB_TOKEN", "job"),
            ("CI_JOB_URL", "https://gitlab.example.com/acme/models/-/jobs/9"),
        ];
        let host = resolve(&none(), &gitlab).unwrap();
        assert_eq!(host.statuses.as_str(), format!("https://gitlab.example.com/api/v4/projects/7/statuses/{SHA}"));
        assert_eq!((host.credential.0, host.job_token), ("job-token", true));
        let with_token = [&gitlab[..], &[("GITLAB_TOKEN", "glpat")]].concat();
        let host = resolve(&none(), &with_token).unwrap();
        assert_eq!((host.credential.0, host.credential.1.to_str().unwrap()), ("private-token", "glpat"));
    }

    #[test]
    fn a_flag_goes_before_a_variable_and_a_path_is_one_part() {
        let args = HostArgs {
            host: Some(Kind::Gitlab),
            repository: Some("acme/teams/models".to_owned()),
            sha: Some(SHA.to_owned()),
            ..none()
        };
        let host =
            resolve(&args, &[("GITHUB_ACTIONS", "true"), ("GITLAB_TOKEN", "t"), ("CI_PROJECT_ID", "7")]).unwrap();
        let expected = format!("https://gitlab.com/api/v4/projects/acme%2Fteams%2Fmodels/statuses/{SHA}");
        assert_eq!((host.statuses.as_str(), host.target_url), (expected.as_str(), None));
    }

    #[test]
    fn everything_that_is_missing_or_wrong_is_told_at_once() {
        assert!(resolve(&none(), &[]).unwrap_err().contains("which Git host?"));
        let told = resolve(&none(), &[("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "")]).unwrap_err();
        for part in ["GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_TOKEN"] {
            assert!(told.contains(part), "{told}");
        }
        let bad = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REPOSITORY", "models"),
            ("GITHUB_SHA", "main"),
            ("GITHUB_TOKEN", "a\nb"),
            ("GITHUB_API_URL", "api.github.com"),
        ];
        let told = resolve(&none(), &bad).unwrap_err();
        for part in ["\"models\" is not OWNER/NAME", "\"main\" is no whole commit", "printable ASCII", "no scheme"] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
        for bad in ["..", "a//b", "../x", ""] {
            let args = HostArgs { host: Some(Kind::Gitlab), repository: Some(bad.to_owned()), ..none() };
            assert!(resolve(&args, &[]).unwrap_err().contains("neither a number nor a path"), "{bad}");
        }
    }
}
