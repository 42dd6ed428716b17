//! Locks the worker in: no files (Landlock), few system calls (seccomp).
//!
//! Both hold for the calling thread and for all threads that it starts later, so this is done while there is one.
//!
//! System calls and their arguments are written with the C library's names, so the list means the same on every
//! architecture that seccompiler knows; calls that only old ones have are marked. It has been run on x86-64 only.

use std::collections::BTreeMap;
use std::fmt;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, RulesetStatus, Scope,
};
use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Width, SeccompCmpOp as Compare, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// The newest Landlock whose rights we know: what a newer kernel could forbid as well is not forbidden.
const LANDLOCK: ABI = ABI::V6;

/// What holds now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Walls {
    /// No file can be opened, no TCP port bound.
    pub(crate) landlock: bool,
    /// Only listed system calls can be made.
    pub(crate) seccomp: bool,
}

/// A sandbox that was begun and could not be completed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SandboxError {
    /// Of Landlock.
    #[error("landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// Of seccomp.
    #[error("seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
    /// Of seccomp.
    #[error("seccomp: {0}")]
    Filter(#[from] seccompiler::BackendError),
}

impl Walls {
    /// Whether all of it holds.
    pub(crate) fn are_complete(self) -> bool {
        self.landlock && self.seccomp
    }
}

impl fmt::Display for Walls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = |holds| if holds { "on" } else { "not available" };
        write!(f, "sandbox: landlock {}, seccomp {}", state(self.landlock), state(self.seccomp))
    }
}

/// Locks this thread in, as far as the kernel can. There is no way back.
pub(crate) fn enter() -> Result<Walls, SandboxError> {
    let landlock = give_up_files()?;
    let seccomp = give_up_calls()?;
    Ok(Walls { landlock, seccomp })
}

