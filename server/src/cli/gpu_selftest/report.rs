//! What was found, as lines for people and as JSON. Pure.

use models::cuda::{Amount, Details, Facts};
use serde_json::{Value, json};

use crate::cli::output::{BAD, Clean, FAINT, GOOD, STRONG};

/// One thing that was found.
#[derive(Debug)]
pub(super) enum News {
    /// What the device is.
    Device(Facts, Details),
    /// A part begins.
    Part(&'static str),
    /// Something was checked.
    Check(Check),
    /// Something was measured.
    Figure(Figure),
    /// Why nothing is measured.
    NotMeasured,
    /// The device answers nothing any more.
    Lost(String),
}

/// Something that was checked.
#[derive(Debug)]
pub(super) struct Check {
    /// What should hold.
    pub(super) name: String,
    /// What else is to be said of it, or what was wrong.
    pub(super) outcome: Result<String, String>,
}

/// Something that was measured.
#[derive(Debug)]
pub(super) struct Figure {
    pub(super) name: &'static str,
    /// What was done in this time.
    pub(super) amount: Amount,
    pub(super) seconds: f64,
}

/// All that was found.
#[derive(Debug, Default)]
pub(super) struct Report {
    device: Option<(Facts, Details)>,
    checks: Vec<(&'static str, Check)>,
    figures: Vec<Figure>,
    part: &'static str,
    lost: Option<String>,
}

impl Report {
    /// Keeps it, and says it in a line or two.
    pub(super) fn add(&mut self, news: News) -> String {
        match news {
            News::Device(facts, details) => {
                let text = heading(&facts, &details);
                self.device = Some((facts, details));
                text
            }
            News::Part(part) => {
                self.part = part;
                format!("\n{STRONG}{part}{STRONG:#}")
            }
            News::Check(check) => {
                let text = check_line(&check);
                self.checks.push((self.part, check));
                text
            }
            News::Figure(figure) => {
                let text = format!("  {}: {:32} {}", Clean(self.name()), figure.name, figure.rate());
                self.figures.push(figure);
                text
            }
            News::NotMeasured => {
                format!("  not measured: {} is no GPU, and how long it takes says nothing of one", Clean(self.name()))
            }
            News::Lost(fault) => {
                let text = format!("\n{BAD}the device is lost:{BAD:#} {}", Clean(&fault));
                self.lost = Some(fault);
                text
            }
        }
    }

    /// What ended the device.
    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Whether it is there at all.
    pub(super) fn has_device(&self) -> bool {
        self.device.is_some()
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        self.checks.iter().filter(|(_, check)| check.outcome.is_err()).count()
    }

    /// The sum.
    pub(super) fn last_line(&self) -> String {
        let (all, failed) = (self.checks.len(), self.failed());
        format!("\ngpu-selftest passed={} failed={failed} device=\"{}\"", all - failed, Clean(self.name()))
    }

    /// All of it, for programs.
    pub(super) fn json(&self) -> Value {
        let device = self.device.as_ref().map(|(facts, details)| {
            json!({
                "name": facts.name, "index": facts.index, "simulated": facts.simulated(),
                "driverCuda": details.driver_cuda, "computeCapability": capability(details),
                "multiprocessors": details.multiprocessors, "memoryBytes": details.memory_bytes,
            })
        });
        let checks = self.checks.iter().map(|(part, Check { name, outcome })| match outcome {
            Ok(note) => json!({ "part": part, "name": name, "passed": true, "note": note }),
            Err(wrong) => json!({ "part": part, "name": name, "passed": false, "note": wrong }),
        });
        let figures = self.figures.iter().map(|figure| {
            let (per_second, unit) = figure.per_second();
            json!({ "device": self.name(), "name": figure.name, "perSecond": per_second, "unit": unit })
        });
        json!({
            "sluice": env!("CARGO_PKG_VERSION"), "device": device, "checks": checks.collect::<Value>(),
            "figures": figures.collect::<Value>(), "failed": self.failed(), "lost": self.lost,
        })
    }

    fn name(&self) -> &str {
        self.device.as_ref().map_or("no device", |(facts, _)| &facts.name)
    }
}

impl Figure {
    fn per_second(&self) -> (f64, &'static str) {
        match self.amount {
            Amount::Bytes(bytes) => (bytes / self.seconds, "bytes"),
            Amount::Flops(flops) => (flops / self.seconds, "flops"),
        }
    }

    fn rate(&self) -> String {
        match self.per_second() {
            (rate, "bytes") => format!("{:8.1} GB/s", rate / 1e9),
            (rate, _) => format!("{:8.2} TFLOP/s", rate / 1e12),
        }
    }
}

fn heading(facts: &Facts, details: &Details) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let (name, index) = (Clean(&facts.name), facts.index);
    let gib = details.memory_bytes as f64 / f64::from(1 << 30);
    let (capability, cores, cuda) = (capability(details), details.multiprocessors, Clean(&details.driver_cuda));
    format!(
        "{STRONG}sluice {version} gpu-selftest on {name}{STRONG:#} (cuda:{index})\n{FAINT}compute capability \
         {capability}, {cores} multiprocessors, {gib:.1} GiB, a driver for CUDA {cuda}{FAINT:#}"
    )
}

fn capability(details: &Details) -> String {
    format!("{}.{}", details.capability.0, details.capability.1)
}

fn check_line(check: &Check) -> String {
    match &check.outcome {
        Ok(note) if note.is_empty() => format!("  {GOOD}ok{GOOD:#}    {}", Clean(&check.name)),
        Ok(note) => format!("  {GOOD}ok{GOOD:#}    {}  {FAINT}{}{FAINT:#}", Clean(&check.name), Clean(note)),
        Err(wrong) => format!("  {BAD}WRONG{BAD:#} {}\n        {}", Clean(&check.name), Clean(wrong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> (Report, String) {
        let facts = Facts { index: 1, name: "Tesla T4".to_owned() };
        let details = Details {
            driver_cuda: "13.0".to_owned(),
            capability: (7, 5),
            multiprocessors: 40,
            memory_bytes: 15_655_829_504,
        };
        let check = |name: &str, outcome: Result<&str, &str>| {
            let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
            News::Check(Check { name: name.to_owned(), outcome })
        };
        let mut report = Report::default();
        let text: Vec<String> = [
            News::Device(facts, details),
            News::Part("kernels"),
            check("health: counts add up", Ok("")),
            check("embedding: equals the CPU", Err("row 3: 1 for 2")),
            News::Part("ceilings"),
            News::Figure(Figure { name: "copy to the device", amount: Amount::Bytes(5e9), seconds: 0.5 }),
            News::Figure(Figure { name: "matrix product in f16", amount: Amount::Flops(3e12), seconds: 0.25 }),
            News::NotMeasured,
            News::Lost("an illegal\naddress".to_owned()),
        ]
        .map(|news| report.add(news))
        .into();
        (report, anstream::adapter::strip_str(&text.join("\n")).to_string())
    }

    #[test]
    fn as_lines() {
        let (report, text) = report();
        let text = text.replacen(env!("CARGO_PKG_VERSION"), "VERSION", 1);
        insta::assert_snapshot!("lines", format!("{text}\n{}", report.last_line()));
    }

    #[test]
    fn as_json() {
        let (report, _) = report();
        insta::assert_snapshot!("json", format!("{:#}", report.json()).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
        assert_eq!((report.failed(), report.lost()), (1, Some("an illegal\naddress")));
    }
}
