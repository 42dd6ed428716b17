//! The title of a process: what ps(1) shows of it.
//!
//! Linux shows whatever stands in the stretch of memory into which it has copied the arguments of the process. The
//! title is written there, so it can be as long as the arguments were, and whoever wants a longer one starts the
//! process with longer arguments.
//!
//! `std::env::args` reads the same memory whenever it is called. From the first [`Title::set`] on it gives pieces of the
//! title, and a thread that calls it meanwhile reads what is being written. So the arguments must have been read
//! before, and nobody may read them again; Clippy refuses those calls in this workspace (`clippy.toml`).

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// Where the system tells the addresses of the arguments (proc_pid_stat(5)).
const STAT: &str = "/proc/self/stat";

/// The place of `arg_start` behind the name of the program, which is field 2 and ends with the last `)`. `arg_end`
/// comes next.
const ARG_START: usize = 48 - 3;

/// Whether there is a [`Title`].
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The title of this process. It is written by the thread that has made this, and stays when this is dropped.
#[derive(Debug)]
pub struct Title {
    /// The first byte. That it is a pointer keeps the title on one thread.
    start: *mut u8,
    /// Bytes, at least one.
    length: usize,
}

impl Title {
    /// Finds the place of the title, and changes nothing. Files must still be readable.
    ///
    /// Fails if there is no `/proc`, and with [`io::ErrorKind::ResourceBusy`] from the second time on.
    pub fn of_this_process() -> io::Result<Self> {
        // The name of the program may be cut within a character.
        let stat = fs::read(STAT)?;
        let area = area(&String::from_utf8_lossy(&stat)).ok_or(io::ErrorKind::InvalidData)?;
        if TAKEN.swap(true, Ordering::Relaxed) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(Self { start: ptr::with_exposed_provenance_mut(area.start), length: area.len() })
    }

    /// Shows `title`, cut to the room that there is.
    pub fn set(&mut self, title: impl AsRef<OsStr>) {
        let title = title.as_ref().as_bytes();
        // A NUL at the end says that the title does not go on behind its room, in the environment.
        let length = title.len().min(self.length - 1);
        let mut text = vec![0; self.length];
        text[..length].copy_from_slice(&title[..length]);
        // SAFETY: the kernel has mapped these bytes when it started the process, and has put the arguments there, on
        // the stack of the first thread, for as long as the process lives; we may write there as to any stack. No
        // reference to them exists: std reads them through a pointer, only when it is asked to, and is not asked any
        // more (see the head of this file). No other `Title` exists, and this one stays on its thread. `text` is
        // another piece of memory, of the same length.
        unsafe { ptr::copy_nonoverlapping(text.as_ptr(), self.start, self.length) };
    }
}

/// The addresses between which the arguments stand. To those who may not know them both are 0.
fn area(stat: &str) -> Option<Range<usize>> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace().skip(ARG_START).map(str::parse);
    let area = fields.next()?.ok()?..fields.next()?.ok()?;
    (area.start != 0 && !area.is_empty()).then_some(area)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Vec<u8> {
        fs::read("/proc/self/cmdline").unwrap()
    }

    /// One test, since a process has one title.
    #[test]
    fn the_system_shows_what_was_set_last_and_nothing_else() {
        let room = shown().len();
        let mut title = Title::of_this_process().unwrap();
        assert_eq!(shown().len(), room, "nothing has changed yet");
        title.set("a title that is not short");
        title.set("short");
        assert_eq!(shown(), [b"short".as_slice(), &vec![0; room - 5]].concat());
        title.set("x".repeat(room * 2));
        assert_eq!(shown(), [vec![b'x'; room - 1], vec![0]].concat(), "cut to its room");
        title.set("");
        assert_eq!(shown(), vec![0; room]);
        assert_eq!(Title::of_this_process().unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn addresses_are_found_behind_any_name_and_believed_if_they_are_some() {
        let stat = |name: &str, start: &str, end: &str| {
            let fields: Vec<String> = (3..48).map(|field: u8| field.to_string()).collect();
            format!("1 ({name}) {} {start} {end} 50 51 52\n", fields.join(" "))
        };
        assert_eq!(area(&stat("gatepost", "1000", "1010")), Some(1000..1010));
        assert_eq!(area(&stat("a) b (c", "1000", "1010")), Some(1000..1010));
        for (start, end) in
            [("0", "0"), ("0", "10"), ("1010", "1000"), ("1000", "1000"), ("-1", "1000"), ("x", "1")]
        {
            assert_eq!(area(&stat("gatepost", start, end)), None, "{start} {end}");
        }
        assert_eq!(area("1 (gatepost) S 1 2 3\n"), None);
        assert_eq!(area(""), None);
    }
}
