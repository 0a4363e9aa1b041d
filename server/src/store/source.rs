//! From a storage URI to an object store and the artifact's place in it. The only file that knows the clouds by name.
//!
//! Options come from an [`Environment`] under the names the clouds use (`AWS_*`, `GOOGLE_*`, `AZURE_*`). Without
//! credentials there, each client falls back to what its platform offers: workload identity on GKE, web identity or
//! instance metadata on AWS, managed identity on Azure. `http(s)` cannot list: its `manifest.json` is the listing.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use config::StorageUri;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientConfigKey, GetOptions, GetRange, ObjectMeta, ObjectStore, RetryConfig};

use super::FetchError;
use super::digest::{MANIFEST_NAME, MARKER_NAME};
use super::listing::{Limits, Listing, Refusal, RemoteFile, being_pushed};
use super::manifest::{MANIFEST_BYTES_MAX, Manifest};
use super::retry::{Attempt, Class, Failure, RetryPolicy, retrying};

/// Cloud options by their environment names, read once at start. Values are secrets: they are never shown.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

/// One artifact directory of an object store.
#[derive(Clone)]
pub(super) struct Source {
    uri: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    kind: Kind,
}

/// How a source differs from a plain object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Lists objects, with entity tags that are sent back as they are.
    Listed,
    /// A cloud: some listings leave out the quotes that HTTP wants around an entity tag (Azure's does).
    Cloud,
    /// A web server: `manifest.json` says what there is.
    Manifest,
}

/// Who repeats a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// The caller, with [`retrying`].
    Caller,
    /// The client itself; uploads use this.
    Client,
}

