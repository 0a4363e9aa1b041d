//! Tables of what stands on the object, what a process says, and what is written.

use serde_json::{Value, json};

use super::*;
use crate::rollout::status::ModelStatus;
use Phase::{Degraded, Healthy, Paused, Progressing};

const NOW: u64 = 1_800_000_000;
const OLD: &str = "sha256:old";
const NEW: &str = "sha256:new";

fn report(phase: Phase, message: &str, revision: &str) -> Report {
    Report { phase, message: message.to_owned(), revision: revision.to_owned() }
}

/// An object whose content is `wanted`, with what `reports` wrote.
fn object(wanted: &str, reports: &[(&str, Report)]) -> Seen {
    let mut seen = Seen { wanted: wanted.to_owned(), ..Seen::default() };
    for (name, report) in reports {
        apply(&mut seen, name, Some(report), NOW);
    }
    seen
}

/// Does what a process does that looks for the first time; whether anything was written.
fn apply(seen: &mut Seen, name: &str, report: Option<&Report>, now: u64) -> bool {
    Process::new(name, 0).says(seen, report, now)
}

/// A process that goes on looking.
struct Process {
    name: &'static str,
    sightings: Sightings,
    /// Seconds by which its clock differs from that of the others.
    ahead: i64,
    start: Instant,
}

impl Process {
    fn new(name: &str, ahead: i64) -> Self {
        Self { name: String::leak(name.to_owned()), sightings: Sightings::default(), ahead, start: Instant::now() }
    }

    /// Whether anything was written `now`, in seconds since 1970.
    fn says(&mut self, seen: &mut Seen, report: Option<&Report>, now: u64) -> bool {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(now.saturating_add_signed(self.ahead));
        let now = Now { wall, steady: self.start + Duration::from_secs(now - NOW) };
        let written = update(seen, &mut self.sightings, self.name, report, now);
        let wrote = written.is_some();
        seen.annotations.extend(written.into_iter().flatten().map(|(key, text)| (key.to_owned(), text)));
        wrote
    }
}

/// Phase, message and revision as they stand there.
fn told(seen: &Seen) -> (&str, &str, &str) {
    let text = |key| seen.annotations.get(key).map_or("", String::as_str);
    (text(PHASE), text(MESSAGE), text(OBSERVED_REVISION))
}

fn names(seen: &Seen) -> Vec<String> {
    let reports: BTreeMap<String, Value> = serde_json::from_str(&seen.annotations[REPORTS]).unwrap();
    reports.into_keys().collect()
}

#[test]
fn the_table_of_what_several_servers_come_to() {
    let on_new = |phase, message| report(phase, message, NEW);
    type Case<'a> = (&'a str, &'a [Report], (&'a str, &'a str, &'a str));
    let cases: &[Case<'_>] = &[
        ("one server", &[on_new(Healthy, "v2 serves")], ("Healthy", "v2 serves", NEW)),
        ("all the same", &[on_new(Healthy, "v2 serves"), on_new(Healthy, "v2 serves")], ("Healthy", "v2 serves", NEW)),
        (
            "one is still busy",
            &[on_new(Healthy, "v2 serves"), on_new(Progressing, "step 1")],
            ("Progressing", "1 of 2 servers: step 1", NEW),
        ),
        (
            "a pause is what a person should see",
            &[on_new(Progressing, "step 1"), on_new(Paused, "until promoted")],
            ("Paused", "1 of 2 servers: until promoted", NEW),
        ),
        (
            "one Degraded server is heard over all others",
            &[on_new(Healthy, "v2 serves"), on_new(Degraded, "nan-share failed"), on_new(Paused, "until promoted")],
            ("Degraded", "1 of 3 servers: nan-share failed", NEW),
        ),
        (
            "Degraded does not wait for who is behind",
            &[on_new(Degraded, "nan-share failed"), report(Healthy, "v1 serves", OLD)],
            ("Degraded", "1 of 2 servers: nan-share failed", NEW),
        ),
        (
            "who is behind keeps the others from being done",
            &[on_new(Healthy, "v2 serves"), report(Healthy, "v1 serves", OLD)],
            ("Progressing", "1 of 2 servers have read this content", NEW),
        ),
        (
            "Degraded about the content before is over",
            &[on_new(Progressing, "step 1"), report(Degraded, "nan-share failed", OLD)],
            ("Progressing", "1 of 2 servers have read this content", NEW),
        ),
        (
            "nobody has read it: what is said is about the content before",
            &[report(Healthy, "v1 serves", OLD), report(Degraded, "bad", OLD)],
            ("Degraded", "1 of 2 servers: bad", OLD),
        ),
    ];
    for (name, reports, expected) in cases {
        let by_name: Vec<(String, &Report)> =
            reports.iter().enumerate().map(|(index, report)| (format!("pod-{index}"), report)).collect();
        let mut seen = object(NEW, &[]);
        for (pod, report) in &by_name {
            apply(&mut seen, pod, Some(report), NOW);
        }
        assert_eq!(told(&seen), *expected, "{name}");
        // Whoever writes last, the same stands there.
        let mut other = object(NEW, &[]);
        for (pod, report) in by_name.iter().rev() {
            apply(&mut other, pod, Some(report), NOW);
        }
        assert_eq!(other, seen, "{name}, in another order");
        for (pod, report) in &by_name {
            assert!(!apply(&mut seen, pod, Some(report), NOW), "{name}: {pod} has nothing to add");
        }
    }
}

