//! An object store that misbehaves on request.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};
use parking_lot::Mutex;

/// A request that reaches the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    List,
    Get(String, Option<Range<u64>>),
    Put(String),
}

/// What happens to it.
pub(super) enum Fault {
    None,
    /// 503.
    Unavailable,
    /// 403.
    Denied,
    /// The body ends after so many bytes.
    Truncate(usize),
    /// No answer, ever.
    Stall,
    /// The object is replaced just before it is read or written.
    Replace(&'static [u8]),
    /// Objects cannot be created only where there is none.
    Unconditional,
    /// The listing is empty.
    Empty,
    /// The listing is in an order that no store promises.
    Reverse,
}

type Plan = Box<dyn FnMut(&Request) -> Fault + Send>;

/// Memory, with faults on the way.
pub(super) struct Faulty {
    pub(super) inner: InMemory,
    plan: Mutex<Plan>,
    requests: Mutex<Vec<Request>>,
    /// Reads that did not say which entity tag they expect.
    unconditional: Mutex<Vec<String>>,
}

impl Faulty {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            plan: Mutex::new(Box::new(|_| Fault::None)),
            requests: Mutex::default(),
            unconditional: Mutex::default(),
        })
    }

    pub(super) async fn put(&self, path: &str, content: &[u8]) {
        self.inner.put(&Path::from(path), content.to_vec().into()).await.unwrap();
    }

    pub(super) async fn content(&self, path: &str) -> Bytes {
        self.inner.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
    }

    pub(super) async fn delete(&self, path: &str) {
        self.inner.delete(&Path::from(path)).await.unwrap();
    }

    /// Asks `plan` about each request from now on, and forgets the requests so far.
    pub(super) fn on(&self, plan: impl FnMut(&Request) -> Fault + Send + 'static) {
        *self.plan.lock() = Box::new(plan);
        self.requests.lock().clear();
    }

    /// Behaves from now on, and forgets the requests so far.
    pub(super) fn behave(&self) {
        self.on(|_| Fault::None);
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.requests.lock().clone()
    }

    pub(super) fn gets(&self) -> usize {
        self.requests().iter().filter(|request| matches!(request, Request::Get(..))).count()
    }

    pub(super) fn unconditional(&self) -> Vec<String> {
        self.unconditional.lock().clone()
    }

    fn fault(&self, request: Request) -> Fault {
        let fault = (self.plan.lock())(&request);
        self.requests.lock().push(request);
        fault
    }
}

fn unavailable() -> Error {
    Error::Generic { store: "faulty", source: "503 service unavailable".into() }
}

fn denied(path: &str) -> Error {
    Error::PermissionDenied { path: path.to_owned(), source: "403 forbidden".into() }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        match self.fault(Request::Put(location.to_string())) {
            Fault::Unavailable => return Err(unavailable()),
            Fault::Denied => return Err(denied(location.as_ref())),
            Fault::Replace(content) => self.put(location.as_ref(), content).await,
            Fault::Unconditional if opts.mode == PutMode::Create => {
                return Err(Error::NotImplemented { operation: "create".into(), implementer: "faulty".into() });
            }
            _ => {}
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, at: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let range = match &options.range {
            Some(object_store::GetRange::Bounded(range)) => Some(range.clone()),
            _ => None,
        };
        if options.if_match.is_none() {
            self.unconditional.lock().push(location.to_string());
        }
        let mut keep = None;
        match self.fault(Request::Get(location.to_string(), range)) {
            Fault::Unavailable => return Err(unavailable()),
            Fault::Denied => return Err(denied(location.as_ref())),
            Fault::Stall => std::future::pending().await,
            Fault::Replace(content) => self.put(location.as_ref(), content).await,
            Fault::Truncate(bytes) => keep = Some(bytes),
            Fault::None | Fault::Unconditional | Fault::Empty | Fault::Reverse => {}
        }
        let mut result = self.inner.get_opts(location, options).await?;
        if let Some(keep) = keep {
            let meta = (result.meta.clone(), result.range.clone(), result.attributes.clone());
            let mut bytes: Bytes = result.bytes().await?;
            bytes.truncate(keep);
            let payload = GetResultPayload::Stream(stream::once(async move { Ok(bytes) }).boxed());
            let (meta, range, attributes) = meta;
            result = GetResult { payload, meta, range, attributes, extensions: Default::default() };
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = self.inner.list(prefix);
        match self.fault(Request::List) {
            Fault::Unavailable => stream::once(async { Err(unavailable()) }).boxed(),
            Fault::Denied => stream::once(async { Err(denied("list")) }).boxed(),
            Fault::Stall => stream::pending().boxed(),
            Fault::Empty => stream::empty().boxed(),
            Fault::Reverse => stream::once(async move {
                let mut all: Vec<ObjectMeta> = listed.try_collect().await?;
                all.reverse();
                Ok::<_, Error>(stream::iter(all.into_iter().map(Ok)))
            })
            .try_flatten()
            .boxed(),
            _ => listed,
        }
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}
