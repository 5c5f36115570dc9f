//! Starting a child process, without an interpreter in it and without a copy of the parent's memory.
//!
//! # The contract
//!
//! 1. [`spawn`] returns when the child runs its program, or with the reason why it cannot; then there is no child. It
//!    blocks for as long as the kernel takes to load the program, so it belongs on a thread of its own. Whatever the
//!    parent's size, no page table is copied.
//! 2. Everything that the child does before its program was decided beforehand and lies in [`Command`], descriptors
//!    included, which are duplicates: what the parent closes, changes or reuses meanwhile makes no difference.
//! 3. The child has the three standard descriptors that the command names, or the parent's; those of `keep` under the
//!    numbers that they had; and with `close_others` no other.
//! 4. No signal handler of the parent runs in the child. Signals that the parent ignores stay ignored.
//! 5. The child stays to be waited for by its parent, as any child; nothing here waits for one whose program runs.
//!
//! What differs from `fork` in the thread that asked: a thread's own properties that are not named in the command
//! (nice value, affinity, namespaces) are those of the thread that calls [`spawn`].

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{OwnedFd, RawFd};
use std::ptr;

#[cfg(target_os = "linux")]
mod linux;

/// Whether [`spawn`] works on this system; elsewhere it always fails.
pub const SUPPORTED: bool = cfg!(target_os = "linux");

/// Which signals a thread leaves alone.
#[derive(Clone, Copy)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub struct SignalMask(libc::sigset_t);

impl std::fmt::Debug for SignalMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignalMask")
    }
}

impl SignalMask {
    /// The calling thread's mask.
    ///
    /// # Errors
    /// What pthread_sigmask reports; nothing, with these arguments.
    pub fn of_this_thread() -> io::Result<Self> {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: without a new set the first argument is not looked at; the old one is written to a whole set.
        let errno = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), mask.as_mut_ptr()) };
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno));
        }
        // SAFETY: written just now.
        Ok(Self(unsafe { mask.assume_init() }))
    }
}

/// What to run, and how. Paths are tried in order, as a shell looks through PATH.
#[derive(Debug)]
pub struct Command {
    /// The program's path, or several of which the first that exists is taken.
    pub programs: Vec<CString>,
    /// Its arguments, the first of which is its name.
    pub arguments: Vec<CString>,
    /// Its environment, `NAME=value` each.
    pub environment: Vec<CString>,
    /// What becomes descriptors 0, 1 and 2; None: what the parent has there. No number below 3.
    pub standard: [Option<OwnedFd>; 3],
    /// Descriptors that the child gets besides, and under which number. No number below 3.
    pub keep: Vec<(OwnedFd, RawFd)>,
    /// Close everything else from 3 on, and not only what closes on exec.
    pub close_others: bool,
    /// The directory that it starts in, and that relative paths start from; None: where the parent is by then.
    pub directory: Option<OwnedFd>,
    /// Where it goes from there.
    pub change_directory: Option<CString>,
    /// Its file mode creation mask; None: the parent's.
    pub umask: Option<u32>,
    /// Give SIGPIPE and SIGXFSZ, which Python ignores, back to their defaults.
    pub restore_signals: bool,
    /// Lead a new session.
    pub new_session: bool,
    /// The process group to join; 0 is a new one.
    pub process_group: Option<i32>,
    /// The signals that it begins with blocked.
    pub signal_mask: SignalMask,
    /// Do without close_range, which older kernels lack and some filters refuse.
    pub lists_descriptors: bool,
}

/// A child whose program runs.
#[derive(Debug)]
pub struct Child {
    /// Its process id, nobody else's until it has been waited for.
    pub pid: i32,
    /// A descriptor that becomes readable when it ends; None where there can be none.
    pub pidfd: Option<OwnedFd>,
}

/// How far a child got that could not run its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Stage {
    /// There was none.
    Start = 1,
    /// Into its directory it did not get.
    Directory = 2,
    /// Not as far as the program.
    Prepare = 3,
    /// The program could not be run.
    Program = 4,
}

/// Why there is no child.
#[derive(Debug)]
pub struct Failure {
    /// What it failed at.
    pub stage: Stage,
    /// With what.
    pub error: io::Error,
}

/// Where this process is now, as a descriptor above the standard ones.
///
/// # Errors
/// EACCES when it may not be there, EMFILE when there are too many descriptors.
pub fn current_directory() -> io::Result<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    #[cfg(target_os = "linux")]
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(".", flags, Mode::empty())?;
    if std::os::fd::AsRawFd::as_raw_fd(&opened) > 2 {
        return Ok(opened);
    }
    crate::pipe::duplicate_above_standard(std::os::fd::AsRawFd::as_raw_fd(&opened))
}

/// Start a child; see the contract above.
///
/// # Errors
/// [`Failure`] says what it failed at.
#[cfg(target_os = "linux")]
pub fn spawn(command: &Command) -> Result<Child, Failure> {
    linux::spawn(command)
}

/// Start a child; see the contract above.
///
/// # Errors
/// Always, on this system.
#[cfg(not(target_os = "linux"))]
pub fn spawn(_command: &Command) -> Result<Child, Failure> {
    Err(Failure { stage: Stage::Start, error: io::ErrorKind::Unsupported.into() })
}

/// End a child at once and wait for it: for one that nobody wants any more.
pub fn end(pid: i32) {
    // SAFETY: a plain number; the caller has not waited for the child, so it is nobody else's.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    wait(pid);
}

/// Wait for a child that has ended or is about to.
fn wait(pid: i32) {
    loop {
        // SAFETY: without a place for the status nothing is written.
        let waited = unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        if waited != -1 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
    }
}
