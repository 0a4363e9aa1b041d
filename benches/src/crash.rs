//! `crash`: aborts the server at every fail point of every phase and at random moments, starts it again, and looks.
//!
//! A version serves, an older one is in the cache that has no room for three, and a candidate comes: a good one, which
//! goes through a trial, or one that was changed after it was signed. After each crash the server must become ready,
//! answer with a version of ours exactly as that version must, never with the changed one, and hold a cache in which
//! every artifact has the digest of its name. A fail point that no candidate reaches was not tested, and fails the run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use server::store::{FileDigest, MANIFEST_NAME, SIGNATURE_NAME, Sha256, root};
use tests::zoo;

use crate::process::{Process, SERVER};
use crate::world::{Addresses, World, sign};

/// How much to crash.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Crashes at random moments.
    #[arg(long, default_value_t = 100)]
    moments: usize,
    /// Seed of the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every fail point once and six moments, as CI runs it.
    #[arg(long)]
    short: bool,
}

const MODEL: &str = "fraud-detection";
/// How long a fail point may take to be reached after the values changed.
const REACH: Duration = Duration::from_secs(3);
/// What the candidate goes through.
const STEPS: &str = "steps: [{setWeight: 50}, {pause: {duration: 100ms}}, {setWeight: 80}, {pause: {duration: 100ms}}]";
/// Random moments lie within this long after the values changed: a whole trial fits.
const MOMENT_MAX_MS: u64 = 800;
/// The smallest cache that there may be.
const CACHE_BYTES: u64 = 1 << 20;
/// Labels: what served before, what serves, and what comes.
const OLD: &str = "r0";
const STABLE: &str = "r1";
const CANDIDATE: &str = "r2";

#[derive(Default)]
struct Tally {
    points: usize,
    unverified: usize,
    corrupt: usize,
    not_serving: usize,
}

/// Prints the outcome table and the closing line; false when anything was wrong.
pub(crate) async fn run(options: &Options) -> anyhow::Result<bool> {
    if !cfg!(feature = "failpoints") {
        anyhow::bail!("fail points are not compiled in; run: cargo run --release -p benches -- crash");
    }
    let mut tally = Tally::default();
    println!("{:<34} {:<9} {:<18} {:<8} {:<8} cache", "crash at", "candidate", "how", "serves", "answer");
    let mut unreached = Vec::new();
    for point in server::fail_points() {
        let mut reached = false;
        for (candidate, when) in PASSES {
            let crashed = scenario(&mut tally, point, candidate, Crash::Point(point, when)).await;
            reached |= crashed.with_context(|| format!("at {point}"))?;
            if reached && options.short {
                break;
            }
        }
        if !reached {
            unreached.push(point);
        }
    }
    let mut rng = rand::rngs::StdRng::seed_from_u64(options.seed);
    for moment in 0..if options.short { 6 } else { options.moments } {
        let after = Duration::from_millis(rng.random_range(0..MOMENT_MAX_MS));
        let name = format!("{} ms after the change", after.as_millis());
        let candidate = if moment % 2 == 0 { Candidate::Good } else { Candidate::Changed };
        scenario(&mut tally, &name, candidate, Crash::Moment(after)).await.with_context(|| name.clone())?;
    }
    if !unreached.is_empty() {
        println!("no candidate reached: {}", unreached.join(", "));
    }
    let Tally { points, unverified, corrupt, not_serving } = tally;
    println!("crash points={points} unverified={unverified} corrupt={corrupt} not_serving={not_serving}");
    Ok(unverified + corrupt + not_serving == 0 && unreached.is_empty())
}

/// At the second time for the candidate, at the first while the version that serves comes up again.
const PASSES: [(Candidate, &str); 3] =
    [(Candidate::Good, "1*off->panic"), (Candidate::Good, "panic"), (Candidate::Changed, "panic")];

#[derive(Clone, Copy)]
enum Crash<'a> {
    /// A fail point, and what it does when.
    Point(&'a str, &'a str),
    Moment(Duration),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Candidate {
    /// It passes every gate and its trial.
    Good,
    /// One byte of its weights was changed after it was signed.
    Changed,
}

impl Candidate {
    fn artifact(self) -> PathBuf {
        zoo::artifact(MODEL, if self == Self::Good { "v1.1.0" } else { "v1.3.0" })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Changed => "changed",
        }
    }
}

