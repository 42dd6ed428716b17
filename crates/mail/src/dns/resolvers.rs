//! Resolvers by their settings: servers with the same share one, and a new configuration goes on with what the one before
//! knew.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::{Resolver, Settings};

/// The resolvers that anybody uses.
#[derive(Default)]
pub struct Resolvers(Mutex<Vec<(Settings, Weak<Resolver>)>>);

impl Resolvers {
    /// The resolver with these settings; if there is none, `make` makes it.
    pub fn with(&self, settings: &Settings, make: impl FnOnce(Settings) -> Resolver) -> Arc<Resolver> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, resolver)| resolver.strong_count() > 0);
        let same = known.iter().find(|(of, _)| of == settings).and_then(|(_, resolver)| resolver.upgrade());
        same.unwrap_or_else(|| {
            let resolver = Arc::new(make(settings.clone()));
            known.push((settings.clone(), Arc::downgrade(&resolver)));
            resolver
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::dns::{ConfFiles, Zones};

    #[test]
    fn a_resolver_lives_while_somebody_uses_it_and_is_found_by_its_settings() {
        let settings = Settings {
            servers: vec!["192.0.2.1:53".parse().unwrap()],
            conf: Vec::new(),
            valid: None,
            ipv4: true,
            ipv6: true,
            timeout: None,
            status_zone: None,
        };
        let other = Settings { valid: Some(Duration::from_secs(1)), ..settings.clone() };
        let (resolvers, zones, files) = (Resolvers::default(), Zones::default(), ConfFiles::default());
        let make = |settings| Resolver::new(settings, &zones, &files);
        let with = |settings: &Settings| resolvers.with(settings, make);
        let first = with(&settings);
        assert!(Arc::ptr_eq(&first, &with(&settings.clone())));
        assert!(!Arc::ptr_eq(&first, &with(&other)));
        let forgotten = Arc::downgrade(&first);
        drop(first);
        assert!(forgotten.upgrade().is_none());
        drop(with(&settings));
        assert_eq!(resolvers.0.lock().unwrap().len(), 1, "those that nobody uses are forgotten");
    }
}
