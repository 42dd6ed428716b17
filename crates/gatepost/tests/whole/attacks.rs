//! Known attacks: each is played against the running proxy, and the guard holds.
//!
//! docs/threat-model.md says which attack is played where; those that other tests play are not repeated here.

mod bytes;
mod credentials;
mod memory;
