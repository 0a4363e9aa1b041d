//! On the device itself, from a thread of its own: our kernels, the bundled models, and what it copies and multiplies.

use models::cuda::{self, Ceiling, Gpu, Scale};
use models::{Golden, Model, ModelFiles, Tolerance};
use std::thread::JoinHandle;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::report::{Check, Figure, News};
use crate::cli::demo::content::{BAD, BETTER, FIRST, MODEL, VERSIONS};
use crate::cli::exit::Failure;

/// One row, a few, a full batch of eight, and a ragged last one.
const BATCHES: [usize; 4] = [1, 3, 8, 5];
/// Sums are added up in another order on a device, and exponentials differ in their last bits.
const TOLERANCE: Tolerance = Tolerance { absolute: 1e-5, relative: 1e-5 };
/// Several times what any card's cache holds.
const MEASURED: Scale = Scale { copy_bytes: 256 << 20, side: 4096 };
/// The median of as many rounds counts, of at least so many seconds each.
const ROUNDS: usize = 5;
const ROUND_SECONDS: f64 = 0.1;
/// Enough to see that it works, where no time means anything.
const TRIED: Scale = Scale { copy_bytes: 64 << 10, side: 48 };
/// News that may wait to be printed.
const WAITING: usize = 64;

/// Why the rest of a probe is left out: nobody listens, or the device is lost.
struct Over;

/// Starts the thread; what it finds ends when it does.
pub(super) fn start(index: usize) -> Result<(mpsc::Receiver<News>, JoinHandle<()>), Failure> {
    let (news, received) = mpsc::channel(WAITING);
    let probe = move || {
        let _over = Probe::open(index, news).and_then(|probe| probe.run());
    };
    let thread = std::thread::Builder::new().name("selftest".to_owned()).spawn(probe);
    Ok((received, thread.map_err(|error| Failure::failed(format_args!("cannot start a thread: {error}")))?))
}

struct Probe {
    gpu: Gpu,
    news: mpsc::Sender<News>,
}

impl Probe {
    fn open(index: usize, news: mpsc::Sender<News>) -> Result<Self, Over> {
        let opened = Gpu::open(index).map_err(|error| error.to_string());
        let known = opened.and_then(|gpu| Ok((gpu.details().map_err(|error| cuda::said(&error))?, gpu)));
        match known {
            Ok((details, gpu)) => {
                let probe = Self { gpu, news };
                probe.say(News::Device(probe.gpu.facts().clone(), details))?;
                Ok(probe)
            }
            Err(why) => {
                let name = "the device can be opened".to_owned();
                let _over = news.blocking_send(News::Check(Check { name, outcome: Err(why) }));
                Err(Over)
            }
        }
    }

    fn run(&self) -> Result<(), Over> {
        self.say(News::Part("kernels, against their references"))?;
        for case in cuda::cases() {
            self.check(format!("{}: {}", case.op, case.name.replace('_', " ").replace("cpu", "CPU")), || {
                case.run(&self.gpu).map(|()| String::new()).map_err(|error| cuda::said(&error))
            })?;
        }
        self.say(News::Part("models, against the CPU"))?;
        for version in [FIRST, BETTER, BAD] {
            self.check(format!("{MODEL} {version} answers alike"), || alike(version, &self.gpu))?;
        }
        self.check("a model gives back all the memory that it took".to_owned(), || given_back(&self.gpu))?;
        self.say(News::Part("ceilings"))?;
        self.ceilings()
    }

    fn ceilings(&self) -> Result<(), Over> {
        let simulated = self.gpu.facts().simulated();
        if simulated {
            self.say(News::NotMeasured)?;
        }
        for ceiling in Ceiling::EACH {
            if simulated {
                self.check(ceiling.name().to_owned(), || tried(&self.gpu, ceiling))?;
            } else {
                match measured(&self.gpu, ceiling) {
                    Ok(figure) => self.say(News::Figure(figure))?,
                    Err(wrong) => self.check(ceiling.name().to_owned(), || Err(wrong))?,
                }
            }
        }
        Ok(())
    }