/// One world, one crash, one look. False where the point was not reached: then nothing crashed, and it is no row.
async fn scenario(tally: &mut Tally, name: &str, candidate: Candidate, crash: Crash<'_>) -> anyhow::Result<bool> {
    let mut world = world(candidate).await?;
    let how = match crash {
        Crash::Point(point, when) => crash_at(&mut world, &format!("{point}={when}")).await?,
        Crash::Moment(after) => Some(kill_after(&mut world, after).await?),
    };
    let Some(how) = how else { return Ok(false) };
    let outcome = look(&world, candidate).await?;
    tally.points += 1;
    tally.unverified += usize::from(outcome.answer == "wrong");
    tally.corrupt += usize::from(!outcome.cache_sound);
    tally.not_serving += usize::from(outcome.serves.is_none());
    let serves = outcome.serves.as_deref().unwrap_or("nothing");
    let cache = if outcome.cache_sound { "sound" } else { "CORRUPT" };
    println!("{name:<34} {:<9} {how:<18} {serves:<8} {:<8} {cache}", candidate.name(), outcome.answer);
    Ok(true)
}

/// A version that serves, an older one in the cache, and the candidate in the bucket.
async fn world(candidate: Candidate) -> anyhow::Result<World> {
    let mut world = World::new(MODEL)?;
    publish_old(&world, candidate).await?;
    world.publish(&zoo::artifact(MODEL, "v1.0.0"), STABLE)?;
    world.publish(&candidate.artifact(), CANDIDATE)?;
    world.declare(OLD)?;
    let mut process = start(&world, None)?;
    let addresses = world.ready(&mut process).await?;
    addresses.promoted(OLD).await?;
    world.declare(STABLE)?;
    addresses.promoted(STABLE).await?;
    written_down(&world, STABLE).await?;
    process.kill().await?;
    Ok(world)
}

