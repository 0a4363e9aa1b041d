//! HTTP to a running server, for commands: one request, one answer, bounded in time and size, and failures that say
//! what to do. Knows the addresses and the error body, not what the answers mean.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode, Url, header};
use serde::de::DeserializeOwned;

use super::exit::{Exit, Failure};
use super::output::Clean;
use super::tls::TlsArgs;
use crate::outgoing::{self, innermost};

/// Says where the admin port is.
pub(crate) const ADMIN_URL_ENV: &str = "SLUICE_ADMIN_URL";
/// Says where the serving port is.
pub(crate) const URL_ENV: &str = "SLUICE_URL";
/// Says where a rollout is seen.
pub(crate) const STATUS_URL_ENV: &str = "SLUICE_STATUS_URL";

/// Names the file with the bearer token of staging's serving port.
pub(crate) const STAGING_TOKEN_FILE_ENV: &str = "SLUICE_STAGING_TOKEN_FILE";
/// Names the file with the serving port's bearer token.
pub(crate) const TOKEN_FILE_ENV: &str = "SLUICE_TOKEN_FILE";

/// What failures call the admin port.
const ADMIN_PORT: &str = "admin port";
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one answer may take, body included.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of one answer.
const ANSWER_MAX: usize = 64 << 20;
/// Bytes of a token file; a longer one is no token.
const TOKEN_MAX: u64 = 4096;

/// Where the admin port is, and how to be let in.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AdminArgs {
    /// The server's admin port
    #[arg(long, value_name = "URL", env = ADMIN_URL_ENV, hide_env_values = true, default_value = "http://127.0.0.1:8002", value_parser = base_url)]
    pub(crate) admin: Url,

    /// File with the admin port's bearer token; without one only a local server lets you in
    #[arg(long, value_name = "FILE", env = "SLUICE_ADMIN_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) tls: TlsArgs,
}

/// A server to ask.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    token: Option<header::HeaderValue>,
    what: &'static str,
}

/// An answer, whatever it says.
#[derive(Debug)]
pub(crate) struct Heard {
    /// What was asked.
    pub(crate) url: Url,
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
}

/// What a server says of an error, V1's and V2's alike.
#[derive(serde::Deserialize)]
struct ErrorBody {
    error: String,
}

/// Checks a URL that paths are added to.
pub(crate) fn base_url(text: &str) -> Result<Url, String> {
    let example = "write it as http://HOST:PORT";
    // `h:1` is a URL too, of the scheme `h`.
    let with_scheme = format!("http://{text}");
    if !text.contains("://") && !text.starts_with('/') && Url::parse(&with_scheme).is_ok() {
        return Err(format!("it has no scheme; write it as {with_scheme}"));
    }
    let mut url = Url::parse(text).map_err(|error| format!("{error}; {example}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(format!("this is no http or https URL; {example}"));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url.set_query(None);
    url.set_fragment(None);
    Ok(url)
}

/// Refuses a URL with a name and a password in it: every message that names the URL would show them. Not a part of
/// [`base_url`], since what a flag's parser refuses is repeated to the terminal.
pub(crate) fn without_password(url: &Url) -> Result<(), Failure> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(());
    }
    let host = url.host_str().unwrap_or_default();
    Err(Failure::input(format_args!(
        "the URL of {host} holds a name or password; a token goes into a file or variable of its own"
    )))
}

// === impl AdminArgs ===

impl AdminArgs {
    /// A client of the admin port.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        Client::over(&self.admin, ADMIN_PORT, self.token()?, &self.tls)
    }

    /// A client of whatever port is there; `what` names it in failures.
    pub(crate) fn client_of(&self, what: &'static str) -> Result<Client, Failure> {
        Client::over(&self.admin, what, self.token()?, &self.tls)
    }

    /// A client of one of several servers that share the name of `base`.
    pub(crate) fn client_at(&self, base: &Url, address: SocketAddr) -> Result<Client, Failure> {
        Client::build(base, ADMIN_PORT, self.token()?, &self.tls, Some(address))
    }

    fn token(&self) -> Result<Option<header::HeaderValue>, Failure> {
        self.token_file.as_deref().map(read_token).transpose()
    }
}

