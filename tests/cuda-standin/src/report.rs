//! What the checks found, each thing once with how often. Knows nothing of how it is shown or where it is written.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An access outside every block.
    OutOfBounds,
    /// An access to a block that was freed.
    UseAfterFree,
    /// An address that is no multiple of the access's size.
    Misaligned,
    /// A read of global bytes that nothing wrote.
    UninitialisedGlobal,
    /// A read of shared bytes that this block did not write.
    UninitialisedShared,
    /// A copy to the host of bytes that nothing wrote.
    UninitialisedCopy,
    /// Two threads of a block touched the same shared bytes with nothing between that orders them.
    SharedRace,
    /// A barrier that the threads of a block reached in different places.
    DivergentBarrier,
    /// A barrier after some threads of the block had left the kernel.
    BarrierAfterExit,
    /// A barrier that can never be complete.
    Deadlock,
    /// A shuffle from a lane that did not take part.
    InactiveLane,
    /// A warp operation whose member mask names lanes that are elsewhere, or leaves out the one that runs it.
    MemberMask,
    /// An access past a local array.
    LocalOverrun,
    /// A store to constant memory or to parameters.
    ReadOnly,
    /// A device-side assertion failed.
    Assertion,
    /// The kernel stopped itself.
    Trap,
    /// A call of what is no function.
    WildCall,
    /// A function that calls itself too often.
    StackOverflow,
    /// The kernel ran for longer than any real one.
    NoEnd,
    /// Memory that was never freed.
    Leak,
    /// A call that the stand-in lacks.
    Unsupported,
    /// The driver was called in a way that a real one does not survive.
    WrongCall,
}

impl Kind {
    /// The word in reports and in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::OutOfBounds => "out-of-bounds",
            Self::UseAfterFree => "use-after-free",
            Self::Misaligned => "misaligned",
            Self::UninitialisedGlobal => "uninitialised-global",
            Self::UninitialisedShared => "uninitialised-shared",
            Self::UninitialisedCopy => "uninitialised-copy",
            Self::SharedRace => "shared-race",
            Self::DivergentBarrier => "divergent-barrier",
            Self::BarrierAfterExit => "barrier-after-exit",
            Self::Deadlock => "deadlock",
            Self::InactiveLane => "inactive-lane",
            Self::MemberMask => "member-mask",
            Self::LocalOverrun => "local-overrun",
            Self::ReadOnly => "read-only",
            Self::Assertion => "assertion",
            Self::Trap => "trap",
            Self::WildCall => "wild-call",
            Self::StackOverflow => "stack-overflow",
            Self::NoEnd => "no-end",
            Self::Leak => "leak",
            Self::Unsupported => "unsupported",
            Self::WrongCall => "wrong-call",
        }
    }
}

/// Where in a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The kernel's name as in PTX.
    pub kernel: String,
    /// The block's coordinates.
    pub block: [u32; 3],
    /// The thread's coordinates in its block.
    pub thread: [u32; 3],
    /// The line in the CUDA source, if the PTX tells it.
    pub source: Option<(String, u32)>,
    /// The line in the PTX text.
    pub ptx_line: u32,
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What is wrong.
    pub kind: Kind,
    /// Where, when a kernel did it.
    pub place: Option<Place>,
    /// The rest, in words.
    pub words: String,
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.kind.word(), self.words)?;
        let Some(place) = &self.place else { return Ok(()) };
        let ([bx, by, bz], [tx, ty, tz]) = (place.block, place.thread);
        write!(to, " in kernel {}, block ({bx}, {by}, {bz}), thread ({tx}, {ty}, {tz})", place.kernel)?;
        if let Some((file, line)) = &place.source {
            write!(to, ", {file}:{line}")?;
        }
        write!(to, ", line {} of the PTX", place.ptx_line)
    }
}

/// Above this many different findings only the count grows.
const DIFFERENT_MAX: usize = 1000;

/// Findings, equal ones counted: the first of each kind in each line of each kernel is kept.
#[derive(Debug, Default)]
pub struct Reports {
    found: Vec<(Report, u64)>,
    left_out: u64,
}

