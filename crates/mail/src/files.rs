//! The contents of every file that a configuration names: users files, certificates, keys.
//!
//! Whoever builds something from a configuration reads its files here and nowhere else. So a process that may open
//! files can hand what was read to one that may not.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

/// The largest file that is read; this is against `/dev/zero`.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// All of a file, wiped when nobody needs it any more.
pub type Contents = Arc<Zeroizing<Vec<u8>>>;

/// Files, each read once.
pub struct Files {
    known: Mutex<Known>,
    /// There is nothing beyond what is known already.
    sealed: bool,
}

/// What was read.
#[derive(Default)]
pub struct Known {
    /// Files by the paths that they were opened by.
    pub files: BTreeMap<PathBuf, Contents>,
    /// The system's trusted roots, if anybody wanted them: certificates in DER.
    pub roots: Option<Vec<Vec<u8>>>,
    /// The same, made for use.
    store: Option<Arc<RootCertStore>>,
}

impl Known {
    /// What another process has read.
    pub fn new(files: BTreeMap<PathBuf, Contents>, roots: Option<Vec<Vec<u8>>>) -> Self {
        Self { files, roots, store: None }
    }
}

impl Files {
    /// Files on disk, to be read when somebody wants them.
    pub fn on_disk() -> Self {
        Self { known: Mutex::default(), sealed: false }
    }

    /// What another process has read, and nothing else.
    pub fn told(known: Known) -> Self {
        Self { known: Mutex::new(known), sealed: true }
    }

    /// The contents of `path`.
    pub fn read(&self, path: &Path) -> io::Result<Contents> {
        let mut known = self.known();
        if let Some(contents) = known.files.get(path) {
            return Ok(Arc::clone(contents));
        }
        if self.sealed {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOENT));
        }
        let contents = Arc::new(read(path)?);
        known.files.insert(path.to_owned(), Arc::clone(&contents));
        Ok(contents)
    }

    /// The certificates that the system trusts; none if it has none, or none that can be read.
    pub fn system_certificates(&self) -> Vec<CertificateDer<'static>> {
        let mut known = self.known();
        if known.roots.is_none() && !self.sealed {
            let found = rustls_native_certs::load_native_certs().certs;
            known.roots = Some(found.iter().map(|certificate| certificate.to_vec()).collect());
        }
        known.roots.iter().flatten().cloned().map(CertificateDer::from).collect()
    }

    /// The same, made for use. Certificates that cannot be parsed are left out.
    pub fn system_roots(&self) -> Arc<RootCertStore> {
        if let Some(store) = &self.known().store {
            return Arc::clone(store);
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.system_certificates());
        let store = Arc::new(store);
        self.known().store = Some(Arc::clone(&store));
        store
    }

    /// All that was read.
    pub fn into_known(self) -> Known {
        self.known.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // Room for all of it at once: growing would leave copies behind that nobody wipes.
    let expected = usize::try_from(file.metadata()?.len().min(MAX_FILE)).unwrap_or_default();
    let mut contents = Zeroizing::new(Vec::with_capacity(expected + 1));
    if file.take(MAX_FILE + 1).read_to_end(&mut contents)? as u64 > MAX_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(contents)
}

/// Names only: contents may be secret.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.known().files.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_once_and_is_the_same_for_whoever_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, "one").unwrap();
        let files = Files::on_disk();
        assert_eq!(files.read(&path).unwrap().as_slice(), b"one");
        std::fs::write(&path, "two").unwrap();
        assert_eq!(files.read(&path).unwrap().as_slice(), b"one");
        let told = Files::told(files.into_known());
        assert_eq!(told.read(&path).unwrap().as_slice(), b"one");
    }

    #[test]
    fn whoever_is_told_does_not_look_at_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("users");
        std::fs::write(&path, "there").unwrap();
        let told = Files::told(Known::default());
        assert_eq!(told.read(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(told.system_roots().is_empty());
    }

    #[test]
    fn contents_are_not_printed() {
        let known = Known::new([("key".into(), Arc::new(Zeroizing::new(b"hush".to_vec())))].into(), None);
        assert_eq!(format!("{:?}", Files::told(known)), "{\"key\"}");
    }
}
