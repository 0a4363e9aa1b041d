//! What the image is built on here: Debian from its own mirror, with this machine's Rust mounted into it.
//!
//! It stands in for the base that the Dockerfile names, which is on a registry of images. It has the same Debian, and sets
//! the same variables. It is as old as its folder in the cache, Debian's repairs included: for an image that others run, the
//! folder is removed first.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::buildah::Storage;
use crate::cache::{Cache, Key};
use crate::fresh;
use crate::shell;

/// Debian 12, as in the Dockerfile.
const SUITE: &str = "bookworm";

/// What building sluice needs besides Rust (C++ and Python only for CUDA), and the certificates that go into the image.
const PACKAGES: &str = "ca-certificates,g++,gcc,libc6-dev,python3-venv";

/// Debian's own repairs of it: the image holds its libraries.
const SECURITY: &str = "deb http://deb.debian.org/debian-security bookworm-security main\n";
const UPGRADE: &str = "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y upgrade && apt-get clean";

/// What it is called in its storage.
const NAME: &str = "localhost/sluice-build-base:bookworm";

/// As in the official image of Rust.
const CARGO_HOME: &str = "/usr/local/cargo";
/// Where this machine's toolchain is mounted.
const TOOLCHAIN: &str = "/usr/local/toolchain";
/// Where this machine's certificates are mounted: they may know a proxy that Debian's do not. They stay out of the image.
const CERTIFICATES: &str = "/run/host-certificates.crt";

/// Where pip, which fetches the wheels for CUDA, looks for settings.
const PIP: &str = "/etc/pip.conf";

/// How long each step of making it may take.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// A folder or a file of this machine, and where a build sees it, unchangeable.
pub(super) type Mount = (PathBuf, PathBuf);

/// The base, in a storage of its own.
pub(super) struct Base {
    folder: PathBuf,
}

impl Base {
    /// The one in the cache, made on the first use.
    pub(super) fn provide(cache: &Cache) -> Result<Self> {
        let key = [SUITE, PACKAGES, SECURITY, UPGRADE, NAME, CARGO_HOME, TOOLCHAIN]
            .iter()
            .fold(Key::new(), |key, part| key.with(part));
        let folder = cache.entry("image-base", &key, make)?;
        Ok(Self { folder })
    }

    /// Where the base is and the image will be.
    pub(super) fn storage(&self) -> PathBuf {
        storage(&self.folder)
    }

    /// What `FROM` says.
    pub(super) fn image(&self) -> &'static str {
        NAME
    }

    /// What compiling needs of this machine: Rust, as it is used in `root`, and the way to the registry. `work` may be
    /// written to.
    pub(super) fn mounts(&self, root: &Path, work: &Path) -> Result<Vec<Mount>> {
        let toolchain = shell::text(shell::program("rustc", root).args(["--print", "sysroot"]))?;
        let settings = fresh::registry_settings()?.map(|settings| settings.text).unwrap_or_default();
        let mut mounts = vec![(PathBuf::from(toolchain), PathBuf::from(TOOLCHAIN))];
        let certificates = certificates();
        if let Some(certificates) = &certificates {
            mounts.push((certificates.clone(), PathBuf::from(CERTIFICATES)));
            let pip = work.join("pip.conf");
            fs::write(&pip, format!("[global]\ncert = {CERTIFICATES}\n"))?;
            mounts.push((pip, PathBuf::from(PIP)));
        }
        let config = work.join("cargo.toml");
        fs::write(&config, cargo_config(&settings, certificates.is_some()))?;
        mounts.push((config, Path::new(CARGO_HOME).join("config.toml")));
        Ok(mounts)
    }
}

fn storage(folder: &Path) -> PathBuf {
    folder.join("storage")
}

fn make(folder: &Path) -> Result<()> {
    let (root, archive) = (folder.join("root"), folder.join("root.tar"));
    let mut debootstrap = shell::program("/usr/sbin/debootstrap", folder);
    debootstrap.args(["--variant=minbase", &format!("--include={PACKAGES}"), SUITE]).arg(&root);
    shell::run(&mut debootstrap, LIMIT)?;
    fs::write(root.join("etc/apt/sources.list.d/security.list"), SECURITY)?;
    shell::run(shell::program("chroot", folder).arg(&root).args(["sh", "-c", UPGRADE]), LIMIT)?;
    // An archive keeps who owns what. Devices are the container's own.
    let mut tar = shell::program("tar", folder);
    tar.args(["--create", "--one-file-system", "--exclude=./dev/*"]);
    shell::run(tar.arg("--file").arg(&archive).arg("--directory").arg(&root).arg("."), LIMIT)?;
    let path =
        format!("PATH={CARGO_HOME}/bin:{TOOLCHAIN}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let variables = [path, format!("CARGO_HOME={CARGO_HOME}")];
    Storage::at(storage(folder)).import(&archive, &variables, NAME)?;
    fs::remove_file(&archive)?;
    fs::remove_dir_all(&root).context("cannot remove the root that the base was made of")
}

/// This machine's certificates, where they are in one file.
fn certificates() -> Option<PathBuf> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let usual = PathBuf::from("/etc/ssl/certs/ca-certificates.crt");
    named.into_iter().chain([usual]).find(|path| path.is_file())
}

/// The registry part of this machine's configuration, and its certificates where that names none.
fn cargo_config(settings: &str, certificates: bool) -> String {
    let named = settings.lines().any(|line| line.trim_start().starts_with("cainfo"));
    if named || !certificates {
        return settings.to_owned();
    }
    // As a dotted key, which may stand before the table of the same name.
    format!("http.cainfo = \"{CERTIFICATES}\"\n{settings}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_builder_knows_this_machines_certificates() {
        let line = "http.cainfo = \"/run/host-certificates.crt\"\n";
        assert_eq!(cargo_config("", true), line);
        assert_eq!(cargo_config("", false), "");
        assert_eq!(cargo_config("[net]\nretry = 3\n", true), format!("{line}[net]\nretry = 3\n"));
        assert_eq!(cargo_config("[http]\ncainfo = \"ca.pem\"\n", true), "[http]\ncainfo = \"ca.pem\"\n");
    }

    #[test]
    fn it_has_the_debian_and_the_rust_of_the_dockerfile() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
        let base = dockerfile.lines().find_map(|line| line.strip_prefix("ARG BUILD_BASE=")).unwrap();
        let wanted = concat!(":", env!("CARGO_PKG_RUST_VERSION"), ".");
        assert!(base.contains(wanted), "{base} is not Rust {wanted}");
        let (tag, digest) = base.split_once('@').unwrap();
        assert!(tag.ends_with(SUITE), "{base} is not Debian {SUITE}");
        let digits = digest.strip_prefix("sha256:").unwrap();
        assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{digest} pins nothing");
    }
}
