//! Debian's packages: installed where this process may, named where it may not.

use std::process::Command;

use anyhow::{Result, bail};

use super::install;
use crate::shell;

/// A package, and why it is needed.
pub(super) struct Package {
    /// Its name in Debian 12.
    pub(super) name: &'static str,
    /// Said to a person who has to install it.
    pub(super) reason: &'static str,
    /// How to see that it is there, whoever installed it.
    pub(super) present: fn() -> bool,
}

/// Shared libraries that packages from PyPI load and do not bring.
pub(super) const LIBRARIES: &[Package] =
    &[Package { name: "libb64-0d", reason: "perf_analyzer loads libb64.so.0d", present: || library("libb64.so.0d") }];

/// What makes the certificates of tests that no program of ours starts.
pub(super) const CERTIFICATES: &[Package] = &[Package {
    name: "openssl",
    reason: "openssl makes a test's certificate",
    present: || runs("openssl", "version"),
}];

/// What builds an image and starts it, without a daemon.
pub(super) const CONTAINERS: &[Package] = &[
    Package { name: "buildah", reason: "buildah builds the image", present: || runs("buildah", "--version") },
    Package { name: "crun", reason: "crun starts it", present: || runs("crun", "--version") },
    // In a folder that is on root's `PATH` only.
    Package {
        name: "debootstrap",
        reason: "debootstrap makes its base",
        present: || runs("/usr/sbin/debootstrap", "--version"),
    },
];

/// Leaves with every package present, or with an error that names those that are not.
pub(super) fn ensure(packages: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = packages.iter().filter(|package| !(package.present)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !(is_root() && runs("apt-get", "--version")) {
        bail!("{}", advice(&missing));
    }
    install(apt().args(["update", "-q"]))?;
    install(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(missing.iter().map(|it| it.name)))?;
    let missing: Vec<&Package> = missing.into_iter().filter(|package| !(package.present)()).collect();
    if !missing.is_empty() {
        bail!("installed, and still not found: {}", advice(&missing));
    }
    Ok(())
}

/// Whether `program ARGUMENT` starts and succeeds.
pub(super) fn runs(program: &str, argument: &str) -> bool {
    shell::text(Command::new(program).arg(argument)).is_ok()
}

fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    shell::text(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

/// Whether the dynamic linker knows a library. Its cache is asked by full path: `/sbin` is on root's `PATH` only.
fn library(name: &str) -> bool {
    shell::text(Command::new("/sbin/ldconfig").arg("-p")).is_ok_and(|known| known.contains(name))
}

fn advice(missing: &[&Package]) -> String {
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let reasons: Vec<&str> = missing.iter().map(|package| package.reason).collect();
    format!("{}; install with `apt-get install {}` as root, then run this again", reasons.join("; "), names.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_each_package_and_its_reason() {
        let package = |name, reason| Package { name, reason, present: || false };
        let (one, two) = (package("libb64-0d", "a client loads libb64"), package("nodejs", "node is missing"));
        assert_eq!(
            advice(&[&one, &two]),
            "a client loads libb64; node is missing; \
             install with `apt-get install libb64-0d nodejs` as root, then run this again"
        );
    }

    #[test]
    fn what_is_present_is_left_alone() {
        ensure(&[Package { name: "no-such-package", reason: "never said", present: || true }]).unwrap();
    }
}
