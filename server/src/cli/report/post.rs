//! Commit statuses at a Git host: what is said when (pure), and the requests, tried again where that can help.

use std::time::Duration;

use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::follow::Verdict;
use super::host::{Host, Kind};
use crate::cli::exit::Failure;
use crate::cli::output::Clean;
use crate::rollout::backoff;

/// Characters of a description: GitHub takes no more.
const DESCRIPTION_MAX: usize = 140;
/// Between two words on the way that differ only in their description.
const DESCRIPTIONS_APART: Duration = Duration::from_secs(30);
/// Words on the way; GitHub takes 1000 statuses of one name for a commit.
const DESCRIPTIONS_MAX: u32 = 200;
/// Tries of one status.
const ATTEMPTS_MAX: u32 = 6;
/// The longest wait that a host may ask for between two of them.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Characters of a host's complaint that are shown.
const COMPLAINT_MAX: usize = 300;

/// One status, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    state: &'static str,
    context: String,
    description: String,
}

/// What was said of one rollout.
#[derive(Debug)]
pub(super) struct Post {
    context: String,
    last: Option<(Due, Instant)>,
    count: u32,
}

/// Sends statuses.
pub(super) struct Poster {
    http: reqwest::Client,
    host: Host,
}

/// What came of one try.
enum Tried {
    Done,
    Again { why: String, after: Option<Duration> },
    Never(Failure),
}

// === impl Post ===

impl Post {
    pub(super) const fn new(context: String) -> Self {
        Self { context, last: None, count: 0 }
    }

    pub(super) fn context(&self) -> &str {
        &self.context
    }

    /// What `verdict` adds to what was said.
    ///
    /// GitLab's states are those of a job, and a job that runs cannot begin to run: it refuses the same state again.
    pub(super) fn due(&self, verdict: &Verdict, kind: Kind, now: Instant) -> Option<Due> {
        let due = Due {
            state: state(verdict, kind),
            context: self.context.clone(),
            description: cut(&Clean(verdict.text()).to_string()),
        };
        let Some((last, at)) = &self.last else { return Some(due) };
        if last.state != due.state {
            return Some(due);
        }
        let new = last.description != due.description && kind == Kind::Github;
        let in_time = now >= *at + DESCRIPTIONS_APART && self.count < DESCRIPTIONS_MAX;
        (new && in_time).then_some(due)
    }

    pub(super) fn sent(&mut self, due: Due, now: Instant) {
        self.count += 1;
        self.last = Some((due, now));
    }

    /// The first word shows whether the host takes any; the last is what the commit is left with.
    pub(super) fn must_be_heard(&self, verdict: &Verdict) -> bool {
        self.last.is_none() || !matches!(verdict, Verdict::Pending(_))
    }
}

const fn state(verdict: &Verdict, kind: Kind) -> &'static str {
    match (verdict, kind) {
        (Verdict::Pending(_), Kind::Github) => "pending",
        (Verdict::Pending(_), Kind::Gitlab) => "running",
        (Verdict::Success(_), _) => "success",
        (Verdict::Failure(_), Kind::Github) => "failure",
        (Verdict::Error(_), Kind::Github) => "error",
        (Verdict::Failure(_) | Verdict::Error(_), Kind::Gitlab) => "failed",
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(DESCRIPTION_MAX).collect();
    if text.chars().nth(DESCRIPTION_MAX).is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}

// === impl Poster ===

impl Poster {
    pub(super) fn new(host: Host) -> Result<Self, Failure> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")));
        let http = builder.build().map_err(|error| Failure::failed(format_args!("no HTTP client: {error}")))?;
        Ok(Self { http, host })
    }

    pub(super) const fn kind(&self) -> Kind {
        self.host.kind
    }

    /// Sends `due`, and again where the host is only busy.
    pub(super) async fn send(&self, due: &Due) -> Result<(), Failure> {
        let mut attempts = 0;
        loop {
            let (why, after) = match self.try_send(due).await {
                Tried::Done => return Ok(()),
                Tried::Never(failure) => return Err(failure),
                Tried::Again { why, after } => (why, after),
            };
            attempts += 1;
            if attempts == ATTEMPTS_MAX {
                let host = self.host.kind.name();
                return Err(Failure::failed(format_args!("{host} did not take the status in {attempts} tries: {why}")));
            }
            let wait = after.unwrap_or_else(|| backoff::delay(attempts, rand::random()));
            tokio::time::sleep(wait.min(RETRY_AFTER_MAX)).await;
        }
    }

    async fn try_send(&self, due: &Due) -> Tried {
        let (name, credential) = self.host.credential.clone();
        let mut request = self.http.post(self.host.statuses.clone()).header(name, credential).json(&self.body(due));
        if self.host.kind == Kind::Github {
            request = request.header(header::ACCEPT, "application/vnd.github+json");
            request = request.header("x-github-api-version", "2022-11-28");
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Tried::Again { why: error.without_url().to_string(), after: None },
        };
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_success() {
            return Tried::Done;
        }
        // The beginning of an answer tells what is wrong; a whole one may be a page.
        let beginning = response.chunk().await.ok().flatten().unwrap_or_default();
        let complaint = complaint(&beginning);
        judge(&self.host, status, &headers, &complaint)
    }

    fn body(&self, due: &Due) -> Value {
        let name = match self.host.kind {
            Kind::Github => "context",
            Kind::Gitlab => "name",
        };
        let mut body = json!({ "state": due.state, name: due.context, "description": due.description });
        if let Some(url) = &self.host.target_url {
            body["target_url"] = json!(url.as_str());
        }
        body
    }
}