#[test]
fn servers_that_follow_a_commit_never_say_that_it_is_done_before_it_is() {
    let steps = [
        ("a", report(Progressing, "loading", NEW)),
        ("b", report(Progressing, "loading", NEW)),
        ("a", report(Progressing, "step 1", NEW)),
        ("a", report(Healthy, "v2 serves", NEW)),
        ("b", report(Healthy, "v2 serves", NEW)),
    ];
    let before = report(Healthy, "v1 serves", OLD);
    let mut seen = object(NEW, &[("a", before.clone()), ("b", before)]);
    let mut phases = vec![told(&seen).0.to_owned()];
    for (pod, report) in &steps {
        apply(&mut seen, pod, Some(report), NOW + 1);
        phases.push(told(&seen).0.to_owned());
    }
    assert_eq!(phases, ["Healthy", "Progressing", "Progressing", "Progressing", "Progressing", "Healthy"]);
    assert_eq!(told(&seen), ("Healthy", "v2 serves", NEW));
}

#[test]
fn a_report_is_renewed_in_its_time_and_a_server_that_says_nothing_more_is_gone() {
    let healthy = report(Healthy, "v2 serves", NEW);
    let mut seen = object(NEW, &[("b", report(Degraded, "bad", NEW))]);
    let mut a = Process::new("a", 0);
    assert!(a.says(&mut seen, Some(&healthy), NOW));
    assert!(!a.says(&mut seen, Some(&healthy), NOW + RENEWAL.as_secs() / 2 - 1), "not yet");
    assert!(a.says(&mut seen, Some(&healthy), NOW + RENEWAL.as_secs()));
    assert_eq!(told(&seen).0, "Degraded", "b may be heard again");
    assert!(a.says(&mut seen, Some(&healthy), NOW + EXPIRY.as_secs()));
    assert_eq!((told(&seen).0, names(&seen)), ("Healthy", vec!["a".to_owned()]), "b is gone");
}

#[test]
fn clocks_may_differ_by_any_amount() {
    let (healthy, bad) = (report(Healthy, "v2 serves", NEW), report(Degraded, "bad", NEW));
    for ahead in [-86_400, -400, 400, 86_400] {
        let mut seen = object(NEW, &[]);
        let (mut right, mut wrong) = (Process::new("right", 0), Process::new("wrong", ahead));
        for minute in 0..30 {
            let now = NOW + 60 * minute;
            right.says(&mut seen, Some(&healthy), now);
            wrong.says(&mut seen, Some(&bad), now);
            assert_eq!((told(&seen).0, names(&seen).len()), ("Degraded", 2), "{ahead}, minute {minute}");
        }
        // One that ends without a word goes, however its clock stood.
        for later in [0, EXPIRY.as_secs()] {
            right.says(&mut seen, Some(&healthy), NOW + 1800 + later);
        }
        assert_eq!((told(&seen).0, names(&seen).len()), ("Healthy", 1), "{ahead}");
    }
}

#[test]
fn a_server_that_ends_takes_its_report_along_and_the_last_leaves_its_word() {
    let mut seen = object(NEW, &[("a", report(Healthy, "v2 serves", NEW)), ("b", report(Degraded, "bad", NEW))]);
    assert!(apply(&mut seen, "b", None, NOW + 1));
    assert_eq!((told(&seen), names(&seen)), (("Healthy", "v2 serves", NEW), vec!["a".to_owned()]));
    assert!(apply(&mut seen, "a", None, NOW + 2));
    assert_eq!((told(&seen), names(&seen).len()), (("Healthy", "v2 serves", NEW), 0));
    assert!(!apply(&mut seen, "a", None, NOW + 3), "nothing is left to take away");
}

