//! A configuration of anything, read as the inside of `mail {}`: settings or a fault with its place, and no file is touched.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use conf::{Disk, Names, Reading, Source, Sources, Vocabulary, Warnings};
use libfuzzer_sys::fuzz_target;
use mail::flavour::Flavour;
use mail::settings::{Mail, MailBlock, Surroundings, vocabulary};

/// Longer texts only take longer.
const LONGEST: usize = 16 * 1024;

/// A disk with the configuration, which includes itself for as long as it is allowed to, and nothing else.
fn sources(text: &[u8]) -> Sources {
    let source = |path: &str| Source { path: Path::new(path).into(), contents: text.into() };
    Sources::told(vec![source("conf")], BTreeMap::new())
}

fn read(text: &[u8], warnings: &Warnings) -> Result<Mail, conf::Fault> {
    let block = conf::parse_file(Path::new("conf"), &mut sources(text));
    let vocabulary = vocabulary(Vocabulary::new());
    let names = Names::asking(|name| match name {
        "localhost" => Ok(vec![[127, 0, 0, 1].into()]),
        _ => Err(io::ErrorKind::NotFound.into()),
    });
    let absent = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let disk = Disk { directory: Path::new("/etc"), read: &absent };
    let mut mail = MailBlock::default();
    mail.read(&block, &Reading { vocabulary: &vocabulary, warnings, names: &names, disk })?;
    mail.resolve(&Surroundings {
        directory: PathBuf::from("/etc"),
        prefix: PathBuf::from("/var/lib"),
        host_name: "mail.example".to_owned(),
        flavour: Flavour::Gatepost,
    })
}

fuzz_target!(|text: &[u8]| {
    if text.len() > LONGEST {
        return;
    }
    let warnings = Warnings::new();
    match read(text, &warnings) {
        Ok(mail) => assert!(mail.listens.is_empty() == mail.servers.is_empty()),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
    warnings.into_vec().iter().for_each(|warning| drop(warning.to_string()));
});
