//! `crash`: aborts the server at every fail point of every phase and at random moments, starts it again, and looks.
//!
//! After each crash the server must become ready, answer with a version of ours exactly as that version must, and hold
//! a cache in which every artifact has the digest of its name.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use server::store::{FileDigest, MANIFEST_NAME, SIGNATURE_NAME, Sha256, root};
use tests::zoo;

use crate::process::{Process, SERVER};
use crate::world::{Addresses, World};

/// How much to crash.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Crashes at random moments.
    #[arg(long, default_value_t = 100)]
    moments: usize,
    /// Seed of the moments.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every fail point and five moments, as CI runs it.
    #[arg(long)]
    short: bool,
}

const MODEL: &str = "fraud-detection";
/// How long a fail point may take to be reached after the values changed.
const REACH: Duration = Duration::from_secs(5);
/// Random moments lie within this long after the values changed: a whole trial fits.
const MOMENT_MAX_MS: u64 = 600;

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
    println!("{:<36} {:<22} {:<10} {:<8} cache", "crash at", "how", "serves", "answer");
    for point in server::fail_points() {
        scenario(&mut tally, point, Crash::Point(point)).await.with_context(|| format!("at {point}"))?;
    }
    let mut rng = rand::rngs::StdRng::seed_from_u64(options.seed);
    for _ in 0..if options.short { 5 } else { options.moments } {
        let after = Duration::from_millis(rng.random_range(0..MOMENT_MAX_MS));
        let name = format!("{} ms after the change", after.as_millis());
        scenario(&mut tally, &name, Crash::Moment(after)).await.with_context(|| name.clone())?;
    }
    let Tally { points, unverified, corrupt, not_serving } = tally;
    println!("crash points={points} unverified={unverified} corrupt={corrupt} not_serving={not_serving}");
    Ok(unverified + corrupt + not_serving == 0)
}

#[derive(Clone, Copy)]
enum Crash<'a> {
    Point(&'a str),
    Moment(Duration),
}

/// One world, one crash, one look.
async fn scenario(tally: &mut Tally, name: &str, crash: Crash<'_>) -> anyhow::Result<()> {
    let mut world = World::new(MODEL)?;
    world.publish(&zoo::artifact(MODEL, "v1.0.0"), "r0")?;
    world.declare("r0")?;
    let mut process = start(&world, None)?;
    let addresses = world.ready(&mut process).await?;
    addresses.promoted("r0").await?;
    process.kill().await?;

    world.publish(&zoo::artifact(MODEL, "v1.1.0"), "r1")?;
    let how = match crash {
        Crash::Point(point) => crash_at(&mut world, point).await?,
        Crash::Moment(after) => kill_after(&mut world, after).await?,
    };
    let outcome = look(&world).await?;
    tally.points += 1;
    tally.unverified += usize::from(outcome.answer == "wrong");
    tally.corrupt += usize::from(!outcome.cache_sound);
    tally.not_serving += usize::from(outcome.serves.is_none());
    let serves = outcome.serves.as_deref().unwrap_or("nothing");
    let cache = if outcome.cache_sound { "sound" } else { "CORRUPT" };
    println!("{name:<36} {how:<22} {serves:<10} {:<8} {cache}", outcome.answer);
    Ok(())
}

fn start(world: &World, point: Option<&str>) -> anyhow::Result<Process> {
    let mut arguments = vec![SERVER.to_owned()];
    arguments.extend(world.serve_arguments());
    let environment: Vec<_> =
        point.map(|point| ("FAILPOINTS".to_owned(), format!("{point}=panic"))).into_iter().collect();
    Process::start(&arguments, &environment, None)
}

/// Starts with the fail point armed; it fires during the restart or during the trial of the next version.
async fn crash_at(world: &mut World, point: &str) -> anyhow::Result<String> {
    let mut process = start(world, Some(point))?;
    if let Ok(addresses) = World::addresses(&mut process).await {
        tokio::select! {
            aborted = process.aborted() => return Ok(how(aborted?, "while restarting")),
            _ready = addresses.wait_ready() => {}
        }
    } else {
        return Ok(how(process.aborted().await?, "while restarting"));
    }
    world.declare("r1")?;
    match tokio::time::timeout(REACH, process.aborted()).await {
        Ok(aborted) => Ok(how(aborted?, "during the trial")),
        Err(_) => {
            process.kill().await?;
            Ok("not reached; killed".to_owned())
        }
    }
}

fn how(aborted: bool, when: &str) -> String {
    if aborted { when.to_owned() } else { format!("EXITED {when}") }
}

async fn kill_after(world: &mut World, after: Duration) -> anyhow::Result<String> {
    let mut process = start(world, None)?;
    world.ready(&mut process).await?;
    world.declare("r1")?;
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
async fn look(world: &World) -> anyhow::Result<Outcome> {
    let mut process = start(world, None)?;
    let Ok(addresses) = world.ready(&mut process).await else {
        return Ok(Outcome { serves: None, answer: "none", cache_sound: cache_is_sound(world)? });
    };
    let (version, right) = ask(&addresses).await?;
    process.kill().await?;
    let answer = if right { "right" } else { "wrong" };
    Ok(Outcome { serves: Some(version), answer, cache_sound: cache_is_sound(world)? })
}

/// Sends the golden request and compares the answer with the one recorded for the version that answered.
async fn ask(addresses: &Addresses) -> anyhow::Result<(String, bool)> {
    let url = format!("http://{}/v2/models/{MODEL}/infer", addresses.http);
    let golden = golden("v1.0.0")?;
    let body = serde_json::to_vec(&golden["request"])?;
    let response =
        crate::world::client().post(url).header("content-type", "application/json").body(body).send().await?;
    let reply: Value = serde_json::from_slice(&response.bytes().await?)?;
    let version = reply["model_version"].as_str().context("the answer names its version")?.to_owned();
    let expected = if version == "r0" { golden } else { self::golden("v1.1.0")? };
    Ok((version, outputs_agree(&reply["outputs"], &expected["response"]["outputs"])))
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
