//! Records what a real CUDA driver and a real GPU answer, so that the stand-in can be held against it.

mod approx;
mod cases;
mod driver;
mod inputs;
mod instructions;
mod probe;
mod warp;

use cases::Case;
use probe::Probe;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const USAGE: &str = "driver-facts facts FILE [PREFIX]… | instructions FOLDER | approximate FOLDER | warp FOLDER | ptx FOLDER | list | case NAME | hold [context]";

/// A probe that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(10);
/// Probes that have the device to themselves do many things in turn.
const LIMIT_ALONE: Duration = Duration::from_secs(40);
/// Probes that run side by side.
const SIDE_BY_SIDE: usize = 6;
/// Text of a child that is kept.
const TEXT: usize = 4000;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["facts", file] => facts(Path::new(file), &[""]),
        ["facts", file, ref prefixes @ ..] => facts(Path::new(file), prefixes),
        ["instructions", folder] => with_probe(|p| instructions::record(p, Path::new(folder))),
        ["approximate", folder] => with_probe(|p| approx::record(p, Path::new(folder))),
        ["warp", folder] => with_probe(|p| warp::record(p, Path::new(folder))),
        ["ptx", folder] => write_ptx(Path::new(folder)),
        ["list"] => {
            cases::all().iter().for_each(|case| println!("{}", case.name));
            ExitCode::SUCCESS
        }
        ["case", name] => with_probe(|p| match cases::all().into_iter().find(|case| case.name == name) {
            Some(case) => (case.run)(p),
            None => p.say("no such probe", name),
        }),
        ["hold"] => with_probe(|p| {
            p.device();
            wait_for_end_of_input();
        }),
        ["hold", "context"] => with_probe(|p| {
            p.context();
            p.alloc(100 << 20);
            wait_for_end_of_input();
        }),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn with_probe(run: impl FnOnce(&Probe)) -> ExitCode {
    match Probe::open() {
        Ok(probe) => {
            run(&probe);
            ExitCode::SUCCESS
        }
        Err(why) => {
            println!("{}", json!({"no driver": why}));
            ExitCode::from(3)
        }
    }
}

fn wait_for_end_of_input() {
    let mut rest = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut rest);
}

/// Writes every PTX module, so that `ptxas` can judge them where there is no GPU.
fn write_ptx(folder: &Path) -> ExitCode {
    let mut texts = vec![
        ("probe".to_owned(), probe::PROBE_PTX.to_owned()),
        ("approximate".to_owned(), approx::module()),
        ("warp".to_owned(), warp::module()),
    ];
    for (group, ops) in instructions::groups() {
        for (number, (text, _)) in instructions::modules(&ops).into_iter().enumerate() {
            texts.push((format!("{group}-{number}"), text));
        }
    }
    for (name, text) in texts {
        if let Err(why) = std::fs::write(folder.join(format!("{name}.ptx")), text) {
            eprintln!("{name}: {why}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Runs every probe whose name begins with one of `prefixes` and writes one document.
fn facts(file: &Path, prefixes: &[&str]) -> ExitCode {
    let wanted = |case: &Case| prefixes.iter().any(|prefix| case.name.starts_with(prefix));
    let cases: Vec<Case> = cases::all().into_iter().filter(wanted).collect();
    let (alone, together): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.alone);
    let answers: Mutex<Vec<(String, Value)>> = Mutex::new(Vec::new());
    let keep = |name: &str, answer: Value| {
        if let Ok(mut answers) = answers.lock() {
            answers.push((name.to_owned(), answer));
        }
    };
    let write = || {
        let mut answers = answers.lock().map(|answers| answers.clone()).unwrap_or_default();
        answers.sort_by_key(|(name, _)| cases.iter().position(|case| case.name == *name));
        let document: serde_json::Map<String, Value> = answers.into_iter().collect();
        std::fs::write(file, format!("{}\n", layout(&document)))
    };
    let names: Vec<(String, Vec<(&'static str, String)>)> =
        together.iter().map(|case| (case.name.clone(), case.environment.clone())).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some((name, environment)) = names.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
                {
                    keep(name, child(name, environment, LIMIT));
                }
            });
        }
    });
    let _ = write();
    for case in alone {
        keep(&case.name, child(&case.name, &case.environment, LIMIT_ALONE));
        let _ = write();
    }
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{}: {why}", file.display());
            ExitCode::FAILURE
        }
    }
}

/// One step a line: a difference of two records shows what changed.
fn layout(document: &serde_json::Map<String, Value>) -> String {
    let cases: Vec<String> = document
        .iter()
        .map(|(name, answer)| {
            let steps = answer["steps"].as_array().cloned().unwrap_or_default();
            let steps: Vec<String> = steps.iter().map(|step| format!("   {step}")).collect();
            format!(
                " {}: {{\"end\": {}, \"text\": {}, \"steps\": [\n{}\n ]}}",
                json!(name),
                answer["end"],
                answer["text"],
                steps.join(",\n")
            )
        })
        .collect();
    format!("{{\n{}\n}}", cases.join(",\n"))
}

/// Runs one probe in a process of its own.
fn child(name: &str, environment: &[(&'static str, String)], limit: Duration) -> Value {
    let place = |what: &str| -> PathBuf {
        std::env::temp_dir().join(format!("driver-facts-{}-{}.{what}", std::process::id(), name.replace('/', "-")))
    };
    let (out_path, err_path) = (place("out"), place("err"));
    let (Ok(out_file), Ok(err_file)) = (std::fs::File::create(&out_path), std::fs::File::create(&err_path)) else {
        return json!({"end": "no place for its output"});
    };
    let program = std::env::current_exe().unwrap_or_else(|_| "driver-facts".into());
    let spawned = Command::new(program)
        .args(["case", name])
        .envs(environment.iter().map(|(key, value)| (*key, value.as_str())))
        .stdin(Stdio::null())
        .stdout(out_file)
        .stderr(err_file)
        .spawn();
    let mut process = match spawned {
        Ok(process) => process,
        Err(why) => return json!({"end": why.to_string()}),
    };
    let begin = Instant::now();
    let end = loop {
        match process.try_wait() {
            Ok(Some(status)) => break json!(status.to_string()),
            Ok(None) if begin.elapsed() > limit => {
                let _ = process.kill();
                let _ = process.wait();
                break json!("killed: it did not end");
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(why) => break json!(why.to_string()),
        }
    };
    let read = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        let _ = std::fs::remove_file(path);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let output = read(&out_path);
    let mut steps = Vec::new();
    let mut text = String::new();
    for line in output.lines() {
        match serde_json::from_str::<Value>(line) {
            Ok(step) if step.is_object() => steps.push(step),
            _ => {
                text.push_str(&format!("[after step {}] {line}\n", steps.len()));
            }
        }
    }
    text.push_str(&read(&err_path));
    let lines = text.lines().count();
    let kept: String = text.chars().take(TEXT).collect();
    let text = if kept.len() < text.len() { format!("{kept}… ({lines} lines)") } else { kept };
    json!({"end": end, "text": text, "steps": steps})
}