impl Environment {
    /// The clouds' variables of this process.
    #[must_use]
    pub fn from_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from_pairs(std::env::vars_os().filter_map(text))
    }

    /// The clouds' variables among `pairs`.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let cloud = |name: &str| ["AWS_", "GOOGLE_", "AZURE_"].iter().any(|prefix| name.starts_with(prefix));
        Self(pairs.into_iter().map(|(n, v)| (n.into(), v.into())).filter(|(name, _)| cloud(name)).collect())
    }

    /// The options of one cloud that its client knows; others (`AWS_PROFILE`, …) belong to other tools.
    fn options<K: std::str::FromStr>(&self, prefix: &str) -> Vec<(K, &str)> {
        self.0
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.as_str())))
            .collect()
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Source {
    /// A client for `uri`. Makes no request, except that a `file` directory has to exist.
    pub(super) fn open(uri: &StorageUri, environment: &Environment, repeats: Repeats) -> Result<Self, FetchError> {
        let refused = |reason: String| FetchError::Source { uri: uri.to_string(), reason };
        if uri.url().scheme() == "file" && !local_path(uri.url()).is_dir() {
            return Err(refused("there is no such directory; push the version, or correct storageUri".to_owned()));
        }
        let (store, kind) = client(uri, environment, repeats).map_err(|error| refused(error.to_string()))?;
        let prefix = match uri.url().scheme() {
            "file" => Path::default(),
            _ => Path::from_url_path(uri.url().path()).map_err(|error| refused(error.to_string()))?,
        };
        Ok(Self::new(uri.to_string(), store, prefix, kind))
    }

    /// A source on a client that exists already.
    pub(super) fn new(uri: String, store: Arc<dyn ObjectStore>, prefix: Path, kind: Kind) -> Self {
        Self { uri: uri.trim_end_matches('/').to_owned(), store, prefix, kind }
    }

    /// The URI, without a slash at its end.
    pub(super) fn uri(&self) -> &str {
        &self.uri
    }

    pub(super) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Where the file `name` is or will be.
    pub(super) fn location(&self, name: &str) -> Result<Path, object_store::path::Error> {
        let prefix = self.prefix.as_ref();
        if prefix.is_empty() { Path::parse(name) } else { Path::parse(format!("{prefix}/{name}")) }
    }

    /// Lists the artifact, with repeats and a deadline for each attempt. What a push has not finished is no artifact.
    pub(super) async fn list(&self, limits: &Limits, policy: &RetryPolicy) -> Result<Listing, FetchError> {
        let files = self.list_objects(limits, policy).await?;
        if being_pushed(&files) {
            let reason = format!(
                "`sluice push` is at work there, or was cut off ({MARKER_NAME}); the same push again completes it"
            );
            return Err(FetchError::Unfinished { uri: self.uri.clone(), reason });
        }
        self.checked(files, limits)
    }

    /// The same, for the push itself.
    pub(super) async fn list_unfinished(&self, limits: &Limits, policy: &RetryPolicy) -> Result<Listing, FetchError> {
        let files = self.list_objects(limits, policy).await?;
        self.checked(files, limits)
    }

    async fn list_objects(&self, limits: &Limits, policy: &RetryPolicy) -> Result<Vec<RemoteFile>, FetchError> {
        let attempt = || async {
            let stalled = |_| Attempt::new(Class::Transient, "the listing took too long");
            tokio::time::timeout(limits.listing_deadline, self.list_once(limits)).await.map_err(stalled)?
        };
        let listed = retrying(policy, &self.uri, attempt).await;
        listed.map_err(|failure| self.list_failure(failure))?
    }

    fn checked(&self, files: Vec<RemoteFile>, limits: &Limits) -> Result<Listing, FetchError> {
        let listing = Listing::check(files, limits).map_err(|refusal| match refusal {
            Refusal::Bounds(problems) => FetchError::Bounds { uri: self.uri.clone(), problems },
            Refusal::Pickle(files) => FetchError::Pickle { uri: self.uri.clone(), files },
        })?;
        if listing.files().is_empty() { Err(FetchError::Empty { uri: self.uri.clone() }) } else { Ok(listing) }
    }

    /// A listing that finds nothing says nothing: 404 for a directory is "empty", never "deleted".
    fn list_failure(&self, failure: Failure) -> FetchError {
        match failure.class {
            Class::Missing => FetchError::Empty { uri: self.uri.clone() },
            _ => FetchError::read(self.uri.clone(), failure),
        }
    }

    async fn list_once(&self, limits: &Limits) -> Result<Result<Vec<RemoteFile>, FetchError>, Attempt> {
        if self.kind == Kind::Manifest {
            return self.list_manifest().await;
        }
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let most = limits.objects_max();
        // One over the limit is enough to know that there are too many.
        let objects: Vec<ObjectMeta> = self.store.list(prefix).take(most.saturating_add(1)).try_collect().await?;
        if objects.len() > most {
            let problem = format!("it lists more than {most} objects, Git's own files and folder markers included");
            return Ok(Err(FetchError::Bounds { uri: self.uri.clone(), problems: vec![problem] }));
        }
        Ok(Ok(objects.into_iter().map(|object| self.remote_file(object)).collect()))
    }

    fn remote_file(&self, object: ObjectMeta) -> RemoteFile {
        let name = object.location.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or(object.location.as_ref());
        RemoteFile {
            name: name.trim_start_matches('/').to_owned(),
            size: object.size,
            tag: object.e_tag,
            modified_ms: object.last_modified.timestamp_millis(),
            sha256: None,
            location: object.location,
        }
    }

    async fn list_manifest(&self) -> Result<Result<Vec<RemoteFile>, FetchError>, Attempt> {
        let bytes = self.get_small(MANIFEST_NAME, MANIFEST_BYTES_MAX).await?;
        let refused = |problem: String| FetchError::Manifest { uri: self.uri.clone(), problems: vec![problem] };
        let manifest = match Manifest::parse(&bytes) {
            Ok(manifest) => manifest,
            Err(problem) => return Ok(Err(refused(problem))),
        };
        let mut files = Vec::with_capacity(manifest.files.len());
        for file in manifest.files {
            // A bad name is kept as it is, for the listing's own check to report with the others.
            let location = self.location(&file.name).unwrap_or_default();
            let (size, sha256) = (file.size, Some(file.sha256));
            files.push(RemoteFile { name: file.name, location, size, tag: None, modified_ms: 0, sha256 });
        }
        Ok(Ok(files))
    }

    /// Bytes `range` of `file`: exactly these, of exactly the object that was listed.
    pub(super) async fn get(&self, file: &RemoteFile, range: Range<u64>) -> Result<Bytes, Attempt> {
        let whole = range == (0..file.size);
        let options = GetOptions {
            range: (!whole).then(|| GetRange::Bounded(range.clone())),
            if_match: file.tag.as_deref().and_then(|tag| self.precondition(tag)),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&file.location, options).await.map_err(ranges_explained)?;
        check_same(file, &answer.meta)?;
        let expected = range.end - range.start;
        collect(answer.into_stream(), expected, expected).await
    }

    /// A whole file of at most `bytes_max` bytes.
    pub(super) async fn get_small(&self, name: &str, bytes_max: u64) -> Result<Bytes, Attempt> {
        let unsupported = |error: object_store::path::Error| Attempt::new(Class::Unsupported, error.to_string());
        let location = self.location(name).map_err(unsupported)?;
        let answer = self.store.get_opts(&location, GetOptions::default()).await?;
        collect(answer.into_stream(), 0, bytes_max).await
    }

    /// The `If-Match` value of a listed tag. Weak tags never match by the HTTP rules, so they are not sent.
    fn precondition(&self, tag: &str) -> Option<String> {
        match self.kind {
            _ if tag.starts_with("W/") => None,
            Kind::Cloud if !tag.starts_with('"') => Some(format!("\"{tag}\"")),
            _ => Some(tag.to_owned()),
        }
    }
}

