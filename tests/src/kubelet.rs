//! Writes a ConfigMap mount the way a kubelet does.
//!
//! Files are symlinks into `..data`, itself a symlink to a timestamped folder. An update writes a new folder, renames
//! `..data_tmp` over `..data`, and deletes the old folder. Newer kubelets make the links of new keys after the rename,
//! older ones before it (when they dangle for a moment): both orders are here.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// When links of new keys are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOrder {
    /// After the rename, as newer kubelets do.
    AfterRename,
    /// Before it, as older ones did.
    BeforeRename,
}

/// One mounted ConfigMap.
#[derive(Debug)]
pub struct Kubelet {
    mount: PathBuf,
    order: LinkOrder,
    generation: u64,
}

impl Kubelet {
    /// A mount at `mount`, which is created, with no keys yet.
    pub fn new(mount: impl Into<PathBuf>, order: LinkOrder) -> io::Result<Self> {
        let mount = mount.into();
        std::fs::create_dir_all(&mount)?;
        Ok(Self { mount, order, generation: 0 })
    }

    /// The mount directory.
    #[must_use]
    pub fn mount(&self) -> &Path {
        &self.mount
    }

    /// Swaps the whole content to `keys`.
    pub fn swap(&mut self, keys: &[(&str, &str)]) -> io::Result<()> {
        self.generation += 1;
        let folder = format!("..2026_11_23_{:08}", self.generation);
        let path = self.mount.join(&folder);
        std::fs::create_dir(&path)?;
        for (key, text) in keys {
            std::fs::write(path.join(key), text)?;
        }
        let old = std::fs::read_link(self.mount.join("..data")).ok();
        if self.order == LinkOrder::BeforeRename {
            self.link_new(keys)?;
        }
        symlink(&folder, self.mount.join("..data_tmp"))?;
        std::fs::rename(self.mount.join("..data_tmp"), self.mount.join("..data"))?;
        if self.order == LinkOrder::AfterRename {
            self.link_new(keys)?;
        }
        self.unlink_gone(keys)?;
        old.map_or(Ok(()), |old| std::fs::remove_dir_all(self.mount.join(old)))
    }

    fn link_new(&self, keys: &[(&str, &str)]) -> io::Result<()> {
        for (key, _) in keys {
            let link = self.mount.join(key);
            if link.symlink_metadata().is_err() {
                symlink(Path::new("..data").join(key), link)?;
            }
        }
        Ok(())
    }

    fn unlink_gone(&self, keys: &[(&str, &str)]) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.mount)? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            if !text.starts_with("..") && !keys.iter().any(|(key, _)| *key == text) {
                std::fs::remove_file(self.mount.join(&name))?;
            }
        }
        Ok(())
    }

    /// Removes the whole mount, as an unmount does.
    pub fn remove(&self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.mount)
    }
}
