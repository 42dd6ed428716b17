//! Host names that a configuration mentions, and remembering what they were resolved to.
//!
//! How names are resolved is the caller's affair.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;

/// Finds the addresses of a host name, or blocks until it is known that there are none.
pub type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// What host names mean while a configuration is read.
///
/// A name is looked up once; whoever mentions it again gets the same addresses.
pub struct Names {
    known: RefCell<BTreeMap<String, Vec<IpAddr>>>,
    /// Whom to ask for what is not known.
    lookup: Option<Lookup>,
}

impl Names {
    /// Nothing known yet; `lookup` is asked.
    pub fn asking(lookup: Lookup) -> Self {
        Self { known: RefCell::default(), lookup: Some(lookup) }
    }

    /// These and no others.
    pub fn told(known: BTreeMap<String, Vec<IpAddr>>) -> Self {
        Self { known: RefCell::new(known), lookup: None }
    }

    /// The addresses of `name`.
    pub fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        if let Some(addrs) = self.known.borrow().get(name) {
            return Ok(addrs.clone());
        }
        let addrs = self.lookup.ok_or(io::ErrorKind::NotFound)?(name)?;
        self.known.borrow_mut().insert(name.to_owned(), addrs.clone());
        Ok(addrs)
    }

    /// All that was found.
    pub fn into_known(self) -> BTreeMap<String, Vec<IpAddr>> {
        self.known.into_inner()
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Names").field(&self.known.borrow()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_the_same_to_whoever_is_told_what_it_meant() {
        let asking = Names::asking(|name| match name {
            "mail" => Ok(vec![[192, 0, 2, 1].into()]),
            _ => Err(io::ErrorKind::NotFound.into()),
        });
        assert!(asking.resolve("other").is_err());
        let found = asking.resolve("mail").unwrap();
        let told = Names::told(asking.into_known());
        assert_eq!(told.resolve("mail").unwrap(), found);
        assert_eq!(told.resolve("other").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
