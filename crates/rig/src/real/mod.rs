//! Real mail servers as backends.
