//! Scripts as seeds for the fuzz targets of the dialogues: what the peer sends, in the form that `fuzz/src/input.rs`
//! reads.
//!
//! Written only where the environment asks for it by `GATEPOST_SEEDS`, the directory of all corpora (see `fuzz/run`).

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Ends what the peer sends before it waits.
const MARK: &[u8] = b"\x1e~\x1e";

/// The circumstances that the fuzzer chooses: all of them zero, which is what most scripts have.
const CHOICES: [u8; 4] = [0; 4];

/// Writes a seed for the dialogue that Rust calls `dialogue`, if seeds are asked for and there is a target for it.
pub(super) fn write(dialogue: &str, segments: &[Vec<u8>]) {
    let Some(corpora) = std::env::var_os("GATEPOST_SEEDS") else { return };
    let Some(target) = target(dialogue) else { return };
    let seed = [&CHOICES, &segments.join(MARK)[..]].concat();
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    save(&PathBuf::from(corpora).join(target), &format!("transcript-{:016x}", hasher.finish()), &seed)
        .expect("the corpora are writable");
}

fn save(directory: &Path, name: &str, seed: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    std::fs::write(directory.join(name), seed)
}

/// `imap_front` for `gatepost_proto::imap::front::Front`, and so on.
fn target(dialogue: &str) -> Option<String> {
    let mut path = dialogue.split("::").skip(1);
    let (protocol, side) = (path.next()?, path.next()?);
    let known = matches!(protocol, "imap" | "pop3" | "smtp") && matches!(side, "front" | "back");
    known.then(|| format!("{protocol}_{side}"))
}

#[cfg(test)]
mod tests {
    use std::any::type_name;

    use super::*;

    #[test]
    fn every_dialogue_has_a_target_of_its_own() {
        for (name, target_name) in [
            (type_name::<crate::imap::Front>(), "imap_front"),
            (type_name::<crate::imap::Back>(), "imap_back"),
            (type_name::<crate::pop3::Front>(), "pop3_front"),
            (type_name::<crate::pop3::Back>(), "pop3_back"),
            (type_name::<crate::smtp::Front>(), "smtp_front"),
            (type_name::<crate::smtp::Back>(), "smtp_back"),
        ] {
            assert_eq!(target(name).as_deref(), Some(target_name));
        }
        assert_eq!(target("gatepost_proto::transcript::tests::Echo"), None);
    }
}
