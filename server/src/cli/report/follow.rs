//! What looks at the servers mean for the commit. Pure: looks and `now` go in, a verdict comes out.

use std::time::Duration;

use tokio::time::Instant;

/// How long what one of several servers says has to last: each look may be at another one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// That the version is stable.
    pub(super) stable_for: Duration,
    /// That nobody has it any more, on trial or at all. Longer than the servers take to read a file one after the other.
    pub(super) gone_for: Duration,
}

/// What the commit asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) version: String,
    /// `sha256:…` of the values file.
    pub(super) revision: String,
}

/// What one look found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    /// An admin port's words about the model.
    Status(Standing),
    /// A serving port's labels: the versions that are stable and on trial.
    Labels { stable: Option<String>, canary: Option<String> },
    /// Nothing, and why.
    Nothing(String),
}

/// A model as an admin port sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Standing {
    pub(super) phase: String,
    pub(super) message: String,
    /// Of the content in force.
    pub(super) observed: String,
    /// Of the files as they were read last.
    pub(super) read: Vec<String>,
    pub(super) refused: Option<String>,
    pub(super) stable: Option<String>,
}

/// How the commit's rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// On its way.
    Pending(String),
    /// The version is stable.
    Success(String),
    /// It does not serve, and will not without a change.
    Failure(String),
    /// Nobody knows, or it is somebody else's turn.
    Error(String),
}

/// What was found so far.
#[derive(Debug)]
pub(super) struct Follow {
    wanted: Wanted,
    patience: Patience,
    was_observed: bool,
    was_on_trial: bool,
    /// What every look said lately, and since when.
    same: Option<(Lasting, Instant)>,
    /// The first and the last of the looks that found a server Degraded. Others may be well: each decides by itself.
    degraded: Option<(Instant, Instant)>,
}

/// What is believed when every look says it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    /// The version is stable.
    Stable,
    /// It is neither stable nor on trial.
    Gone,
    /// The servers go by the content of another commit.
    Replaced,
}

// === impl Verdict ===

impl Verdict {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Success(_) => "success",
            Self::Failure(_) => "failure",
            Self::Error(_) => "error",
        }
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::Pending(text) | Self::Success(text) | Self::Failure(text) | Self::Error(text) => text,
        }
    }
}

// === impl Patience ===

impl Default for Patience {
    fn default() -> Self {
        Self { stable_for: Duration::from_secs(60), gone_for: Duration::from_secs(120) }
    }
}

// === impl Follow ===

impl Follow {
    pub(super) const fn new(wanted: Wanted, patience: Patience) -> Self {
        Self { wanted, patience, was_observed: false, was_on_trial: false, same: None, degraded: None }
    }

    /// What a look means after those before.
    pub(super) fn look(&mut self, seen: &Seen, now: Instant) -> Verdict {
        match seen {
            Seen::Status(standing) => self.status(standing, now),
            Seen::Labels { stable, canary } => self.labels(stable.as_deref(), canary.as_deref(), now),
            Seen::Nothing(why) => {
                self.same = None;
                Verdict::Pending(why.clone())
            }
        }
    }

    fn status(&mut self, standing: &Standing, now: Instant) -> Verdict {
        let Wanted { version, revision } = &self.wanted;
        // A newer file that is refused leaves the commit's in force, and says nothing of it.
        let newer = standing.refused.is_some() && !standing.read.contains(revision);
        if standing.observed != *revision || newer && self.was_observed {
            return self.other_content(standing, now);
        }
        self.was_observed = true;
        if standing.phase == "Healthy" && standing.stable.as_ref() == Some(version) {
            return self.stable(now);
        }
        self.same = None;
        if standing.phase == "Degraded" && self.degraded_for(now) >= self.patience.gone_for {
            return Verdict::Failure(standing.message.clone());
        }
        Verdict::Pending(standing.message.clone())
    }

    /// What a server means that goes by other content than the commit's.
    fn other_content(&mut self, standing: &Standing, now: Instant) -> Verdict {
        if let Some(why) = standing.refused.as_ref().filter(|_| standing.read.contains(&self.wanted.revision)) {
            return Verdict::Failure(format!("the values are refused: {why}"));
        }
        if !self.was_observed {
            return Verdict::Pending("the servers have not read this commit yet".to_owned());
        }
        // Servers that are behind look like servers that are ahead.
        if self.same_for(Lasting::Replaced, now) >= self.patience.gone_for {
            return Verdict::Error("another commit took its place".to_owned());
        }
        Verdict::Pending("not every server goes by this commit".to_owned())
    }

