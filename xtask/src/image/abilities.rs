//! What this process must be allowed to do, found out before anything is made.

use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// Something that a container may forbid even to root.
struct Ability {
    /// A script that does it, in an empty folder, and leaves nothing behind.
    script: &'static str,
    /// What it is and who needs it.
    what: &'static str,
}

const ABILITIES: &[Ability] = &[
    Ability { script: "test \"$(id -u)\" = 0", what: "be root: files of the image belong to several users" },
    Ability {
        script: "chroot / true",
        what: "call chroot (CAP_SYS_CHROOT): buildah and debootstrap run programs in other roots",
    },
    Ability { script: "mknod null c 1 3", what: "make devices (CAP_MKNOD): debootstrap fills /dev" },
    Ability {
        script: "unshare --mount sh -c 'mount -t tmpfs none .'",
        what: "mount (CAP_SYS_ADMIN): buildah mounts the Dockerfile's caches, and crun the container's volumes",
    },
    Ability {
        script: "unshare --mount --pid --net --ipc --uts --fork true",
        what: "make namespaces (CAP_SYS_ADMIN): crun runs the container in its own",
    },
];

/// Fails where something is forbidden, and names all of it.
pub(super) fn check() -> Result<()> {
    let forbidden: Vec<&str> = ABILITIES.iter().filter(|it| !allowed(it.script)).map(|it| it.what).collect();
    if !forbidden.is_empty() {
        bail!("{}", advice(&forbidden));
    }
    Ok(())
}

fn allowed(script: &str) -> bool {
    let Ok(folder) = tempfile::tempdir() else { return false };
    shell::text(Command::new("sh").args(["-c", script]).current_dir(folder.path())).is_ok()
}

fn advice(forbidden: &[&str]) -> String {
    format!(
        "an image cannot be built and started here, because this process may not\n  * {}\n\
         run it as root, in a container with `--privileged` or on a machine of its own",
        forbidden.join("\n  * ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_forbidden_is_told() {
        let told = advice(&["be root: files", "mount (CAP_SYS_ADMIN): volumes"]);
        assert!(told.contains("\n  * be root: files\n  * mount (CAP_SYS_ADMIN): volumes\n"), "{told}");
    }

    #[test]
    fn a_script_says_whether_it_is_allowed() {
        assert!(allowed("true"));
        assert!(!allowed("exit 1"));
        assert!(!allowed("no-such-program"));
    }
}
