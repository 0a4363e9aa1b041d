//! One entry of a plan: `name=value`.

use std::path::PathBuf;

use super::{AtLaunch, Faults, LaunchFault, Which};

/// The code of a launch that fails, where none is given.
const LAUNCH_FAILED: i32 = 719;
/// Codes that stay until the process ends.
const STICKY: &[i32] = &[700, 710, 714, 715, 716, 717, 718, 719];

pub(super) fn read(entry: &str, plan: &mut Faults) -> Result<(), String> {
    let (name, value) = match entry.split_once('=') {
        Some((name, value)) => (name.trim(), value.trim()),
        None => return Err(format!("no value; write as {entry}=…")),
    };
    match name {
        "devices" if value == "0" => plan.no_device = true,
        "devices" => return Err("only 0 can be asked for".to_owned()),
        "driver" => {
            plan.driver = Some(value.parse().map_err(|_| format!("{value} is no version; write as 12080"))?);
        }
        "memory" => plan.memory = Some(size(value)?),
        "allocation" => plan.allocations.push(which(value)?),
        "launch" => {
            let (event, code) = event_and_code(value)?;
            plan.launches.push(event.with(match STICKY.contains(&code) {
                true => LaunchFault::Fails(code),
                false => LaunchFault::Refused(code),
            }));
        }
        "lost" => {
            let (event, code) = event_and_code(value)?;
            plan.launches.push(event.with(LaunchFault::Lost(code)));
        }
        "slow" => {
            let (event, pipe) = event_and_pipe(name, value)?;
            plan.launches.push(Event::read(event)?.with(LaunchFault::Waits(pipe)));
        }
        "slow-copy" => {
            let (event, pipe) = event_and_pipe(name, value)?;
            plan.slow_copies.push((which(event)?, pipe));
        }
        _ => {
            let known = "devices, driver, memory, allocation, launch, lost, slow, slow-copy";
            return Err(format!("no such fault; there are {known}"));
        }
    }
    Ok(())
}

/// A launch by its number, of one kernel or of all.
struct Event {
    kernel: Option<String>,
    which: Which,
}

impl Event {
    fn read(text: &str) -> Result<Self, String> {
        match text.rsplit_once('/') {
            None => Ok(Self { kernel: None, which: which(text)? }),
            Some(("", _)) => Err("a kernel's name is missing before the slash".to_owned()),
            Some((kernel, number)) => Ok(Self { kernel: Some(kernel.to_owned()), which: which(number)? }),
        }
    }

    fn with(self, what: LaunchFault) -> AtLaunch {
        AtLaunch { kernel: self.kernel, which: self.which, what }
    }
}

fn event_and_code(value: &str) -> Result<(Event, i32), String> {
    let Some((event, code)) = value.split_once(':') else { return Ok((Event::read(value)?, LAUNCH_FAILED)) };
    match code.parse() {
        Ok(number) if number > 0 => Ok((Event::read(event)?, number)),
        _ => Err(format!("{code} is no code of an error; write one of cuda.h, as 719")),
    }
}

fn event_and_pipe<'a>(name: &str, value: &'a str) -> Result<(&'a str, PathBuf), String> {
    match value.split_once(':') {
        Some((event, path)) if !path.is_empty() => Ok((event, path.into())),
        _ => Err(format!("the named pipe is missing; write as {name}=3:/path/of/pipe")),
    }
}

fn which(text: &str) -> Result<Which, String> {
    let (number, and_after) = match text.strip_suffix('+') {
        Some(number) => (number, true),
        None => (text, false),
    };
    match number.parse() {
        Ok(number) if number > 0 => Ok(Which { number, and_after }),
        _ => {
            Err(format!("{text} is no number of an event; they count from 1, and 3+ means the third and all after it"))
        }
    }
}

fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| text.strip_suffix(name).map(|number| (number, *unit)))
        .unwrap_or((text, 1));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| format!("{text} is no size; write as 4096, 64KiB, 256MiB or 2GiB"))
}
