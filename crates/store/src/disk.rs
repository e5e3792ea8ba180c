//! What the store needs of a disk, and the real one: named files in one flat folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// A flat folder of files. Nothing is durable before [`Disk::sync`] (a file's bytes) and
/// [`Disk::sync_dir`] (names: creations, removals and renames).
///
/// It is a trait so that lost, torn and reordered writes, a full disk and a stalled sync can be
/// simulated by [`crate::MemDisk`].
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Names of all files, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Length of a file in bytes.
    ///
    /// # Errors
    /// When the file is missing or cannot be asked.
    fn length(&self, name: &str) -> io::Result<u64>;
    /// Reads up to `length` bytes at an offset; fewer only where the file ends.
    ///
    /// # Errors
    /// When the file is missing or cannot be read.
    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Makes an empty file, or empties the one there is.
    ///
    /// # Errors
    /// When the file cannot be made.
    fn create(&self, name: &str) -> io::Result<()>;
    /// Writes at the end of an existing file. On an error any part may have been written.
    ///
    /// # Errors
    /// When the file is missing, the disk is full or the write fails.
    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Cuts a file to a length.
    ///
    /// # Errors
    /// When the file is missing or cannot be cut.
    fn truncate(&self, name: &str, length: u64) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// When the file is missing or cannot be removed.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Renames a file, replacing the one that had the new name.
    ///
    /// # Errors
    /// When the file is missing or cannot be renamed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes a file's bytes and length durable.
    ///
    /// # Errors
    /// When the disk refuses; what was written since the last sync is then unknown.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Makes the folder's names durable.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_dir(&self) -> io::Result<()>;
}

/// One folder of the file system.
#[derive(Debug)]
pub struct RealDisk {
    folder: PathBuf,
    /// The file last appended to stays open: a journal appends to one file for hours.
    appending: Mutex<Option<(String, File)>>,
}

impl RealDisk {
    /// Opens a folder that must exist.
    ///
    /// # Errors
    /// When it is missing or not a folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        if !fs::metadata(folder)?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::NotADirectory));
        }
        Ok(Self { folder: folder.to_path_buf(), appending: Mutex::new(None) })
    }

    /// Opens a folder, making it first when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create_folder(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Self::open(folder)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(io::Error::from(io::ErrorKind::InvalidFilename));
        }
        Ok(self.folder.join(name))
    }

    /// Runs `act` on the open handle of a file, opening it when it is not the one last used.
    fn with_open<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut slot = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match slot.take() {
            Some((open, file)) if open == name => file,
            _ => OpenOptions::new().append(true).open(self.path(name)?)?,
        };
        act(&mut slot.insert((name.to_owned(), file)).1)
    }

    /// Forgets the open handle when the file's name is about to mean another file.
    fn forget(&self, name: &str) {
        let mut slot = self.appending.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|(open, _)| open == name) {
            *slot = None;
        }
    }
}

impl Disk for RealDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn length(&self, name: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.path(name)?)?.len())
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.path(name)?)?;
        let mut bytes = vec![0; length];
        let mut filled = 0;
        while filled < length {
            match file.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn create(&self, name: &str) -> io::Result<()> {
        self.forget(name);
        OpenOptions::new().write(true).create(true).truncate(true).open(self.path(name)?)?;
        Ok(())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.with_open(name, |file| file.write_all(bytes))
    }

    fn truncate(&self, name: &str, length: u64) -> io::Result<()> {
        self.with_open(name, |file| file.set_len(length))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.forget(name);
        fs::remove_file(self.path(name)?)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        fs::rename(self.path(from)?, self.path(to)?)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.with_open(name, |file| file.sync_data())
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}
