//! Compatibility scenarios.
