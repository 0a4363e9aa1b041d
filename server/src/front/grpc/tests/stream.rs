//! `ModelStreamInfer`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{client, request};
use crate::front::proto::ModelInferRequest;
use crate::front::{AccessLog, Budget, Front, Limits, testing};
use crate::infer::{InferReply, Inference};
use crate::route::Variant;

fn numbered(id: usize) -> ModelInferRequest {
    ModelInferRequest { id: id.to_string(), ..request(vec![], vec![]) }
}

#[tokio::test]
async fn answers_come_in_order_and_errors_do_not_end_the_stream() {
    let mut client = client(testing::front()).await;
    let bad = ModelInferRequest { model_name: "nope".into(), ..numbered(1) };
    let requests = stream::iter([numbered(0), bad, numbered(2)]);
    let answers: Vec<_> = client.model_stream_infer(requests).await.unwrap().into_inner().collect().await;
    let told = answers.into_iter().map(|answer| {
        let answer = answer.unwrap();
        (answer.infer_response.unwrap().id, answer.error_message)
    });
    let told: Vec<_> = told.collect();
    let expected = [("0", ""), ("1", "model 'nope' is not served here"), ("2", "")];
    assert_eq!(told, expected.map(|(id, error)| (id.to_owned(), error.to_owned())));
}

/// A front whose requests take a second, less one twentieth for each later one, and that counts how many run at once.
fn slow(limits: Limits) -> (Arc<Front>, Arc<AtomicUsize>) {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let inference = Inference::scripted(move |request, _| {
        let (running, peak) = (Arc::clone(&running), Arc::clone(&peak));
        Box::pin(async move {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let id: u64 = request.id.parse().unwrap();
            tokio::time::sleep(Duration::from_millis(1000 - 50 * id)).await;
            running.fetch_sub(1, Ordering::SeqCst);
            let (model, version) = ("pair".into(), "v1".into());
            let (queued, compute) = (Duration::ZERO, Duration::ZERO);
            Ok(InferReply {
                model,
                version,
                variant: Variant::Stable,
                id: request.id,
                outputs: vec![],
                form: request.form,
                queued,
                compute,
            })
        })
    });
    let (draining, closing) = Default::default();
    let (catalog, budget, access) = (testing::catalog(), Budget::new(&limits), AccessLog::one_in(0));
    let guard = crate::front::Guard::open();
    let front = Front { inference, catalog, limits, budget, guard, access, draining, closing };
    (front.shared(), most)
}

#[tokio::test(start_paused = true)]
async fn later_requests_that_finish_first_wait_and_no_more_run_than_allowed() {
    let (front, most) = slow(Limits { stream_in_flight: 4, ..Limits::default() });
    let mut client = client(front).await;
    let requests = stream::iter((0..12).map(numbered));
    let answers = client.model_stream_infer(requests).await.unwrap().into_inner();
    let ids: Vec<_> = answers.map(|answer| answer.unwrap().infer_response.unwrap().id).collect().await;
    assert_eq!(ids, (0..12).map(|id| id.to_string()).collect::<Vec<_>>());
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

#[tokio::test(start_paused = true)]
async fn a_stream_outlives_the_news_and_ends_with_the_port_after_what_was_read_is_answered() {
    let (front, _) = slow(Limits::default());
    front.draining.cancel();
    let mut client = client(Arc::clone(&front)).await;
    let (sender, requests) = mpsc::channel(4);
    sender.send(numbered(0)).await.unwrap();
    let mut answers = client.model_stream_infer(ReceiverStream::new(requests)).await.unwrap().into_inner();
    let first = tokio::spawn(async move {
        let first = answers.next().await.unwrap().unwrap().infer_response.unwrap().id;
        (first, answers.next().await.unwrap().unwrap_err().code())
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    front.closing.cancel();
    assert_eq!(first.await.unwrap(), ("0".to_owned(), tonic::Code::Unavailable));
    drop(sender);
}
