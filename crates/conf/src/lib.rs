//! The nginx configuration language.
