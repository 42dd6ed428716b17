//! What the fuzz targets share: how an input is read, how its bytes are cut, and how dialogues are played.
//!
//! A target in `fuzz_targets/` says what is tried and what has to hold. Seeds come from the transcripts of
//! `gatepost-proto` (see its `transcript` module), from `docs/examples`, and from `seeds/`; `run` puts them together.

pub mod back;
pub mod cut;
pub mod front;
pub mod input;
pub mod line;
pub mod trace;

pub use back::play_back;
pub use front::play_front;
pub use line::read_lines;
