//! Reading configuration files, and remembering what was read.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Mistake, SystemError};

/// The largest file that is read. Configurations are small; this is against `/dev/zero`.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// A file of the configuration as it was when it was read.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path that it was opened by.
    pub path: Arc<Path>,
    /// All of it.
    pub contents: Arc<[u8]>,
}

/// All files of a configuration, in the order in which they were first read.
///
/// A file is read once; whoever includes it again sees the same contents.
#[derive(Debug, Default)]
pub struct Sources {
    read: Vec<Source>,
    /// Where in `read` a path is.
    index: HashMap<Arc<Path>, usize>,
}

impl Sources {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files read so far, each once.
    pub fn files(&self) -> &[Source] {
        &self.read
    }

    /// The contents of `path`.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Source, Mistake> {
        if let Some(known) = self.index.get(path) {
            return Ok(self.read[*known].clone());
        }
        let source = Source { path: path.into(), contents: read(path)?.into() };
        self.index.insert(Arc::clone(&source.path), self.read.len());
        self.read.push(source.clone());
        Ok(source)
    }
}

/// All of a file that a directive names.
///
/// # Errors
/// The system's; a file without end is too large.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    if read_all(File::open(path)?, &mut contents)? > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(contents)
}

fn read(path: &Path) -> Result<Vec<u8>, Mistake> {
    let file = File::open(path)
        .map_err(|error| Mistake::Open { path: path.into(), reason: SystemError::from(&error) })?;
    let mut contents = Vec::new();
    let length = read_all(file, &mut contents)
        .map_err(|error| Mistake::Read { path: path.into(), reason: SystemError::from(&error) })?;
    if length > MAX_FILE {
        return Err(Mistake::FileTooLarge { path: path.into(), limit: MAX_FILE });
    }
    Ok(contents)
}

fn read_all(file: File, contents: &mut Vec<u8>) -> io::Result<u64> {
    let length = file.take(MAX_FILE + 1).read_to_end(contents)?;
    Ok(length as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_file_is_refused() {
        let fault = Sources::new().read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(fault.to_string(), "file \"/dev/zero\" is larger than 67108864 bytes");
    }

    #[test]
    fn a_file_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conf");
        std::fs::write(&path, "one;").unwrap();
        let mut sources = Sources::new();
        sources.read(&path).unwrap();
        std::fs::write(&path, "two;").unwrap();
        assert_eq!(*sources.read(&path).unwrap().contents, *b"one;");
        assert_eq!(sources.files().len(), 1);
    }
}