/// Waits until the promotion of `version` is on disk: a process that is killed within milliseconds of it may not have
/// written it down, and from then on nothing may bring back what served before.
async fn written_down(world: &World, version: &str) -> anyhow::Result<()> {
    let path = world.cache().join("rollout").join(format!("{MODEL}.json"));
    let written = async {
        loop {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let memory: Value = serde_json::from_str(&text).unwrap_or_default();
            if memory["promoted"].as_array().is_some_and(|all| all.iter().any(|one| one["version"] == version)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(REACH, written).await.with_context(|| format!("{} never named {version}", path.display()))
}

/// The older version, so large that it fits into the cache with what serves, and not with the candidate as well.
async fn publish_old(world: &World, candidate: Candidate) -> anyhow::Result<()> {
    let [own, stable, candidate] =
        [zoo::artifact(MODEL, "v1.2.0"), zoo::artifact(MODEL, "v1.0.0"), candidate.artifact()];
    let sizes = [&own, &stable, &candidate].map(|folder| folder_bytes(folder));
    let [own_bytes, stable, candidate] = sizes;
    let padding = CACHE_BYTES - own_bytes? - stable? - candidate? / 2;
    let source = world.shelf(&own, "old")?;
    // It is signed anew, with a file more.
    std::fs::remove_file(source.join(MANIFEST_NAME))?;
    std::fs::remove_file(source.join(SIGNATURE_NAME))?;
    std::fs::write(source.join("padding"), vec![0; usize::try_from(padding)?])?;
    sign(&source, &world.uploaded(OLD)).await
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { folder_bytes(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

fn start(world: &World, armed: Option<&str>) -> anyhow::Result<Process> {
    let mut arguments = vec![SERVER.to_owned()];
    arguments.extend(world.serve_arguments());
    arguments.extend(["--cache-bytes-max".to_owned(), CACHE_BYTES.to_string()]);
    let environment: Vec<_> = armed.map(|armed| ("FAILPOINTS".to_owned(), armed.to_owned())).into_iter().collect();
    Process::start(&arguments, &environment, None)
}

/// Starts with the fail point armed; it fires during the restart or during the trial of the next version.
async fn crash_at(world: &mut World, armed: &str) -> anyhow::Result<Option<String>> {
    let mut process = start(world, Some(armed))?;
    if let Ok(addresses) = World::addresses(&mut process).await {
        tokio::select! {
            aborted = process.aborted() => return Ok(Some(how(aborted?, "while restarting"))),
            _ready = addresses.wait_ready() => {}
        }
    } else {
        return Ok(Some(how(process.aborted().await?, "while restarting")));
    }
    world.declare_with(CANDIDATE, STEPS)?;
    match tokio::time::timeout(REACH, process.aborted()).await {
        Ok(aborted) => Ok(Some(how(aborted?, "after the change"))),
        Err(_) => {
            process.kill().await?;
            Ok(None)
        }
    }
}

fn how(aborted: bool, when: &str) -> String {
    if aborted { when.to_owned() } else { format!("EXITED {when}") }
}

async fn kill_after(world: &mut World, after: Duration) -> anyhow::Result<String> {
    let mut process = start(world, None)?;
    world.ready(&mut process).await?;
    world.declare_with(CANDIDATE, STEPS)?;
    tokio::time::sleep(after).await;
    process.kill().await?;
    Ok("killed".to_owned())
}

struct Outcome {
    serves: Option<String>,
    answer: &'static str,
    cache_sound: bool,
}

/// Starts again without faults, and looks at what serves at once and what is on disk.
async fn look(world: &World, candidate: Candidate) -> anyhow::Result<Outcome> {
    let mut process = start(world, None)?;
    let Ok(addresses) = world.ready(&mut process).await else {
        return Ok(Outcome { serves: None, answer: "none", cache_sound: cache_is_sound(world)? });
    };
    let (version, right) = ask(&addresses, candidate).await?;
    process.kill().await?;
    let answer = if right { "right" } else { "wrong" };
    Ok(Outcome { serves: Some(version), answer, cache_sound: cache_is_sound(world)? })
}

/// Sends the golden request and compares the answer with the one recorded for the version that answered. No answer of
/// the changed version is right.
async fn ask(addresses: &Addresses, candidate: Candidate) -> anyhow::Result<(String, bool)> {
    let url = format!("http://{}/v2/models/{MODEL}/infer", addresses.http);
    let golden = golden("v1.0.0")?;
    let body = serde_json::to_vec(&golden["request"])?;
    let response =
        crate::world::client().post(url).header("content-type", "application/json").body(body).send().await?;
    let reply: Value = serde_json::from_slice(&response.bytes().await?)?;
    let version = reply["model_version"].as_str().context("the answer names its version")?.to_owned();
    let expected = match (&*version, candidate) {
        (STABLE, _) => golden,
        (CANDIDATE, Candidate::Good) => self::golden("v1.1.0")?,
        _ => return Ok((version, false)),
    };
    let right = outputs_agree(&reply["outputs"], &expected["response"]["outputs"]);
    Ok((version, right))
}

fn golden(version: &str) -> anyhow::Result<Value> {
    let folder = zoo::artifact(MODEL, version).join("golden");
    let mut files: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(std::fs::DirEntry::file_name);
    let first = files.first().context("a version has golden requests")?;
    Ok(serde_json::from_slice(&std::fs::read(first.path())?)?)
}

/// Every output within 1e-3 of the recorded one.
fn outputs_agree(actual: &Value, expected: &Value) -> bool {
    let numbers = |outputs: &Value, name: &Value| -> Option<Vec<f64>> {
        let output = outputs.as_array()?.iter().find(|output| output["name"] == *name)?;
        Some(output["data"].as_array()?.iter().filter_map(Value::as_f64).collect())
    };
    let empty = json!([]);
    expected.as_array().unwrap_or(empty.as_array().expect("an array")).iter().all(|output| {
        let (Some(a), Some(e)) = (numbers(actual, &output["name"]), numbers(expected, &output["name"])) else {
            return false;
        };
        a.len() == e.len() && a.iter().zip(&e).all(|(a, e)| (a - e).abs() <= 1e-3)
    })
}

/// Every artifact in the cache has the digest of its name.
fn cache_is_sound(world: &World) -> anyhow::Result<bool> {
    let artifacts = world.cache().join("artifacts");
    for entry in std::fs::read_dir(artifacts)? {
        let entry = entry?;
        let mut files = Vec::new();
        let hashed = hash_below(&entry.path().join("files"), "", &mut files);
        // The names of the files are hashed after the dash.
        let folder = entry.file_name().to_string_lossy().into_owned();
        if hashed.is_err() || folder.split('-').next() != Some(root(&files).hex().as_str()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Files that are in an artifact's folder and not in its root digest.
const OUTSIDE: [&str; 2] = [MANIFEST_NAME, SIGNATURE_NAME];

fn hash_below(folder: &Path, prefix: &str, files: &mut Vec<FileDigest>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            hash_below(&entry.path(), &format!("{name}/"), files)?;
        } else if !OUTSIDE.contains(&name.as_str()) {
            let bytes = std::fs::read(entry.path())?;
            files.push(FileDigest { name, size: bytes.len() as u64, sha256: Sha256::of(&bytes) });
        }
    }
    Ok(())
}