    /// Checks something, says what came of it, and goes on where the device still answers.
    fn check(&self, name: String, check: impl FnOnce() -> Result<String, String>) -> Result<(), Over> {
        let outcome = check();
        self.say(News::Check(Check { name, outcome }))?;
        if let Some(fault) = self.gpu.ask() {
            self.say(News::Lost(fault.to_string()))?;
            return Err(Over);
        }
        Ok(())
    }

    fn say(&self, news: News) -> Result<(), Over> {
        self.news.blocking_send(news).map_err(|_| Over)
    }
}

/// The files of a bundled version.
pub(super) fn bundled(version: &str) -> Result<ModelFiles, String> {
    let mut files = ModelFiles::new();
    let bundled = VERSIONS.iter().find(|(name, _)| *name == version).map(|(_, files)| files).into_iter().flatten();
    for (name, bytes) in bundled {
        files.insert(*name, bytes::Bytes::from_static(bytes)).map_err(|error| error.to_string())?;
    }
    Ok(files)
}

fn placed(files: &ModelFiles, gpu: &Gpu) -> Result<Model, String> {
    let mut placing = models::inspect(files).map_err(|error| error.to_string())?.placing();
    while !placing.step(gpu).map_err(|error| error.to_string())? {}
    Ok(placing.finish(gpu))
}

fn alike(version: &str, gpu: &Gpu) -> Result<String, String> {
    let files = bundled(version)?;
    let host = models::load(&files).map_err(|error| error.to_string())?;
    let device = placed(&files, gpu)?;
    for rows in BATCHES {
        let inputs = host.varied_inputs(rows);
        let outputs = host.run(&inputs).map_err(|error| format!("on the CPU: {error}"))?;
        let there = device.run(&inputs).map_err(|error| error.to_string())?;
        let right = Golden { inputs, outputs, tolerance: TOLERANCE };
        right.compare(&there).map_err(|differences| format!("{rows} rows: {}", differences.join("; ")))?;
    }
    Ok(format!("batches of {}", BATCHES.map(|rows| rows.to_string()).join(", ")))
}

fn given_back(gpu: &Gpu) -> Result<String, String> {
    let used = || gpu.trim(0).map(|memory| memory.pool_used_bytes).map_err(|error| cuda::said(&error));
    let files = bundled(BETTER)?;
    let before = used()?;
    let model = placed(&files, gpu)?;
    let with = used()?;
    model.run(&model.sample_inputs(8)).map_err(|error| error.to_string())?;
    drop(model);
    match used()? {
        after if after == before && with > before => Ok(format!("{} bytes", with - before)),
        after => Err(format!("{before} bytes in use before, {with} with the model, {after} after")),
    }
}

fn tried(gpu: &Gpu, ceiling: Ceiling) -> Result<String, String> {
    let tried = gpu.work(ceiling, TRIED).and_then(|mut work| work.run(1));
    tried.map(|()| "done once, not timed".to_owned()).map_err(|error| cuda::said(&error))
}

fn measured(gpu: &Gpu, ceiling: Ceiling) -> Result<Figure, String> {
    let median = || {
        let mut work = gpu.work(ceiling, MEASURED)?;
        let mut seconds = |turns: u32| {
            let start = Instant::now();
            work.run(turns)?;
            Ok::<_, candle_core::Error>(start.elapsed().as_secs_f64() / f64::from(turns))
        };
        // Whatever is done the first time only.
        seconds(2)?;
        let turns = (ROUND_SECONDS / seconds(2)?).ceil().clamp(1.0, 1e4) as u32;
        let mut rounds = (0..ROUNDS).map(|_| seconds(turns)).collect::<Result<Vec<_>, _>>()?;
        rounds.sort_by(f64::total_cmp);
        Ok(rounds[ROUNDS / 2])
    };
    let seconds = median().map_err(|error: candle_core::Error| cuda::said(&error))?;
    Ok(Figure { name: ceiling.name(), amount: ceiling.amount(MEASURED), seconds })
}
