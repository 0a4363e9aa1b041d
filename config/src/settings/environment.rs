//! `SLUICE_*` variables. A mistyped one is told; those that Kubernetes injects for a service called `sluice` are not.

use std::collections::BTreeMap;

use super::{Given, SETTINGS, Setting, outside};
use crate::problem::{Problem, did_you_mean};

const PREFIX: &str = "SLUICE_";

pub(super) fn layer(
    env: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<&'static str, Given> {
    let mut layer = BTreeMap::new();
    let names: Vec<(String, &Setting)> = SETTINGS.iter().map(|setting| (setting.env(), setting)).collect();
    // The order of an environment means nothing; messages come in one order.
    let ours: BTreeMap<String, String> = env.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    for (name, text) in ours {
        if let Some((_, setting)) = names.iter().find(|(known, _)| *known == name) {
            // `SLUICE_X=` in a manifest is how a variable is switched off.
            if !text.is_empty() {
                layer.insert(setting.name, Given { text, place: outside(&name) });
            }
        } else if !is_of_kubernetes(&name, &text) && !is_of_the_command(&name) {
            let hint = did_you_mean(&name, names.iter().map(|(known, _)| known.as_str()));
            problems.push(Problem { message: format!("this is not a setting{hint}"), ..outside(&name) });
        }
    }
    layer
}

/// Links to services in the same namespace: `SLUICE_SERVICE_HOST`, `SLUICE_PORT_8000_TCP_ADDR`,
/// `SLUICE_ADMIN_SERVICE_PORT_METRICS`, and so on.
fn is_of_kubernetes(name: &str, text: &str) -> bool {
    // `SLUICE_HTTP_PORT=9000` is somebody's mistake; Kubernetes writes a URL there.
    let address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let link = ["_PORT_", "_TCP", "_UDP", "_SCTP"];
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || (name.ends_with("_PORT") && address)
        || (name.contains(link[0]) && link[1..].iter().any(|protocol| name.contains(protocol)))
}

/// Read by the command line itself, before there are settings.
fn is_of_the_command(name: &str) -> bool {
    name == "SLUICE_SETTINGS"
}