fn client(
    uri: &StorageUri,
    environment: &Environment,
    repeats: Repeats,
) -> object_store::Result<(Arc<dyn ObjectStore>, Kind)> {
    let retry = match repeats {
        Repeats::Caller => RetryConfig { max_retries: 0, ..RetryConfig::default() },
        Repeats::Client => RetryConfig::default(),
    };
    let url = uri.url();
    let bucket = url.host_str().unwrap_or_default();
    Ok(match url.scheme() {
        "s3" => {
            let builder = AmazonS3Builder::new().with_retry(retry).with_bucket_name(bucket);
            let options = environment.options("AWS_").into_iter();
            (Arc::new(options.fold(builder, |b, (key, value)| b.with_config(key, value)).build()?), Kind::Cloud)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::new().with_retry(retry).with_bucket_name(bucket);
            let options = environment.options("GOOGLE_").into_iter();
            (Arc::new(options.fold(builder, |b, (key, value)| b.with_config(key, value)).build()?), Kind::Cloud)
        }
        "az" => {
            let builder = MicrosoftAzureBuilder::new().with_retry(retry).with_container_name(bucket);
            let options = environment.options("AZURE_").into_iter();
            let built = options.fold(builder, |b, (key, value)| b.with_config(key, value)).build()?;
            (Arc::new(built), Kind::Cloud)
        }
        "file" => (Arc::new(LocalFileSystem::new_with_prefix(local_path(url))?), Kind::Listed),
        scheme => {
            // The operator wrote `http://` in full: that is the permission to use it.
            let builder = HttpBuilder::new().with_retry(retry).with_url(url[..url::Position::BeforePath].to_owned());
            let plain = (scheme == "http").to_string();
            (Arc::new(builder.with_config(ClientConfigKey::AllowHttp, plain).build()?), Kind::Manifest)
        }
    })
}

/// The directory of a `file` URI.
pub(super) fn local_path(url: &url::Url) -> std::path::PathBuf {
    url.to_file_path().unwrap_or_else(|()| FsPath::new(url.path()).to_path_buf())
}

fn ranges_explained(error: object_store::Error) -> Attempt {
    let mut attempt = Attempt::from(error);
    if attempt.class == Class::Unsupported {
        attempt.reason = format!("{}; large files need a server that answers range requests", attempt.reason);
    }
    attempt
}

fn check_same(file: &RemoteFile, answer: &ObjectMeta) -> Result<(), Attempt> {
    let plain = |tag: &str| tag.trim_start_matches("W/").trim_matches('"').to_owned();
    if answer.size != file.size {
        let reason = format!("it has {} bytes, {} were listed", answer.size, file.size);
        return Err(Attempt::new(Class::Changed, reason));
    }
    match (&file.tag, &answer.e_tag) {
        (Some(listed), Some(got)) if plain(listed) != plain(got) => {
            Err(Attempt::new(Class::Changed, format!("its entity tag is {got}, {listed} was listed")))
        }
        _ => Ok(()),
    }
}