impl Reports {
    /// Adds a finding; answers whether it is the first of its sort.
    pub fn add(&mut self, report: Report) -> bool {
        self.add_many(report, 1)
    }

    /// Adds a finding that came so many times; answers whether it is the first of its sort.
    pub fn add_many(&mut self, report: Report, times: u64) -> bool {
        let same = |other: &Report| {
            let line = |it: &Report| it.place.as_ref().map(|place| (place.kernel.clone(), place.ptx_line));
            other.kind == report.kind
                && line(other) == line(&report)
                && (report.place.is_some() || other.words == report.words)
        };
        if let Some((_, before)) = self.found.iter_mut().find(|(other, _)| same(other)) {
            *before += times;
            return false;
        }
        if self.found.len() == DIFFERENT_MAX {
            self.left_out += times;
            return false;
        }
        self.found.push((report, times));
        true
    }

    /// The findings, in the order in which they came, each with how often.
    #[must_use]
    pub fn found(&self) -> &[(Report, u64)] {
        &self.found
    }

    /// How many findings came after the list was full.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// One JSON document. `compiled` is the folder in which a driver would keep what it compiles.
    #[must_use]
    pub fn to_json(&self, compiled: Option<&str>) -> String {
        let rows: Vec<String> = self.found.iter().map(|(report, times)| row(report, *times)).collect();
        let (compiled, left_out) = (compiled.map_or_else(|| "null".to_owned(), quoted), self.left_out);
        format!("{{\"compiled\":{compiled},\"left_out\":{left_out},\"reports\":[\n{}\n]}}\n", rows.join(",\n"))
    }
}

fn row(report: &Report, times: u64) -> String {
    let mut text = format!("{{\"kind\":\"{}\",\"times\":{times}", report.kind.word());
    if let Some(place) = &report.place {
        text += &format!(
            ",\"kernel\":{},\"block\":{:?},\"thread\":{:?},\"ptx_line\":{}",
            quoted(&place.kernel),
            place.block,
            place.thread,
            place.ptx_line
        );
        if let Some((file, line)) = &place.source {
            text += &format!(",\"file\":{},\"line\":{line}", quoted(file));
        }
    }
    text += &format!(",\"words\":{}}}", quoted(&report.words));
    text
}

/// A string as JSON has it.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            control if control < ' ' => out += &format!("\\u{:04x}", u32::from(control)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, thread: u32) -> Report {
        let place = Place {
            kernel: "k".into(),
            block: [1, 0, 0],
            thread: [thread, 0, 0],
            source: Some(("a \"b\".cu".into(), 7)),
            ptx_line: line,
        };
        Report { kind: Kind::SharedRace, place: Some(place), words: "two\nthreads".into() }
    }

    #[test]
    fn equal_findings_are_counted() {
        let mut reports = Reports::default();
        assert!(reports.add(at(3, 0)));
        assert!(!reports.add(at(3, 1)));
        assert!(reports.add(at(4, 0)));
        assert_eq!(reports.found().iter().map(|(_, times)| *times).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut reports = Reports::default();
        let first = (0..1003).filter(|line| reports.add(at(*line, 0))).count();
        assert_eq!(first, 1000);
        assert_eq!((reports.found().len(), reports.left_out()), (1000, 3));
    }

    #[test]
    fn json_reads_back() {
        let mut reports = Reports::default();
        reports.add(at(3, 2));
        let read: serde_json::Value = serde_json::from_str(&reports.to_json(Some("/c"))).unwrap();
        assert_eq!(read["compiled"], "/c");
        assert_eq!(read["reports"][0]["words"], "two\nthreads");
        assert_eq!(read["reports"][0]["file"], "a \"b\".cu");
        assert_eq!(read["reports"][0]["thread"][0], 2);
    }

    #[test]
    fn a_report_names_its_place() {
        let text = at(3, 2).to_string();
        assert!(text.ends_with("in kernel k, block (1, 0, 0), thread (2, 0, 0), a \"b\".cu:7, line 3 of the PTX"));
    }
}