/// The header with the bearer token in a file of one line.
pub(crate) fn read_token(path: &std::path::Path) -> Result<header::HeaderValue, Failure> {
    let size = std::fs::metadata(path).map_err(|error| Failure::reading(path, &error))?.len();
    if size > TOKEN_MAX {
        return Err(Failure::input(format_args!("{} is no token: it has {size} bytes", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| Failure::reading(path, &error))?;
    let token = text.trim();
    let value = header::HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut value = value.ok_or_else(|| {
        Failure::input(format_args!("{} holds no token: one line of printable ASCII", path.display()))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

// === impl Heard ===

impl Heard {
    /// What the server says of its error.
    pub(crate) fn said(&self) -> String {
        let said = serde_json::from_slice::<ErrorBody>(&self.body).map(|body| body.error);
        Clean(&said.unwrap_or_else(|_| format!("{} answers {}", self.url, self.status))).to_string()
    }
}

// === impl Client ===

impl Client {
    /// A client of the server at `base`, over TLS as `tls` says where the URL asks for it; `what` names it in failures.
    pub(crate) fn over(
        base: &Url,
        what: &'static str,
        token: Option<header::HeaderValue>,
        tls: &TlsArgs,
    ) -> Result<Self, Failure> {
        Self::build(base, what, token, tls, None)
    }

    /// The same, at one `address` whatever the name of `base` stands for.
    fn build(
        base: &Url,
        what: &'static str,
        token: Option<header::HeaderValue>,
        tls: &TlsArgs,
        address: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        without_password(base)?;
        let mut builder = outgoing::client(base).connect_timeout(CONNECT_TIMEOUT).timeout(ANSWER_TIMEOUT);
        if let (Some(address), Some(name)) = (address, base.host_str()) {
            builder = builder.no_proxy().resolve(name, address);
        }
        let builder = tls.apply(builder, base.scheme() == "https")?;
        let http =
            builder.build().map_err(|error| Failure::failed(format_args!("no HTTP client: {}", innermost(&error))))?;
        Ok(Self { http, base: base.clone(), token, what })
    }

    /// `GET path`, an answer in JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Failure> {
        let (_, bytes) = self.ask(Method::GET, path, None, &[]).await?;
        self.decode(&bytes)
    }

    /// `POST path` with JSON, an answer in JSON and its headers.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &serde_json::Value,
        headers: &[(&'static str, String)],
    ) -> Result<(header::HeaderMap, T), Failure> {
        let (answered, bytes) = self.ask(Method::POST, path, Some(body), headers).await?;
        Ok((answered, self.decode(&bytes)?))
    }

    /// `GET path`, and whatever is answered: only no answer is a failure.
    pub(crate) async fn hear(&self, path: &[&str]) -> Result<Heard, Failure> {
        let url = self.url(path)?;
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        Ok(Heard { url, status: response.status(), body: self.body(response).await? })
    }

    async fn ask(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&serde_json::Value>,
        headers: &[(&'static str, String)],
    ) -> Result<(header::HeaderMap, Vec<u8>), Failure> {
        let mut request = self.http.request(method, self.url(path)?);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let (status, answered) = (response.status(), response.headers().clone());
        let bytes = self.body(response).await?;
        if status.is_success() {
            Ok((answered, bytes))
        } else if status == StatusCode::NOT_FOUND && self.what == ADMIN_PORT && self.serves_models().await {
            let failure = format!("{}: that is a serving port, not an admin port", self.base);
            Err(Failure::input(failure).hint("--admin URL says where the admin port is"))
        } else {
            Err(self.refused(status, &answered, &bytes))
        }
    }

    /// Whether this is a port of the Open Inference Protocol: it tells its name, and an admin port has nothing there.
    async fn serves_models(&self) -> bool {
        let Ok(url) = self.url(&["v2"]) else { return false };
        let Ok(response) = self.http.get(url).send().await else { return false };
        let found = response.status().is_success();
        let Ok(bytes) = self.body(response).await else { return false };
        found && serde_json::from_slice::<serde_json::Value>(&bytes).is_ok_and(|told| told["name"].is_string())
    }

    /// `base` and the segments of `path`, each escaped: a name is never a path.
    fn url(&self, path: &[&str]) -> Result<Url, Failure> {
        if let Some(bad) = path.iter().find(|segment| segment.is_empty() || **segment == "." || **segment == "..") {
            return Err(Failure::input(format_args!("{bad:?} is no name")));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        Ok(url)
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if bytes.len() + chunk.len() > ANSWER_MAX {
                return Err(Failure::failed(format_args!("{} answers with more than 64 MiB", self.base)));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    fn decode<T: DeserializeOwned>(&self, bytes: &[u8]) -> Result<T, Failure> {
        serde_json::from_slice(bytes).map_err(|error| {
            Failure::failed(format_args!("{} answers with something else than expected: {error}", self.base))
                .hint(format_args!("is this the {} of a sluice of this version?", self.what))
        })
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { innermost(error) };
        let failure = Failure::failed(format_args!("cannot reach the {} at {}: {why}", self.what, self.base));
        if error.is_connect() {
            let flag = if self.what == ADMIN_PORT { "--admin" } else { "--url" };
            let trust = if self.base.scheme() == "https" { ", and --tls-ca FILE whom to trust" } else { "" };
            return failure.hint(format_args!("is `sluice serve` running? {flag} URL says where{trust}"));
        }
        failure
    }

    fn refused(&self, status: StatusCode, headers: &header::HeaderMap, bytes: &[u8]) -> Failure {
        let said = serde_json::from_slice::<ErrorBody>(bytes).map(|body| body.error);
        let said = said.unwrap_or_else(|_| format!("{} answers {status}", self.base));
        let message = Clean(&said).to_string();
        let exit = match status {
            StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => Exit::BadInput,
            _ => Exit::Failed,
        };
        let failure = Failure { exit, message, hint: None };
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let port = if self.what == ADMIN_PORT { "SLUICE_ADMIN_TOKEN_FILE" } else { TOKEN_FILE_ENV };
                failure.hint(format_args!("say who you are: --token-file FILE or {port}, or --tls-cert with --tls-key"))
            }
            StatusCode::TOO_MANY_REQUESTS => match headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()) {
                Some(seconds) => failure.hint(format_args!("try again in {} s", Clean(seconds))),
                None => failure,
            },
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_checked_where_it_is_given() {
        assert_eq!(base_url("http://h:1").unwrap().as_str(), "http://h:1/");
        assert_eq!(base_url("https://h/a?b#c").unwrap().as_str(), "https://h/a/");
        for bare in ["h:1", "127.0.0.1:8000", "localhost:8000/prefix", "[::1]:8000"] {
            let told = base_url(bare).unwrap_err();
            assert_eq!(told, format!("it has no scheme; write it as http://{bare}"));
        }
        for bad in ["ftp://h", "http://", "", "/h", "//h", "a b"] {
            assert!(base_url(bad).unwrap_err().contains("http://HOST:PORT"), "{bad}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_not_shown() {
        let refused = |url: &str| without_password(&base_url(url).unwrap()).map_err(|failure| failure.message);
        assert_eq!(refused("https://h:1"), Ok(()));
        for bad in ["https://me:s3cret@h", "https://s3cret@h"] {
            let told = refused(bad).unwrap_err();
            assert!(told.starts_with("the URL of h holds") && !told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn a_name_never_leaves_its_place_in_the_path() {
        let base = base_url("http://h/prefix").unwrap();
        let client = Client::over(&base, "admin port", None, &TlsArgs::default()).unwrap();
        assert_eq!(client.url(&["v2", "models", "a/b?c"]).unwrap().as_str(), "http://h/prefix/v2/models/a%2Fb%3Fc");
        for bad in ["..", ".", ""] {
            assert_eq!(client.url(&["v2", bad]).unwrap_err().exit, Exit::BadInput);
        }
    }
}