#[test]
fn what_stands_there_may_be_anything() {
    for broken in ["", "[]", "{", "\u{0}", &"[".repeat(100_000), "{\"a\": 1}"] {
        let mut seen = object(NEW, &[]);
        seen.annotations.insert(REPORTS.to_owned(), (*broken).to_owned());
        assert!(apply(&mut seen, "b", Some(&report(Healthy, "fine", NEW)), NOW), "{broken:.20}");
        assert_eq!((told(&seen).0, names(&seen)), ("Healthy", vec!["b".to_owned()]));
    }
    // Somebody else's annotation stays, and a report of a later version does no harm.
    let mut seen = object(NEW, &[("a", report(Healthy, "fine", NEW))]);
    let mut reports: Value = serde_json::from_str(&seen.annotations[REPORTS]).unwrap();
    reports["later"] = json!({"phase": "Resting", "message": "", "revision": NEW, "at": NOW});
    reports["a"]["colour"] = json!("green");
    seen.annotations.insert(REPORTS.to_owned(), reports.to_string());
    seen.annotations.insert("sluice.dev/values-revision".to_owned(), NEW.to_owned());
    apply(&mut seen, "b", Some(&report(Healthy, "fine", NEW)), NOW);
    assert_eq!((names(&seen).len(), &*seen.annotations["sluice.dev/values-revision"]), (2, NEW));
}

#[test]
fn reports_and_messages_are_bounded() {
    let long = report(Degraded, &"é".repeat(MESSAGE_MAX), NEW);
    let mut seen = object(NEW, &[]);
    for pod in 0..2 * REPORTS_MAX as u64 {
        apply(&mut seen, &format!("pod-{pod:04}"), Some(&long), NOW + pod / 10);
    }
    assert_eq!(names(&seen).len(), REPORTS_MAX);
    assert_eq!(names(&seen)[0], format!("pod-{REPORTS_MAX:04}"), "the oldest left");
    let bytes: usize = seen.annotations.iter().map(|(key, text)| key.len() + text.len()).sum();
    assert!(bytes < 200 << 10, "{bytes} bytes of the 256 KiB that an object has");
    assert_eq!(line("a\nb\u{1b}[2Jc", 10), "a b [2Jc");
    assert_eq!((line("12345", 5), line("123456", 5)), ("12345".to_owned(), "1234…".to_owned()));
}

fn model(name: &str, phase: Phase, message: &str) -> ModelStatus {
    ModelStatus {
        name: name.to_owned(),
        phase,
        message: message.to_owned(),
        observed_revision: OLD.to_owned(),
        values_error: None,
        notes: Vec::new(),
        desired_version: "v1".to_owned(),
        stable: None,
        canary: None,
        analysis: Vec::new(),
        rejected: Vec::new(),
        promoted: Vec::new(),
        history: Vec::new(),
    }
}

#[test]
fn what_one_process_says_is_the_worst_of_its_models() {
    let of = |models: &[ModelStatus], problems: &[&str]| {
        let status = Status {
            models: models.to_vec(),
            problems: problems.iter().map(ToString::to_string).collect(),
            revisions: vec![OLD.to_owned(), NEW.to_owned()],
            notes: Vec::new(),
        };
        Report::of(&status).map(|report| (report.phase, report.message, report.revision))
    };
    let both = format!("{OLD},{NEW}");
    let said = |phase, message: &str| Some((phase, message.to_owned(), both.clone()));
    assert_eq!(of(&[], &[]), None, "nothing was read yet");
    assert_eq!(of(&[model("a", Healthy, "v1 serves")], &[]), said(Healthy, "v1 serves"));
    let (a, b) = (model("a", Paused, "until promoted"), model("b", Paused, "by hand"));
    assert_eq!(of(&[a.clone(), b], &[]), said(Paused, "a: until promoted"));
    assert_eq!(of(&[a.clone(), model("b", Degraded, "bad")], &[]), said(Degraded, "b: bad"));
    assert_eq!(of(&[a], &["v.yaml:1: one\nv.yaml:2: two"]), said(Degraded, "values: v.yaml:1: one (and 1 more)"));
}

#[test]
fn argo_cds_own_configuration_reads_what_is_written() {
    let health = include_str!("../../../../deploy/argocd/config/health.lua");
    let quoted = [PHASE, MESSAGE, OBSERVED_REVISION].into_iter().chain(Phase::ALL.map(Phase::name));
    for name in quoted {
        assert!(health.contains(&format!("\"{name}\"")) || health.contains(&format!("{name} = ")), "{name}");
    }
    let ignored = include_str!("../../../../deploy/argocd/config/kustomization.yaml");
    assert!(ignored.contains(&format!("/metadata/annotations/{}", REPORTS.replace('/', "~1"))), "{ignored}");
}

#[test]
fn a_server_and_the_object_call_the_same_content_the_same() {
    let revision = |text: &str| config::content_digest(text.as_bytes()).to_string();
    let data = |pairs: &[(&'static str, &'static str)]| wanted(pairs.iter().copied());
    assert_eq!(data(&[("values.yaml", "a")]), revision("a"));
    assert_eq!(data(&[("values.yaml", "a"), ("README.md", "b"), (".hidden.yaml", "c")]), revision("a"));
    let mut two = [revision("a"), revision("b")];
    two.sort();
    assert_eq!(data(&[("y.yml", "b"), ("x.yaml", "a"), ("z.yaml", "a")]), two.join(","));
    assert_eq!(data(&[]), "");
}
