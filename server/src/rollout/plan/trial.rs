//! A canary on trial: which step comes next, and when the trial ends.
//!
//! Failure is asked first and always: a pause, a timer or a person never keeps a failing canary in traffic. The other
//! way round nothing but success moves a trial that is analysed: no data never promotes, and never rolls back.

use config::Step;
use tokio::time::Instant;

use super::super::analysis::{Conclusion, Verdict};
use super::super::release::{Release, Target};
use super::{Action, Phase, Plan, Trial, Verdicts, Why, after};

pub(super) fn plan(stable: &Release, trial: &Trial, target: &Target, verdicts: &Verdicts, now: Instant) -> Plan {
    if let Some(failed) = verdicts.find(|conclusion| conclusion == Conclusion::Failed) {
        return Plan::Act(Action::Reject { reason: failed.reason.clone() });
    }
    if trial.target.spec != target.spec {
        return Plan::Act(Action::Relabel { digest: trial.release.digest, spec: target.spec.clone() });
    }
    let place = place(trial);
    if let Some(hold) = &trial.hold {
        let message = format!("{place}: paused, {}; promote to go on, or abort", hold.reason);
        return Plan::rest(Phase::Paused, message);
    }
    let unclear = |conclusion| matches!(conclusion, Conclusion::Inconclusive | Conclusion::Error);
    if let Some(unclear) = verdicts.find(unclear) {
        return Plan::Act(Action::Hold { reason: unclear.reason.clone() });
    }
    let Some(step) = trial.values.strategy.steps.get(trial.step) else {
        return finish(trial, verdicts, &place);
    };
    let next = Plan::Act(Action::StartStep(trial.step + 1));
    match step {
        // Housekeeping has published the weight by the time this is asked.
        Step::SetWeight(_) => next,
        Step::Pause(Some(duration)) if now >= after(trial.step_since, *duration) => next,
        Step::Pause(Some(duration)) => Plan::rest_until(
            Phase::Paused,
            format!("{place}: pause of {} s beside {}", duration.as_secs_f64(), stable.spec.version),
            Some(after(trial.step_since, *duration)),
        ),
        Step::Pause(None) => Plan::rest(Phase::Paused, format!("{place}: waits until promoted by hand")),
        Step::Analysis(_) => match &verdicts.step {
            Some(verdict) if verdict.conclusion == Conclusion::Successful => next,
            verdict => Plan::rest(Phase::Progressing, format!("{place}: {}", waits_for(verdict.as_ref()))),
        },
    }
}

/// All steps are done.
fn finish(trial: &Trial, verdicts: &Verdicts, place: &str) -> Plan {
    let passed = verdicts.background.as_ref().is_some_and(|verdict| verdict.conclusion == Conclusion::Successful);
    if passed || !trial.values.strategy.is_judged_beside_its_steps() {
        return Plan::Act(Action::Promote(Why::TrialPassed));
    }
    Plan::rest(Phase::Progressing, format!("{place}: {}", waits_for(verdicts.background.as_ref())))
}

fn waits_for(verdict: Option<&Verdict>) -> String {
    verdict.map_or_else(|| "the analysis begins".to_owned(), |verdict| format!("waits because {}", verdict.reason))
}

fn place(trial: &Trial) -> String {
    let (version, steps) = (&trial.release.spec.version, trial.values.strategy.steps.len());
    if trial.step < steps {
        format!("{version} is at step {} of {steps}", trial.step + 1)
    } else {
        format!("{version} is through its {steps} steps")
    }
}