/// Reads a body of `min..=max` bytes; a short one was cut off on the way.
async fn collect(
    mut body: impl futures::Stream<Item = object_store::Result<Bytes>> + Unpin,
    min: u64,
    max: u64,
) -> Result<Bytes, Attempt> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() as u64 > max {
            return Err(Attempt::new(Class::Changed, format!("the answer has more than {max} bytes")));
        }
    }
    if (bytes.len() as u64) < min {
        return Err(Attempt::new(Class::Transient, format!("the answer ended after {} of {min} bytes", bytes.len())));
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(uri: &str, pairs: &[(&str, &str)]) -> Result<Source, FetchError> {
        let environment = Environment::from_pairs(pairs.iter().copied());
        Source::open(&StorageUri::new(uri).unwrap(), &environment, Repeats::Caller)
    }

    #[test]
    fn each_scheme_makes_its_client() {
        let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "a"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
        for (uri, pairs, expected) in [
            ("s3://bucket/models/m/v1", &[("AWS_REGION", "eu-west-1")][..], "models/m/v1"),
            ("gs://bucket/models/m/v1/", &[("GOOGLE_SKIP_SIGNATURE", "true")], "models/m/v1"),
            ("az://container/m", &azure, "m"),
            ("https://models.example/m/v1", &[], "m/v1"),
        ] {
            let source = open(uri, pairs).unwrap();
            assert_eq!(source.prefix.as_ref(), expected);
            assert!(!source.uri().ends_with('/'));
        }
    }

    #[test]
    fn a_client_that_cannot_be_made_says_why_and_is_not_permanent() {
        let error = open("az://container/m", &[]).err().unwrap();
        assert!(matches!(error, FetchError::Source { .. }) && !error.permanent(), "{error}");
        assert!(open("file:///nowhere/at/all", &[]).err().unwrap().to_string().contains("/nowhere/at/all"));
    }

    fn file(size: u64, tag: Option<&str>) -> RemoteFile {
        let tag = tag.map(str::to_owned);
        RemoteFile { name: "f".to_owned(), location: Path::from("f"), size, tag, modified_ms: 0, sha256: None }
    }

    /// The answer to a read of an object of `size` bytes with `tag`.
    fn answer(size: u64, tag: Option<&str>) -> ObjectMeta {
        let (e_tag, last_modified) = (tag.map(str::to_owned), Default::default());
        ObjectMeta { location: Path::from("f"), last_modified, size, e_tag, version: None }
    }

    #[test]
    fn an_answer_of_another_object_is_a_change() {
        let same = |listed: &RemoteFile, answer: &ObjectMeta| check_same(listed, answer).is_ok();
        assert!(same(&file(3, Some("\"t\"")), &answer(3, Some("\"t\""))));
        assert!(same(&file(3, Some("t")), &answer(3, Some("\"t\""))), "quotes are no difference");
        assert!(same(&file(3, Some("t")), &answer(3, None)));
        assert!(!same(&file(3, Some("t")), &answer(3, Some("u"))));
        assert!(!same(&file(3, None), &answer(4, None)));
    }

    #[test]
    fn preconditions_are_sent_in_the_form_that_each_source_takes() {
        let source =
            |kind| Source::new(String::new(), Arc::new(object_store::memory::InMemory::new()), Path::default(), kind);
        assert_eq!(source(Kind::Cloud).precondition("0x8D"), Some("\"0x8D\"".to_owned()));
        assert_eq!(source(Kind::Cloud).precondition("\"abc\""), Some("\"abc\"".to_owned()));
        assert_eq!(source(Kind::Listed).precondition("12-34"), Some("12-34".to_owned()));
        assert_eq!(source(Kind::Cloud).precondition("W/\"abc\""), None);
    }

    #[test]
    fn other_tools_variables_are_ignored_and_values_are_not_shown() {
        let environment =
            Environment::from_pairs([("AWS_PROFILE", "p"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("X", "y")]);
        let keys: Vec<(object_store::aws::AmazonS3ConfigKey, &str)> = environment.options("AWS_");
        assert_eq!(keys.len(), 1);
        let shown = format!("{environment:?}");
        assert!(shown.contains("AWS_SECRET_ACCESS_KEY") && !shown.contains("hush"));
    }
}
