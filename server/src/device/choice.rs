//! Which device `--device` means, by what the driver shows.

use models::cuda::{self, Absent, Facts};

/// What models will run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    /// The CPU, and why no GPU where one might have been taken.
    Cpu { why: Option<String> },
    /// This CUDA device.
    Cuda(usize),
}

/// The device for a setting, or why there is none for it. `found` is what the driver shows.
pub(super) fn choose(
    wanted: config::Device,
    allow_simulated: bool,
    found: impl FnOnce() -> Result<Vec<Facts>, Absent>,
) -> Result<Choice, String> {
    match wanted {
        config::Device::Cpu => Ok(Choice::Cpu { why: None }),
        config::Device::Auto => Ok(match found().map_err(|absent| absent.to_string()) {
            Ok(devices) => match devices.iter().find(|device| allow_simulated || !device.simulated()) {
                Some(device) => Choice::Cuda(device.index),
                None => Choice::Cpu { why: Some(only_simulated(&devices)) },
            },
            Err(why) => Choice::Cpu { why: Some(why) },
        }),
        config::Device::Cuda(index) => {
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            exactly(index, allow_simulated, found()).map_err(|why| format!("--device cuda:{index}: {why}"))
        }
    }
}

/// The driver's number of the GPU `cuda:index`.
///
/// # Errors
/// There is none, or only one that is simulated where that is not allowed.
pub fn gpu_index(index: u32, allow_simulated: bool) -> Result<usize, String> {
    let found = cuda::found().map_err(|absent| absent.to_string())?;
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    exactly(index, allow_simulated, Ok(found)).map(|_| index)
}

fn exactly(index: usize, allow_simulated: bool, found: Result<Vec<Facts>, Absent>) -> Result<Choice, String> {
    let devices = found.map_err(|absent| format!("{absent}; use --device cpu or auto"))?;
    let Some(device) = devices.iter().find(|device| device.index == index) else {
        let names: Vec<String> =
            devices.iter().map(|device| format!("cuda:{} is {}", device.index, device.name)).collect();
        return Err(format!("the driver does not show that many devices; {}", names.join(", ")));
    };
    if device.simulated() && !allow_simulated {
        return Err(format!(
            "{}; add --allow-simulated-device for a test",
            only_simulated(std::slice::from_ref(device))
        ));
    }
    Ok(Choice::Cuda(index))
}

fn only_simulated(devices: &[Facts]) -> String {
    match devices.first() {
        Some(device) => format!("{} is no GPU but simulated on the CPU", device.name),
        None => "the driver shows no GPU".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use config::Device;

    use super::*;

    const T4: &str = "Tesla T4";
    const STAND_IN: &str = "Tesla T4 (simulated by sluice's stand-in)";

    fn shown(names: &[&str]) -> Result<Vec<Facts>, Absent> {
        Ok(names.iter().enumerate().map(|(index, name)| Facts { index, name: (*name).to_owned() }).collect())
    }

    fn absent() -> Result<Vec<Facts>, Absent> {
        Err(Absent::Driver("libcuda.so.1 was not found".to_owned()))
    }

    #[test]
    fn auto_takes_a_gpu_where_there_is_one_and_says_why_not() {
        let cpu = |why: &str| Ok(Choice::Cpu { why: Some(why.to_owned()) });
        let simulated = format!("{STAND_IN} is no GPU but simulated on the CPU");
        for (found, allow, choice) in [
            (shown(&[T4]), false, Ok(Choice::Cuda(0))),
            (shown(&[STAND_IN, T4]), false, Ok(Choice::Cuda(1))),
            (shown(&[STAND_IN]), true, Ok(Choice::Cuda(0))),
            (shown(&[STAND_IN]), false, cpu(&simulated)),
            (shown(&[]), false, cpu("the driver shows no GPU")),
            (absent(), true, cpu("libcuda.so.1 was not found")),
            (Err(Absent::NotBuilt), false, cpu("this build has no CUDA")),
        ] {
            assert_eq!(choose(Device::Auto, allow, || found), choice);
        }
    }

    #[test]
    fn a_device_that_is_asked_for_is_that_one_or_a_refusal() {
        assert_eq!(choose(Device::Cuda(1), false, || shown(&[STAND_IN, T4])), Ok(Choice::Cuda(1)));
        assert_eq!(choose(Device::Cuda(0), true, || shown(&[STAND_IN])), Ok(Choice::Cuda(0)));
        for (wanted, found, words) in [
            (0, absent(), "--device cuda:0: libcuda.so.1 was not found; use --device cpu or auto"),
            (0, Err(Absent::NotBuilt), "--device cuda:0: this build has no CUDA; use --device cpu or auto"),
            (2, shown(&[T4]), "--device cuda:2: the driver does not show that many devices; cuda:0 is Tesla T4"),
        ] {
            assert_eq!(choose(Device::Cuda(wanted), false, || found), Err(words.to_owned()));
        }
        let refused = choose(Device::Cuda(0), false, || shown(&[STAND_IN])).unwrap_err();
        assert!(refused.ends_with("add --allow-simulated-device for a test"), "{refused}");
    }

    #[test]
    fn the_cpu_asks_no_driver() {
        let asked = choose(Device::Cpu, false, || panic!("the driver was asked"));
        assert_eq!(asked, Ok(Choice::Cpu { why: None }));
    }
}
