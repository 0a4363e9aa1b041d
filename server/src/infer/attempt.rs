//! One request on the version that was picked, and on stable where that version fails it.

use std::sync::Arc;
use std::time::Duration;

use config::OnFailure;
use models::NamedTensor;
use tokio::time::Instant;

use super::check::{self, Checked};
use super::pick::Pick;
use super::{Code, Form, InferError, PerSecond, RETRY_AFTER};
use crate::batch::{Answer, BatchError};
use crate::device::ExecuteError;
use crate::rollout::Resident;
use crate::rollout::analysis::Outcome;
use crate::route::{ModelRoutes, Variant};
use crate::telemetry::Served;
use crate::version::{LiveVersion, SubmitError, Submitted};

/// What the caller sent, before any version has looked at it.
pub(super) struct Asked<'a> {
    pub(super) inputs: Vec<NamedTensor>,
    pub(super) outputs: Option<&'a [String]>,
    pub(super) form: &'a Form,
    pub(super) arrived: Instant,
    pub(super) deadline: Instant,
    pub(super) request_id: &'a str,
    pub(super) failures: &'a PerSecond,
}

/// What came of one try on one version.
struct Tried {
    result: Result<Answer, InferError>,
    /// What it says of the version; `None` where the version was not at fault, or was not asked.
    outcome: Option<Outcome>,
    latency: Duration,
}

impl Tried {
    /// Before the version saw the request: nothing to hold against it.
    const fn untouched(error: InferError) -> Self {
        Self { result: Err(error), outcome: None, latency: Duration::ZERO }
    }

    /// Only requests that the split sent are a fair sample.
    fn record(&self, pick: &Pick, on_failure: OnFailure) {
        let outcome = match self.outcome {
            // Where stable is asked in a canary's place, NaN is what a canary returns and stable does not: stable, which
            // is asked by nobody's place, has none, and an answer that a caller got is an answer.
            Some(Outcome::NonFinite)
                if pick.variant == Variant::Stable && on_failure == OnFailure::Stable && self.result.is_ok() =>
            {
                Some(Outcome::Success)
            }
            outcome => outcome,
        };
        if let Some(outcome) = outcome
            && pick.by_split
        {
            pick.live.evidence().record(outcome, self.latency);
        }
    }
}

/// A canary's failure until stable's answer to the same request shows whose it is. Dropped before, its caller has left
/// without an answer: a canary that fails slowly is judged by that.
struct Unproven<'a> {
    canary: &'a LiveVersion,
    failure: Option<Outcome>,
    arrived: Instant,
}

impl Unproven<'_> {
    fn settle(mut self, held: Option<(Outcome, Duration)>) {
        self.failure = None;
        if let Some((outcome, latency)) = held {
            self.canary.evidence().record(outcome, latency);
        }
    }
}

impl Drop for Unproven<'_> {
    fn drop(&mut self) {
        if self.failure.is_some() {
            self.canary.evidence().record(Outcome::Deadline, self.arrived.elapsed());
        }
    }
}

/// The picked version's answer, or stable's where the canary fails and `onFailure` says so.
pub(super) async fn answer(routes: &ModelRoutes, pick: Pick, asked: Asked<'_>) -> Result<(Pick, Answer), InferError> {
    if let Some(stable) = fallback(routes, &pick) {
        // In a place of its own, so that requests that are on no trial are not as large.
        return Box::pin(on_trial(routes, pick, stable, asked)).await;
    }
    let tried = attempt(&pick, asked, Peer::None).await;
    tried.record(&pick, routes.on_failure);
    tried.result.map(|answer| (pick, answer))
}

/// Where stable can be asked, a canary's failure is evidence only if stable does better on the same request: what both
/// fail is the request's doing, and one caller with such a request must not end every trial.
async fn on_trial(
    routes: &ModelRoutes,
    pick: Pick,
    stable: Pick,
    asked: Asked<'_>,
) -> Result<(Pick, Answer), InferError> {
    let again = Asked { inputs: asked.inputs.clone(), ..asked };
    let tried = attempt(&pick, asked, Peer::Stable).await;
    let error = match tried.result {
        Ok(_) | Err(InferError::DeadlineExceeded) => {
            tried.record(&pick, routes.on_failure);
            return tried.result.map(|answer| (pick, answer));
        }
        Err(error) => error,
    };
    let unproven = Unproven { canary: &pick.live, failure: tried.outcome, arrived: again.arrived };
    let instead = attempt(&stable, Asked { arrived: Instant::now(), ..again }, Peer::None).await;
    let held = held_against(&error, tried.outcome, &instead);
    let latency = if held == Some(Outcome::Deadline) { unproven.arrived.elapsed() } else { tried.latency };
    unproven.settle(held.map(|outcome| (outcome, latency)));
    match instead.result {
        Ok(answer) => Ok((stable, answer)),
        Err(InferError::InvalidArgument(_)) => Err(error),
        Err(stables) => Err(stables),
    }
}

