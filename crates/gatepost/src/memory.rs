//! The allocator.
//!
//! Thousands of small sessions cost less memory with jemalloc than with the C library's allocator, since it keeps what
//! is of one size together: what a flood of sessions has left behind is whole pages, which can be given back.

use tikv_jemalloc_ctl::{Error, background_thread};
use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// From now on free memory goes back to the system also while nothing is going on, by a thread of the allocator's own.
/// It has the privileges of the thread that calls this.
///
/// # Errors
///
/// There is no such thread. Memory goes back later then, while other memory is being used.
pub(crate) fn give_back() -> Result<(), Error> {
    background_thread::write(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_given_back_in_the_background() {
        give_back().unwrap();
        assert_eq!(background_thread::read(), Ok(true));
    }
}
