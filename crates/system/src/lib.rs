//! What the operating system offers and no well-kept crate wraps safely.
//!
//! This is the only crate with unsafe code. Nothing here knows mail, and what needs no unsafe code has no place here:
//! rustix, nix and socket2 have it.

pub mod ring;
pub mod title;