/// What an answer other than success means. Pure.
fn judge(host: &Host, status: StatusCode, headers: &header::HeaderMap, complaint: &str) -> Tried {
    let seconds = |name| headers.get(name)?.to_str().ok()?.parse().ok().map(Duration::from_secs);
    let after = seconds(header::RETRY_AFTER.as_str());
    let why = format!("{} answers {}: {complaint}", host.kind.name(), status.as_u16());
    // GitHub says 403 with a Retry-After when there were too many requests.
    let busy = status == StatusCode::TOO_MANY_REQUESTS || (status == StatusCode::FORBIDDEN && after.is_some());
    if status.is_server_error() || busy {
        return Tried::Again { why, after };
    }
    // Said before: another run of this job, or an answer that was lost.
    if host.kind == Kind::Gitlab && status == StatusCode::BAD_REQUEST && complaint.contains("Cannot transition status")
    {
        return Tried::Done;
    }
    let failure = Failure::failed(why);
    Tried::Never(match (status, host.kind) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, Kind::Github) => {
            failure.hint("GITHUB_TOKEN needs `permissions: statuses: write` in the workflow")
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, Kind::Gitlab) if host.job_token => {
            failure.hint("the job's own token may not do it here: give GITLAB_TOKEN one with the scope `api`")
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND, Kind::Gitlab) => {
            failure.hint("GITLAB_TOKEN needs the scope `api`, and the role Developer in the project")
        }
        _ => failure,
    })
}

/// What a host says of an error, on one line.
fn complaint(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Value>(body).ok().and_then(|body| match &body["message"] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    Clean(&text).to_string().chars().take(COMPLAINT_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(text: &str) -> Verdict {
        Verdict::Pending(text.to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_said_is_said_once_and_the_way_in_moderation() {
        let now = Instant::now();
        let mut post = Post::new("sluice/m".to_owned());
        let first = post.due(&pending("waiting"), Kind::Github, now).unwrap();
        assert!(post.must_be_heard(&pending("waiting")));
        post.sent(first, now);
        assert_eq!(post.due(&pending("waiting"), Kind::Github, now + DESCRIPTIONS_APART), None);
        assert_eq!(post.due(&pending("step 1"), Kind::Github, now), None, "too soon");
        let later = post.due(&pending("step 1"), Kind::Github, now + DESCRIPTIONS_APART);
        assert_eq!(later.map(|due| due.description).as_deref(), Some("step 1"));
        assert!(!post.must_be_heard(&pending("step 1")));
        let done = Verdict::Success("v2 is stable".to_owned());
        assert!(post.due(&done, Kind::Gitlab, now).is_some() && post.must_be_heard(&done));
        let mut job = Post::new("sluice/m".to_owned());
        let running = job.due(&pending("waiting"), Kind::Gitlab, now).unwrap();
        job.sent(running, now);
        assert_eq!(job.due(&pending("step 1"), Kind::Gitlab, now + DESCRIPTIONS_APART), None, "it runs already");
        post.count = DESCRIPTIONS_MAX;
        assert_eq!(post.due(&pending("step 2"), Kind::Github, now + DESCRIPTIONS_APART), None);
    }

    #[test]
    fn each_host_has_its_own_words() {
        let verdicts =
            [Verdict::Pending, Verdict::Success, Verdict::Failure, Verdict::Error].map(|of| of(String::new()));
        let words = |kind| verdicts.each_ref().map(|verdict| state(verdict, kind));
        assert_eq!(words(Kind::Github), ["pending", "success", "failure", "error"]);
        assert_eq!(words(Kind::Gitlab), ["running", "success", "failed", "failed"]);
    }

    #[test]
    fn a_description_is_short_and_on_one_line() {
        let post = Post::new("c".to_owned());
        let due = |text: &str| {
            // The clock says nothing about a first word.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async { post.due(&pending(text), Kind::Github, Instant::now()) }).unwrap().description
        };
        assert_eq!(due("a\nb\u{1b}"), "a b ");
        let long = due(&"é".repeat(141));
        assert_eq!((long.chars().count(), long.ends_with('…')), (DESCRIPTION_MAX, true));
        assert_eq!(due(&"é".repeat(140)).chars().count(), 140);
    }

    #[test]
    fn a_complaint_is_what_the_host_says() {
        assert_eq!(complaint(br#"{"message": "Bad credentials"}"#), "Bad credentials");
        assert_eq!(complaint(br#"{"message": {"state": ["is wrong"]}}"#), r#"{"state":["is wrong"]}"#);
        assert_eq!(complaint(b"<html>\n502"), "<html> 502");
        assert_eq!(complaint("x".repeat(1000).as_bytes()).len(), COMPLAINT_MAX);
    }
}
