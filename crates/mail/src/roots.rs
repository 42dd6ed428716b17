//! The certificates that the system trusts.

use std::sync::LazyLock;

use rustls::pki_types::CertificateDer;

/// All of them, read once in the life of the process; none if the system has none, or none that can be read.
pub fn certificates() -> &'static [CertificateDer<'static>] {
    static ROOTS: LazyLock<Vec<CertificateDer<'static>>> =
        LazyLock::new(|| rustls_native_certs::load_native_certs().certs);
    &ROOTS
}
