//! buildah, without a daemon: chroot for isolation and plain folders for storage, which work inside a container too.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::base::Mount;
use super::labels::Labels;
use crate::shell;

/// How long anything but a build may take.
const LIMIT: Duration = Duration::from_secs(10 * 60);

/// A folder with images and containers.
pub(super) struct Storage {
    folder: PathBuf,
}

/// What is built, of what.
pub(super) struct Build<'a> {
    /// Holds the Dockerfile, and what it copies.
    pub(super) root: &'a Path,
    /// What stands in for the base that it names.
    pub(super) base: &'a str,
    /// What every command of it sees of this machine.
    pub(super) mounts: Vec<Mount>,
    /// Where its cache mounts stay from one build to the next.
    pub(super) kept: &'a Path,
    /// What stands in for the stage that compiles; nothing where it compiles.
    pub(super) program: Option<&'a Path>,
    /// What the image says of itself.
    pub(super) labels: &'a Labels,
    /// `cpu` or `cuda`.
    pub(super) device: &'a str,
    /// What the image is called.
    pub(super) name: &'a str,
}

/// An image, as files.
pub(super) struct Unpacked {
    /// What it says of itself and how it is started, in JSON.
    pub(super) config: PathBuf,
    /// Its root.
    pub(super) files: PathBuf,
}

impl Storage {
    /// The storage in `folder`, made when something is put there.
    pub(super) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes an image of an archive.
    pub(super) fn import(&self, archive: &Path, variables: &[String], name: &str) -> Result<()> {
        let container = shell::text(self.buildah("from").arg("scratch"))?;
        shell::run(self.buildah("add").arg("--quiet").arg(&container).arg(archive).arg("/"), LIMIT)?;
        for variable in variables {
            shell::run(self.buildah("config").arg("--env").arg(variable).arg(&container), LIMIT)?;
        }
        shell::run(self.buildah("commit").args(["--quiet", "--rm", &container, name]), LIMIT)
    }

    /// Removes what earlier builds left, but no image that has a name.
    pub(super) fn clear(&self) -> Result<()> {
        shell::text(self.buildah("rm").arg("--all"))?;
        shell::text(self.buildah("rmi").args(["--prune", "--force"])).map(drop)
    }

    /// Builds the image.
    pub(super) fn build(&self, build: &Build<'_>, limit: Duration) -> Result<()> {
        shell::run(&mut self.building(build), limit)
    }

    fn building(&self, build: &Build<'_>) -> Command {
        let Labels { version, revision, created, timestamp } = build.labels;
        let mut command = self.buildah("build");
        // The format that has a place for the health check. Dates are the commit's, so that one commit gives one layer.
        command.args(["--isolation", "chroot", "--format", "docker", "--pull-never", "--timestamp", timestamp]);
        command.args(["--tag", build.name]);
        let arguments = [
            ("BUILD_BASE", build.base),
            ("DEVICE", build.device),
            ("VERSION", version),
            ("REVISION", revision),
            ("CREATED", created),
        ];
        for (name, value) in arguments {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        for (here, there) in &build.mounts {
            command.arg("--volume").arg(format!("{}:{}:ro", here.display(), there.display()));
        }
        if let Some(program) = build.program {
            command.arg("--build-context").arg(format!("program={}", program.display()));
        }
        // Below it buildah keeps what the Dockerfile mounts as a cache.
        command.env("TMPDIR", build.kept);
        command.arg(build.root);
        command
    }

    /// The files of an image and what it says of itself, below `work`.
    pub(super) fn unpacked(&self, image: &str, work: &Path) -> Result<Unpacked> {
        let config = work.join("image.json");
        let said = shell::text(self.buildah("inspect").args(["--type", "image", "--format", "{{.Config}}", image]))?;
        fs::write(&config, said)?;
        let container = shell::text(self.buildah("from").args(["--pull-never", image]))?;
        let files = shell::text(self.buildah("mount").arg(container))?;
        Ok(Unpacked { config, files: PathBuf::from(files) })
    }

    /// Writes an image to a file that `docker load`, `podman load` and `skopeo` read.
    pub(super) fn export(&self, image: &str, archive: &Path) -> Result<()> {
        // It is not written over what is there.
        if archive.exists() {
            fs::remove_file(archive).with_context(|| format!("cannot remove {}", archive.display()))?;
        }
        let to = format!("docker-archive:{}:{image}", archive.display());
        shell::text(self.buildah("push").args(["--quiet", image, &to])).map(drop)
    }

    fn buildah(&self, verb: &str) -> Command {
        let mut command = shell::program("buildah", Path::new("/"));
        command.args(["--storage-driver", "vfs", "--root"]).arg(&self.folder);
        command.arg("--runroot").arg(self.folder.with_extension("run")).arg(verb);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(program: Option<&Path>) -> String {
        let labels = Labels {
            version: "0.1.0".to_owned(),
            revision: "00fd150".to_owned(),
            created: "2026-11-26T10:46:00Z".to_owned(),
            timestamp: "1795689960".to_owned(),
        };
        let build = Build {
            root: Path::new("/src"),
            base: "localhost/base",
            mounts: vec![("/opt/rust".into(), "/usr/local/toolchain".into())],
            kept: Path::new("/cache"),
            program,
            labels: &labels,
            device: "cuda",
            name: "sluice:0.1.0",
        };
        let command = Storage::at("/storage".into()).building(&build);
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn only_the_base_is_replaced() {
        let words = words(None);
        assert!(words.contains("--build-arg BUILD_BASE=localhost/base --build-arg DEVICE=cuda "), "{words}");
        assert!(words.contains("--volume /opt/rust:/usr/local/toolchain:ro /src"), "{words}");
        assert!(!words.contains("--build-context"), "{words}");
    }

    #[test]
    fn a_finished_program_stands_in_for_the_stage_that_compiles() {
        let words = words(Some(Path::new("/work/program")));
        assert!(words.ends_with("--build-context program=/work/program /src"), "{words}");
    }

    #[test]
    fn the_dockerfile_has_the_stage_and_the_arguments() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let dockerfile = fs::read_to_string(root.join("Dockerfile")).unwrap();
        let arguments = ["ARG BUILD_BASE=", "ARG DEVICE=", "ARG VERSION=", "ARG REVISION", "ARG CREATED"];
        for line in arguments.into_iter().chain(["FROM program-${DEVICE} AS program", "COPY --from=program /out "]) {
            assert!(dockerfile.lines().any(|it| it.starts_with(line)), "{line}");
        }
    }
}
