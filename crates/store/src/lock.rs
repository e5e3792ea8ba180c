//! One headgate a data folder: an advisory lock that the system drops when its holder dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Name of the lock file in the data folder. It stays when the lock is gone: only the lock counts.
pub const LOCK_FILE: &str = "lock";

/// The data folder is ours until this is dropped, or the process ends in any way.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
    folder: PathBuf,
}

/// Says why the data folder is not ours.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process holds the folder.
    #[error(
        "failed to lock data folder `{}`: another headgate holds it; stop that one, or give \
         this one its own folder with --data", folder.display()
    )]
    Held {
        /// The folder.
        folder: PathBuf,
    },
    /// The lock file cannot be made or locked.
    #[error("failed to lock data folder `{}`", folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DataLock {
    /// Takes the lock of a folder that exists.
    ///
    /// # Errors
    /// [`LockError::Held`] when another process has it.
    pub fn acquire(folder: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { folder: folder.to_path_buf(), source };
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(LOCK_FILE))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file, folder: folder.to_path_buf() }),
            Err(TryLockError::WouldBlock) => Err(LockError::Held { folder: folder.to_path_buf() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}
