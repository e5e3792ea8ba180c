//! Files that nobody else may see half-made or open before their permissions are right.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Returns the user this process runs as.
pub(super) fn own_uid() -> io::Result<u32> {
    fs::metadata("/proc/self").map(|about| about.uid())
}

/// A folder only its owner can enter, in which a file is made ready before anyone may see it.
#[derive(Debug)]
pub(super) struct Nursery(PathBuf);

impl Nursery {
    /// Makes the folder; what a dead process of the same number left there goes first.
    pub(super) fn make(data: &Path, purpose: &str) -> io::Result<Self> {
        let path = data.join(format!(".{purpose}.{}", std::process::id()));
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        // What cannot be removed is empty or a draft, and the next start removes it.
        let _ = fs::remove_dir_all(&self.0);
    }
}
