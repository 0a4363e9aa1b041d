//! Downloads a listing into a staging: many parts at once over the network, one after the other onto the disk.
//!
//! Parts are asked for in order and up to `parallel` of them are under way, so memory is bounded by
//! `parallel` × `part_bytes`, each file is hashed as it grows, and what is on disk is always a front part of it.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio_util::task::AbortOnDropHandle;

use super::listing::{Limits, Listing, RemoteFile};
use super::retry::{Attempt, Class, RetryPolicy, retrying};
use super::source::Source;
use super::staging::Staging;
use super::{FetchError, StoreOptions, blocking};

/// One request: a range of one file of the listing.
struct Part {
    index: usize,
    file: RemoteFile,
    range: Range<u64>,
}

/// What every part needs.
struct Download {
    source: Source,
    limits: Limits,
    retry: RetryPolicy,
}

/// Completes `staging`. `report` hears how many bytes are there after each part.
pub(super) async fn download(
    source: &Source,
    listing: &Listing,
    mut staging: Staging,
    options: &StoreOptions,
    report: impl Fn(u64),
) -> Result<Staging, FetchError> {
    report(staging.total_written());
    let download =
        Arc::new(Download { source: source.clone(), limits: options.limits.clone(), retry: options.retry.clone() });
    let parts = parts(listing, &staging, options.part_bytes.max(1));
    // Tasks, so that downloads go on while a part is hashed and written; aborted when this future is dropped.
    let mut parts = stream::iter(parts)
        .map(|part| {
            let download = Arc::clone(&download);
            AbortOnDropHandle::new(tokio::spawn(async move { download.part(part).await }))
        })
        .buffered(options.parallel.max(1));
    while let Some(joined) = parts.next().await {
        let (index, bytes) = joined.map_err(|error| FetchError::io("download task", &error.into()))??;
        staging = blocking(move || {
            staging.append(index, &bytes)?;
            Ok(staging)
        })
        .await?;
        report(staging.total_written());
    }
    Ok(staging)
}

/// What is missing, in the order of the listing.
fn parts(listing: &Listing, staging: &Staging, part_bytes: u64) -> Vec<Part> {
    let mut parts = Vec::new();
    for (index, file) in listing.files().iter().enumerate() {
        let mut start = staging.written(index);
        while start < file.size {
            let end = start.saturating_add(part_bytes).min(file.size);
            parts.push(Part { index, file: file.clone(), range: start..end });
            start = end;
        }
    }
    parts
}

impl Download {
    async fn part(&self, part: Part) -> Result<(usize, Bytes), FetchError> {
        let Part { index, file, range } = part;
        let object = format!("{}/{}", self.source.uri(), file.name);
        let attempt = || async {
            let stalled = |_| Attempt::new(Class::Transient, "the answer took too long");
            let read = self.source.get(&file, range.clone());
            tokio::time::timeout(self.limits.part_deadline, read).await.map_err(stalled)?
        };
        let read = retrying(&self.retry, &object, attempt).await;
        read.map(|bytes| (index, bytes)).map_err(|failure| FetchError::read(object, failure))
    }
}
