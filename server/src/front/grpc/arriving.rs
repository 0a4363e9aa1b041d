//! Request bodies while their messages arrive. tonic gathers a message until it is whole, within the limit of one; all
//! that are gathered at one time, over all streams and connections, have to fit the budget too.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::front::Budget;
use crate::front::budget::Held;
use crate::front::status::grpc_status;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// A body whose unfinished message takes room in the budget. What is whole is counted by who works on it.
#[derive(Debug)]
pub(super) struct Arriving<B> {
    body: B,
    budget: Budget,
    held: Held,
    framing: Framing,
}

impl<B> Arriving<B> {
    pub(super) fn new(body: B, budget: Budget) -> Self {
        Self { body, budget, held: Held::default(), framing: Framing::default() }
    }
}

impl<B> Body for Arriving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        if let Some(data) = frame.data_ref() {
            let before = this.framing.unfinished;
            this.framing.pass(data);
            if this.framing.unfinished < before + data.len() {
                this.held = Held::default();
            }
            let grown = this.budget.grow(&mut this.held, this.framing.unfinished);
            grown.map_err(|error| grpc_status(&error))?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// How far a row of messages has come. Before each stand [five bytes](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md):
/// whether it is compressed, and its length as a big-endian number.
#[derive(Debug, Default)]
struct Framing {
    prefix: [u8; 5],
    prefix_have: usize,
    message_left: usize,
    /// Bytes of the message that is not yet whole, its prefix included.
    unfinished: usize,
}

impl Framing {
    fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() {
            data = if self.prefix_have < self.prefix.len() { self.take_prefix(data) } else { self.take_message(data) };
            if self.prefix_have == self.prefix.len() && self.message_left == 0 {
                *self = Self::default();
            }
        }
    }

    fn take_prefix<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let missing = &mut self.prefix[self.prefix_have..];
        let (taken, rest) = data.split_at(missing.len().min(data.len()));
        missing[..taken.len()].copy_from_slice(taken);
        self.prefix_have += taken.len();
        self.unfinished += taken.len();
        if self.prefix_have == self.prefix.len() {
            let [_, length @ ..] = self.prefix;
            self.message_left = u32::from_be_bytes(length) as usize;
        }
        rest
    }

    fn take_message<'d>(&mut self, data: &'d [u8]) -> &'d [u8] {
        let (taken, rest) = data.split_at(self.message_left.min(data.len()));
        self.message_left -= taken.len();
        self.unfinished += taken.len();
        rest
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::{FutureExt as _, stream};
    use http_body_util::{BodyExt as _, StreamBody};
    use proptest::prelude::*;

    use super::*;
    use crate::front::status::PUSHBACK;

    fn message(bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes).unwrap().to_be_bytes();
        [&[0], &length[..], &vec![7; bytes]].concat()
    }

    fn arriving(
        budget: &Budget,
        chunks: Vec<Vec<u8>>,
    ) -> Arriving<impl Body<Data = Bytes, Error = Infallible> + Unpin> {
        let frames = chunks.into_iter().map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
        Arriving::new(StreamBody::new(stream::iter(frames)), budget.clone())
    }

    fn next<B: Body<Data = Bytes, Error = Error> + Unpin>(body: &mut B) -> Result<usize, tonic::Status> {
        let frame = body.frame().now_or_never().unwrap().unwrap();
        frame.map(|frame| frame.into_data().unwrap().len()).map_err(tonic::Status::from_error)
    }

    #[test]
    fn a_message_takes_room_until_it_is_whole() {
        let budget = Budget::of(1 << 20);
        let whole = message(600 << 10);
        let (first, second) = whole.split_at(500 << 10);
        let mut one = arriving(&budget, vec![first.to_vec(), second.to_vec(), first.to_vec()]);
        let mut two = arriving(&budget, vec![first.to_vec(), second.to_vec()]);
        next(&mut one).unwrap();
        next(&mut two).unwrap();
        let mut three = arriving(&budget, vec![first.to_vec()]);
        let refused = next(&mut three).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(refused.metadata().get(PUSHBACK).unwrap(), "1000");
        next(&mut one).unwrap();
        next(&mut arriving(&budget, vec![first.to_vec()])).unwrap();
        next(&mut one).unwrap();
        drop(one);
        next(&mut arriving(&budget, vec![first.to_vec()])).unwrap();
    }

    proptest! {
        #[test]
        fn however_messages_are_cut_only_the_last_is_unfinished(
            lengths in prop::collection::vec(0_usize..40, 0..6),
            last in 1_usize..40,
            cuts in prop::collection::vec(1_usize..9, 1..6),
        ) {
            let begun = &message(last)[..last];
            let all = [lengths.iter().flat_map(|length| message(*length)).collect(), begun.to_vec()].concat();
            let (mut framing, mut rest, mut cuts) = (Framing::default(), &all[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                framing.pass(chunk);
                rest = after;
            }
            prop_assert_eq!(framing.unfinished, last);
        }
    }
}