/// No right to any file, no TCP port to bind, no signal to and no abstract socket of other processes.
fn give_up_files() -> Result<bool, RulesetError> {
    let status = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?
        .restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// Whether the kernel and this machine's kind have it.
fn give_up_calls() -> Result<bool, SandboxError> {
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    // In this order: the list does not allow another filter.
    for filter in [without_clone3(arch)?, listed(arch)?] {
        match seccompiler::apply_filter(&filter) {
            Ok(()) => {}
            Err(seccompiler::Error::Seccomp(error) | seccompiler::Error::Prctl(error))
                if error.raw_os_error() == Some(libc::EINVAL) =>
            {
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(true)
}

/// What is not listed fails with EPERM. It does not kill: a C library that tries something new must not end the mail.
fn listed(arch: TargetArch) -> Result<BpfProgram, SandboxError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = FREE.iter().map(|call| (*call, Vec::new())).collect();
    for (call, conditions) in conditional() {
        let conditions = conditions.into_iter().map(|Condition(argument, width, compare, value)| {
            SeccompCondition::new(argument, width, compare, value)
        });
        let rule = SeccompRule::new(conditions.collect::<Result<_, _>>()?)?;
        rules.entry(call).or_default().push(rule);
    }
    let errno = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    Ok(SeccompFilter::new(rules, errno, SeccompAction::Allow, arch)?.try_into()?)
}

/// The arguments of clone3 are out of a filter's sight. Told that it does not exist, C libraries use clone.
fn without_clone3(arch: TargetArch) -> Result<BpfProgram, SandboxError> {
    let rules = [(libc::SYS_clone3, Vec::new())].into();
    let errno = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, errno, arch)?.try_into()?)
}

/// A condition on an argument, by its number from 0.
struct Condition(u8, Width, Compare, u64);

/// Calls that are allowed with these arguments.
fn conditional() -> Vec<(i64, Vec<Condition>)> {
    let word = |value: libc::c_int| u64::from(value.unsigned_abs());
    // The upper half of an int argument is not defined.
    let is = |argument, value| vec![Condition(argument, Width::Dword, Compare::Eq, word(value))];
    let has = |argument, bits, value| {
        vec![Condition(argument, Width::Dword, Compare::MaskedEq(word(bits)), word(value))]
    };
    let own = word(nix::unistd::getpid().as_raw());
    vec![
        // Threads, but no processes.
        (libc::SYS_clone, has(0, libc::CLONE_THREAD, libc::CLONE_THREAD)),
        // TCP, UDP and unix sockets; nothing raw.
        (libc::SYS_socket, is(0, libc::AF_INET)),
        (libc::SYS_socket, is(0, libc::AF_INET6)),
        (libc::SYS_socket, is(0, libc::AF_UNIX)),
        // Each runtime makes one.
        (libc::SYS_socketpair, is(0, libc::AF_UNIX)),
        // Memory, but nothing that can be executed.
        (libc::SYS_mmap, has(2, libc::PROT_EXEC, 0)),
        (libc::SYS_mprotect, has(2, libc::PROT_EXEC, 0)),
        (libc::SYS_ioctl, is(1, FIONBIO)),
        (libc::SYS_prctl, is(0, libc::PR_SET_NAME)),
        (libc::SYS_prctl, is(0, PR_SET_VMA)),
        // Reading a limit, not setting it: no pointer to a new one.
        (libc::SYS_prlimit64, vec![Condition(2, Width::Qword, Compare::Eq, 0)]),
        // abort(3), and nobody else's end.
        (libc::SYS_tgkill, vec![Condition(0, Width::Dword, Compare::Eq, own)]),
    ]
}

/// Non-blocking or not.
const FIONBIO: libc::c_int = 0x5421;

/// Names for stretches of memory; allocators like it.
const PR_SET_VMA: libc::c_int = 0x5356_4d41;

/// Calls that are allowed as they are.
const FREE: &[i64] = &[
    // Bytes in and out.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_splice,
    // By rings that there are already, and that can do nothing but send and close.
    libc::SYS_io_uring_enter,
    // Sockets. UDP needs bind; TCP cannot use it where there is Landlock.
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Descriptors.
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_pipe2,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall,
    // Memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    // Threads and their ends.
    // See `without_clone3`.
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_membarrier,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals.
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    // Who and when.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_dup2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_time,
];

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::process::Command;
    use std::thread;

    use super::*;

    /// Does `work` on a thread that is locked in, if the kernel can do that.
    fn locked_in<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let walled = || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            let walls = enter().unwrap();
            walls.are_complete().then(work)
        };
        thread::spawn(walled).join().unwrap()
    }

    #[test]
    fn no_file_can_be_opened_and_no_program_started() {
        let seen = locked_in(|| {
            let opened =
                ["/etc/passwd", "/proc/self/status", "/dev/null", "/"].map(|path| File::open(path).is_ok());
            let written = File::create(std::env::temp_dir().join("gatepost-must-not-be")).is_ok();
            (opened, written, Command::new("/bin/true").status().is_ok())
        });
        assert!(seen.is_none_or(|seen| seen == ([false; 4], false, false)), "{seen:?}");
    }

    #[test]
    fn a_log_that_was_given_is_known_for_a_file() {
        let chunk = |file| match mail::log::Target::file(file) {
            mail::log::Target::Stream { chunk, .. } => chunk,
            mail::log::Target::Syslog(_) => 0,
        };
        let file = || tempfile::tempfile().unwrap();
        let (outside, given) = (chunk(file()), file());
        assert_eq!(locked_in(move || chunk(given)).unwrap_or(outside), outside);
    }

    #[test]
    fn landlock_alone_keeps_files_away() {
        let opened = thread::spawn(|| {
            nix::sys::prctl::set_no_new_privs().unwrap();
            give_up_files().unwrap().then(|| File::open("/etc/passwd").is_ok())
        });
        assert_ne!(opened.join().unwrap(), Some(true));
    }

    #[test]
    fn no_port_can_be_bound_and_all_can_be_connected_to() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = locked_in(move || {
            let connected = TcpStream::connect(address).is_ok();
            (connected, UdpSocket::bind("127.0.0.1:0").is_ok(), TcpListener::bind("127.0.0.1:0").is_ok())
        });
        assert!(seen.is_none_or(|seen| seen == (true, true, false)), "{seen:?}");
    }

    #[test]
    fn a_runtime_with_threads_timers_and_sockets_works_inside() {
        let seen = locked_in(|| {
            let work = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    let (one, other) = tokio::io::duplex(10);
                    drop((one, other));
                    tokio::task::spawn_blocking(|| vec![0_u8; 4 << 20].len()).await.unwrap()
                })
            };
            thread::Builder::new().name("inner".to_owned()).spawn(work).unwrap().join().unwrap()
        });
        assert!(seen.is_none_or(|length| length == 4 << 20));
    }
}