/// What the canary's failure with `error` says of it, now that stable was asked `instead`.
fn held_against(error: &InferError, outcome: Option<Outcome>, instead: &Tried) -> Option<Outcome> {
    match (outcome, &instead.result, instead.outcome) {
        // No request fills a queue; and a slow canary fills stable's too, with what it could not take.
        (Some(Outcome::Overload), ..) => outcome,
        // It refuses what stable answers, so the caller was right and the canary is not.
        (_, Ok(_), Some(Outcome::Success)) if matches!(error, InferError::InvalidArgument(_)) => {
            Some(Outcome::ModelError)
        }
        (_, Ok(_), Some(Outcome::Success)) => outcome,
        // Some models mean their NaN: it answers as stable does.
        (Some(Outcome::NonFinite), Ok(_), Some(Outcome::NonFinite)) => Some(Outcome::Success),
        // No time was left to tell whose failure it is: as late as an answer of its own would have been.
        (Some(_), Err(InferError::DeadlineExceeded), _) => Some(Outcome::Deadline),
        _ => None,
    }
}

/// Stable in place of a failing canary. Its answer is not evidence for stable: only the canary's bad requests reach it.
fn fallback(routes: &ModelRoutes, pick: &Pick) -> Option<Pick> {
    let wanted = pick.by_split && pick.variant == Variant::Canary && routes.on_failure == OnFailure::Stable;
    let stable = wanted.then_some(routes.stable.as_ref()).flatten()?;
    Some(Pick { live: Arc::clone(stable), variant: Variant::Stable, by_split: false })
}

/// Who else will be asked the same request where a canary fails it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Stable,
    None,
}

/// One try on one version, recorded in its metrics.
async fn attempt(pick: &Pick, asked: Asked<'_>, peer: Peer) -> Tried {
    let (inputs, rows, wanted) = match Checked::new(&pick.live, asked.inputs, asked.outputs) {
        Ok(checked) => checked.into_parts(),
        Err(error) => return Tried::untouched(error),
    };
    if asked.arrived >= asked.deadline {
        return Tried::untouched(InferError::DeadlineExceeded);
    }
    // Kept for one question, and only where nobody else answers it: whether a NaN came in before it came out.
    let alone = pick.variant == Variant::Canary && peer == Peer::None;
    let given = if alone { inputs.clone() } else { Vec::new() };
    let cancelled = pick.live.metrics().count_cancel_on_drop(pick.variant, asked.arrived);
    let result = match pick.live.submit(inputs, rows, asked.deadline) {
        Submitted::Done(result) => result,
        // Boxed, so that a request that need not wait is small: it is moved once at each level above.
        Submitted::Queued(queued) => Box::pin(queued.answer()).await,
    };
    cancelled.disarm();
    let latency = asked.arrived.elapsed();
    if let Err(SubmitError::Batch(BatchError::Execute(ExecuteError::Model(problem)))) = &result
        && asked.failures.admits()
    {
        let (model, version) = (&**pick.live.model(), &**pick.live.version());
        let (variant, request_id) = (pick.variant, asked.request_id);
        tracing::warn!(model, version, %variant, request_id, problem, "model failed on a request");
    }
    let select = |answer: Answer| Answer { outputs: check::select(answer.outputs, wanted.as_deref()), ..answer };
    let (outcome, result) = verdict(pick.variant, result, || non_finite(&given), asked.form, select);
    let code = result.as_ref().map_or_else(InferError::code, |_| Code::Ok);
    let served = result.as_ref().ok().map(|answer| Served { queued: answer.queued, compute: answer.compute });
    pick.live.metrics().request(pick.variant, code, latency, served, rows);
    Tried { result, outcome, latency }
}

fn non_finite(tensors: &[NamedTensor]) -> bool {
    tensors.iter().any(|named| named.tensor.non_finite() > 0)
}

