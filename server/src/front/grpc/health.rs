//! `grpc.health.v1`, answered from the catalog at the moment of asking.
//!
//! `""` and `inference.GRPCInferenceService` are the whole server; any other service is the name of a model. Nothing is
//! stored, so health cannot say something else than the catalog. A watch looks twice a second and reports changes; it
//! ends when the process starts to go away, so that it does not hold up the drain.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use tokio::time::MissedTickBehavior;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_server};

use crate::front::{Front, shown};

/// How often a watch looks.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Answers health checks from the catalog.
pub(super) struct Health(Arc<Front>);

impl Health {
    pub(super) const fn new(front: Arc<Front>) -> Self {
        Self(front)
    }
}

/// `None` where there is no such service or model.
fn status(front: &Front, service: &str) -> Option<ServingStatus> {
    let ready = match service {
        "" | "inference.GRPCInferenceService" => front.catalog.ready(),
        model => front.catalog.model(model).ok()?.ready,
    };
    let serving = ready && !front.draining.is_cancelled();
    Some(if serving { ServingStatus::Serving } else { ServingStatus::NotServing })
}

/// A first status, then every change of it.
fn changes(front: Arc<Front>, service: String) -> impl Stream<Item = ServingStatus> {
    let mut interval = tokio::time::interval(WATCH_INTERVAL);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((front, service, interval, None), |(front, service, mut interval, told)| async move {
        // The last word of a watch is that the server does not serve any more.
        while !(front.draining.is_cancelled() && told.is_some_and(|status| status != ServingStatus::Serving)) {
            tokio::select! {
                _ = interval.tick() => {}
                () = front.draining.cancelled() => {}
            }
            let now = status(&front, &service).unwrap_or(ServingStatus::ServiceUnknown);
            if told != Some(now) {
                return Some((now, (front, service, interval, Some(now))));
            }
        }
        None
    })
}

#[tonic::async_trait]
impl health_server::Health for Health {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let service = request.into_inner().service;
        match status(&self.0, &service) {
            Some(status) => Ok(Response::new(HealthCheckResponse { status: status.into() })),
            None => Err(Status::not_found(format!("there is no service or model '{}'", shown(&service)))),
        }
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let changes = changes(Arc::clone(&self.0), request.into_inner().service);
        let responses = changes.map(|status| Ok(HealthCheckResponse { status: status.into() }));
        Ok(Response::new(Box::pin(responses)))
    }
}
