//! Whether a file is itself a mount point. Such a file keeps showing what it showed when it was mounted: updates
//! replace the file behind it, which no event and no reading can see.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Far more than the mounts of any container.
const BYTES_MAX: u64 = 4 << 20;

/// Whether the kernel's list in the file `mountinfo` names exactly `path`. Where there is no such list, nothing does.
pub(super) fn lists(mountinfo: &Path, path: &Path) -> bool {
    let mut list = Vec::new();
    let read = File::open(mountinfo).and_then(|file| file.take(BYTES_MAX).read_to_end(&mut list));
    let Ok(path) = std::path::absolute(path) else { return false };
    read.is_ok() && is_mount_point(&String::from_utf8_lossy(&list), &path.to_string_lossy())
}

/// The fifth field of a line is the mount point.
fn is_mount_point(list: &str, path: &str) -> bool {
    list.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| unescaped(point) == path)
}

/// The kernel writes blanks and backslashes as `\040`.
fn unescaped(field: &str) -> String {
    let mut text = field.to_owned();
    for (escape, plain) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(escape, plain);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::is_mount_point;

    #[test]
    fn only_the_exact_path_is_a_mount_point() {
        let list = "36 35 98:0 / / rw - ext4 /dev/root rw\n\
                    40 36 0:5 /a /etc/sluice rw - ext4 /dev/root rw\n\
                    41 36 0:5 /b /etc/my\\040models/values.yaml ro,relatime shared:1 - ext4 /dev/root rw\n";
        assert!(is_mount_point(list, "/etc/my models/values.yaml"));
        assert!(is_mount_point(list, "/etc/sluice"));
        assert!(!is_mount_point(list, "/etc/sluice/values.yaml"));
        assert!(!is_mount_point("", "/"));
    }
}