/// What an attempt says about the version (`None`: nothing, it was not at fault) and to the caller. `given_non_finite`
/// tells whether the caller's own inputs held NaN or Inf, where that excuses a canary: where stable can be asked, its
/// answer tells better. `select` leaves the wanted outputs.
fn verdict(
    variant: Variant,
    result: Result<Answer, SubmitError>,
    given_non_finite: impl FnOnce() -> bool,
    form: &Form,
    select: impl FnOnce(Answer) -> Answer,
) -> (Option<Outcome>, Result<Answer, InferError>) {
    match result {
        Ok(answer) if non_finite(&answer.outputs) => match variant {
            // What goes in as NaN may come out as NaN; one caller's broken rows must not end a trial.
            Variant::Canary if given_non_finite() => (None, written(select(answer), form)),
            Variant::Canary => (Some(Outcome::NonFinite), Err(InferError::NonFinite)),
            // Stable has nobody to fall back on, and some models mean their NaN: the caller gets it, and it is counted.
            Variant::Stable => (Some(Outcome::NonFinite), written(select(answer), form)),
        },
        Ok(answer) => (Some(Outcome::Success), Ok(select(answer))),
        Err(SubmitError::Full) => (Some(Outcome::Overload), Err(InferError::Overloaded { retry_after: RETRY_AFTER })),
        Err(SubmitError::Deadline) => (Some(Outcome::Deadline), Err(InferError::DeadlineExceeded)),
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::Input(problem)))) => {
            (None, Err(InferError::InvalidArgument(problem)))
        }
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::Model(_)))) => {
            // An op may refuse a NaN where another carries it: the caller's own is no more held against a canary here.
            let outcome = (!given_non_finite()).then_some(Outcome::ModelError);
            (outcome, Err(InferError::Model { reason: "it could not compute this request" }))
        }
        // Not only outputs hold NaN: it is judged as if they did.
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::NonFinite(_)))) => {
            ((!given_non_finite()).then_some(Outcome::NonFinite), Err(InferError::NonFinite))
        }
        // The device failed every version on it, not this one.
        Err(SubmitError::Batch(BatchError::Execute(ExecuteError::DeviceGone))) => (None, Err(InferError::DeviceLost)),
        Err(SubmitError::Batch(BatchError::Gone)) => (None, Err(InferError::ShuttingDown)),
    }
}

/// `answer`, unless its form cannot say it.
fn written(answer: Answer, form: &Form) -> Result<Answer, InferError> {
    match answer.outputs.iter().find(|output| !form.carries(output)) {
        Some(output) => Err(InferError::NotInJson { output: Arc::clone(&output.name) }),
        None => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(result: Result<(), InferError>, outcome: Option<Outcome>) -> Tried {
        let answer = Answer { outputs: Vec::new(), queued: Duration::ZERO, compute: Duration::ZERO };
        Tried { result: result.map(|()| answer), outcome, latency: Duration::ZERO }
    }

    #[test]
    fn a_canary_is_judged_by_what_stable_does_better() {
        let invalid = || InferError::InvalidArgument("x".to_owned());
        let overloaded = || InferError::Overloaded { retry_after: RETRY_AFTER };
        let (fine, nan) = (Some(Outcome::Success), Some(Outcome::NonFinite));
        let (full, failed) = (Some(Outcome::Overload), Some(Outcome::ModelError));
        let broken = || InferError::Model { reason: "x" };
        let table = [
            (InferError::NonFinite, nan, tried(Ok(()), fine), nan),
            // The model means its NaN, or the caller's numbers do.
            (InferError::NonFinite, nan, tried(Ok(()), nan), fine),
            (InferError::NonFinite, nan, tried(Err(InferError::NonFinite), nan), None),
            (broken(), failed, tried(Ok(()), fine), failed),
            (broken(), failed, tried(Ok(()), nan), None),
            (broken(), failed, tried(Err(broken()), failed), None),
            (overloaded(), full, tried(Ok(()), fine), full),
            (overloaded(), full, tried(Err(overloaded()), full), full),
            (overloaded(), full, tried(Err(InferError::DeadlineExceeded), None), full),
            (invalid(), None, tried(Ok(()), fine), Some(Outcome::ModelError)),
            (invalid(), None, tried(Err(invalid()), None), None),
            // Stable had no time left: that is the canary's doing.
            (InferError::NonFinite, nan, tried(Err(InferError::DeadlineExceeded), None), Some(Outcome::Deadline)),
            (invalid(), None, tried(Err(InferError::DeadlineExceeded), None), None),
        ];
        for (error, outcome, instead, held) in table {
            assert_eq!(held_against(&error, outcome, &instead), held, "{error}, then {:?}", instead.result);
        }
    }
}