    /// What a look means that found the version stable.
    fn stable(&mut self, now: Instant) -> Verdict {
        let lasted = self.same_for(Lasting::Stable, now) >= self.patience.stable_for;
        let version = &self.wanted.version;
        if lasted {
            Verdict::Success(format!("{version} is stable"))
        } else {
            Verdict::Pending(format!("{version} serves, looking whether it stays"))
        }
    }

    fn labels(&mut self, stable: Option<&str>, canary: Option<&str>, now: Instant) -> Verdict {
        let version = self.wanted.version.clone();
        let serves = stable.map_or_else(|| "nothing serves".to_owned(), |stable| format!("{stable} serves"));
        if canary == Some(&*version) {
            (self.was_on_trial, self.same) = (true, None);
            return Verdict::Pending(format!("{version} is on trial, {serves}"));
        }
        if let Some(other) = canary.filter(|_| stable == Some(&*version)) {
            self.same = None;
            return Verdict::Pending(format!("{version} serves, and {other} is still on trial"));
        }
        if stable == Some(&*version) {
            return self.stable(now);
        }
        match self.same_for(Lasting::Gone, now) {
            time if self.was_on_trial && time >= self.patience.gone_for => {
                Verdict::Failure(format!("{version} was sent back from its trial, {serves}"))
            }
            _ if self.was_on_trial => Verdict::Pending(format!("{version} is not on trial any more, {serves}")),
            _ => Verdict::Pending(format!("{version} is not seen yet, {serves}")),
        }
    }

    /// For how long servers have been Degraded now and then: what passes by itself, such as a slow warm-up, is not found again
    /// for a while.
    fn degraded_for(&mut self, now: Instant) -> Duration {
        let since = match self.degraded {
            Some((first, last)) if now.saturating_duration_since(last) < self.patience.gone_for => first,
            _ => now,
        };
        self.degraded = Some((since, now));
        now.saturating_duration_since(since)
    }

