//! Reading configuration files, and remembering what was read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::{Mistake, SystemError};
use crate::include;
use crate::word::Word;

/// The largest file that is read. Configurations are small; this is against `/dev/zero`.
const MAX_FILE: u64 = 64 * 1024 * 1024;

/// No such file.
const ENOENT: i32 = 2;

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
/// A file is read once; whoever includes it again sees the same contents. The same holds for the files that match
/// the pattern of an `include`.
#[derive(Debug, Default)]
pub struct Sources {
    read: Vec<Source>,
    /// Where in `read` a path is.
    index: HashMap<Arc<Path>, usize>,
    matches: BTreeMap<PathBuf, Vec<PathBuf>>,
    /// There is nothing beyond what is known already.
    sealed: bool,
}

impl Sources {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// These files, and these matches of patterns, as another process has found them: the disk is not looked at.
    pub fn told(files: Vec<Source>, matches: BTreeMap<PathBuf, Vec<PathBuf>>) -> Self {
        let index = files.iter().enumerate().map(|(at, file)| (Arc::clone(&file.path), at)).collect();
        Self { read: files, index, matches, sealed: true }
    }

    /// The files read so far, each once.
    pub fn files(&self) -> &[Source] {
        &self.read
    }

    /// What matched the patterns so far.
    pub fn matches(&self) -> &BTreeMap<PathBuf, Vec<PathBuf>> {
        &self.matches
    }

    /// The files that `pattern` stands for in `base`.
    pub(crate) fn matching(&mut self, pattern: &Word, base: &Path) -> Vec<PathBuf> {
        let key = base.join(pattern.as_path());
        if self.sealed || self.matches.contains_key(&key) {
            return self.matches.get(&key).cloned().unwrap_or_default();
        }
        let found = include::files(pattern, base);
        self.matches.insert(key, found.clone());
        found
    }

    /// The contents of `path`.
    pub(crate) fn read(&mut self, path: &Path) -> Result<Source, Mistake> {
        if let Some(known) = self.index.get(path) {
            return Ok(self.read[*known].clone());
        }
        if self.sealed {
            let reason = SystemError::from(&io::Error::from_raw_os_error(ENOENT));
            return Err(Mistake::Open { path: path.into(), reason });
        }
        let source = Source { path: path.into(), contents: read(path)?.into() };
        self.index.insert(Arc::clone(&source.path), self.read.len());
        self.read.push(source.clone());
        Ok(source)
    }
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

    #[test]
    fn whoever_is_told_sees_what_was_there_and_not_what_is() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.conf");
        std::fs::write(&main, "include *.inc; include single;").unwrap();
        std::fs::write(dir.path().join("a.inc"), "one;").unwrap();
        std::fs::write(dir.path().join("single"), "two;").unwrap();
        let mut sources = Sources::new();
        let read = crate::parse_file(&main, &mut sources);
        std::fs::write(dir.path().join("b.inc"), "three;").unwrap();
        std::fs::remove_file(dir.path().join("single")).unwrap();
        let mut told = Sources::told(sources.files().to_vec(), sources.matches().clone());
        let again = crate::parse_file(&main, &mut told);
        assert!(again.is_complete().is_ok() && again.statements.len() == 2);
        assert_eq!(format!("{:?}", again.statements), format!("{:?}", read.statements));
        let fault = told.read(&dir.path().join("b.inc")).unwrap_err().to_string();
        assert!(fault.ends_with("b.inc\" failed (2: No such file or directory)"), "{fault}");
    }
}