    /// For how long every look has said `what`.
    fn same_for(&mut self, what: Lasting, now: Instant) -> Duration {
        match self.same {
            Some((before, since)) if before == what => now.saturating_duration_since(since),
            _ => {
                self.same = Some((what, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted { version: "v2".to_owned(), revision: "sha256:new".to_owned() }
    }

    fn follow() -> Follow {
        Follow::new(wanted(), Patience::default())
    }

    fn standing(observed: &str, phase: &str, stable: &str) -> Standing {
        Standing {
            phase: phase.to_owned(),
            message: format!("is {phase}"),
            observed: observed.to_owned(),
            read: vec![observed.to_owned()],
            refused: None,
            stable: Some(stable.to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_of_what_an_admin_port_says() {
        let (old, new) = ("sha256:old", "sha256:new");
        let refused = |read: &str| Standing {
            refused: Some("v.yaml:3: no".to_owned()),
            read: vec![read.to_owned()],
            ..standing(old, "Degraded", "v1")
        };
        for (seen, word, text) in [
            (standing(old, "Healthy", "v1"), "pending", "the servers have not read this commit yet"),
            (standing(old, "Degraded", "v1"), "pending", "the servers have not read this commit yet"),
            (standing(new, "Progressing", "v1"), "pending", "is Progressing"),
            (standing(new, "Paused", "v1"), "pending", "is Paused"),
            (standing(new, "Healthy", "v2"), "pending", "v2 serves, looking whether it stays"),
            (standing(new, "Healthy", "v1"), "pending", "is Healthy"),
            (standing(new, "Degraded", "v1"), "pending", "is Degraded"),
            (refused(new), "failure", "the values are refused: v.yaml:3: no"),
            (refused(old), "pending", "the servers have not read this commit yet"),
        ] {
            let verdict = follow().look(&Seen::Status(seen.clone()), Instant::now());
            assert_eq!((verdict.word(), verdict.text()), (word, text), "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_of_several_admin_ports_says_has_to_last() {
        let at = |revision: &str, phase: &str, stable: &str| Seen::Status(standing(revision, phase, stable));
        let (behind, trial) = (at("sha256:old", "Healthy", "v1"), at("sha256:new", "Progressing", "v1"));
        let done = at("sha256:new", "Healthy", "v2");
        // One server is done, and the other has not read the commit yet, and then is on trial.
        let slow = verdicts(&[(1, &trial), (20, &done), (1, &behind), (59, &done), (1, &trial), (62, &done)]);
        assert_eq!(slow, [(0, "pending"), (142, "success")]);
        let newer = at("sha256:newer", "Progressing", "v1");
        let replaced = verdicts(&[(5, &trial), (100, &newer), (1, &trial), (122, &newer)]);
        assert_eq!(replaced, [(0, "pending"), (226, "error")]);
        // One rejects what the other promotes; a warm-up that is late comes to its end.
        let rejected = at("sha256:new", "Degraded", "v1");
        let half = verdicts(&[(60, &trial), (40, &rejected), (50, &done), (40, &rejected), (1, &trial)]);
        assert_eq!(half, [(0, "pending"), (180, "failure"), (190, "pending")]);
        let late = verdicts(&[(60, &trial), (119, &rejected), (1, &trial), (62, &done)]);
        assert_eq!(late, [(0, "pending"), (240, "success")]);
        // A newer file that is refused is not this commit's failure.
        let newer = Seen::Status(Standing {
            refused: Some("v.yaml:3: no".to_owned()),
            read: vec!["sha256:newer".to_owned()],
            ..standing("sha256:new", "Degraded", "v2")
        });
        assert_eq!(verdicts(&[(20, &done), (122, &newer)]), [(0, "pending"), (140, "error")]);
    }

    /// Looks a second apart, so many of each; the seconds and words of the verdicts that differ from the one before.
    fn verdicts(looks: &[(u64, &Seen)]) -> Vec<(u64, &'static str)> {
        let (mut follow, start) = (follow(), Instant::now());
        let (mut second, mut said) = (0, Vec::new());
        for (seconds, seen) in looks {
            for _ in 0..*seconds {
                let verdict = follow.look(seen, start + Duration::from_secs(second));
                if said.last().is_none_or(|(_, word)| *word != verdict.word()) {
                    said.push((second, verdict.word()));
                }
                second += 1;
            }
        }
        said
    }

    /// [`verdicts`] of looks at a serving port.
    fn words(looks: &[(u64, Option<&str>, Option<&str>)]) -> Vec<(u64, &'static str)> {
        let labels = |stable: Option<&str>, canary: Option<&str>| Seen::Labels {
            stable: stable.map(str::to_owned),
            canary: canary.map(str::to_owned),
        };
        let looks: Vec<(u64, Seen)> =
            looks.iter().map(|(seconds, stable, canary)| (*seconds, labels(*stable, *canary))).collect();
        verdicts(&looks.iter().map(|(seconds, seen)| (*seconds, seen)).collect::<Vec<_>>())
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_of_several_serving_ports_says_has_to_last() {
        let (v1, v2, v3) = (Some("v1"), Some("v2"), Some("v3"));
        // Not read, on trial, promoted.
        let promoted = words(&[(90, v1, None), (300, v1, v2), (62, v2, None)]);
        assert_eq!(promoted, [(0, "pending"), (450, "success")]);
        // Servers that are not as far as the others answer in between.
        let mixed = words(&[(30, v1, v2), (20, v2, None), (5, v1, v2), (59, v2, None), (1, v1, v2), (62, v2, None)]);
        assert_eq!(mixed, [(0, "pending"), (175, "success")]);
        // Sent back. A server that has not read the file yet looks like that for a while.
        let rejected = words(&[(10, v1, v2), (119, v1, None), (10, v1, v2), (122, v1, None)]);
        assert_eq!(rejected, [(0, "pending"), (259, "failure")]);
        // Refused before its trial: nothing is ever seen of it.
        assert_eq!(words(&[(3000, v1, None)]), [(0, "pending")]);
        // A revert: the version serves, and is done when the bad one has left.
        let reverted = words(&[(100, v2, v3), (62, v2, None)]);
        assert_eq!(reverted, [(0, "pending"), (160, "success")]);
        assert_eq!(words(&[(5, None, None)]), [(0, "pending")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_finds_nothing_proves_nothing() {
        let (mut follow, start) = (follow(), Instant::now());
        let stable = Seen::Labels { stable: Some("v2".to_owned()), canary: None };
        follow.look(&stable, start);
        let lost = follow.look(&Seen::Nothing("cannot reach it".to_owned()), start + Patience::default().stable_for);
        assert_eq!(lost, Verdict::Pending("cannot reach it".to_owned()));
        assert_eq!(follow.look(&stable, start + Patience::default().stable_for).word(), "pending", "it begins again");
    }
}
