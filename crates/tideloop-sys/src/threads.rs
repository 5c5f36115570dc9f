//! Two things that a native thread does beside an interpreter: leave signals alone, and get out of the way.

use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::time::Duration;

/// What Linux adds to every sleep of an ordinary thread so that sleepers can be woken together (`PR_SET_TIMERSLACK`).
const TIMER_SLACK: Duration = Duration::from_micros(50);
/// A sleep that is no sleep at all would not give the processor up.
const SLEEP_MIN: Duration = Duration::from_nanos(1);

/// Faults of the thread that causes them. Blocked, they would kill the process without running a handler, and Python's
/// `faulthandler` would be mute.
const SYNCHRONOUS: [libc::c_int; 6] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGSYS];

/// From here on this thread receives no signal that is sent to the process; faults of its own still arrive.
///
/// Native threads call this first. Python's handlers run in the main thread, and a signal that lands elsewhere would
/// not interrupt the main thread's wait.
///
/// # Errors
/// What pthread_sigmask reports; nothing, with these arguments.
pub fn block_all_signals() -> io::Result<()> {
    let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset writes a whole signal set to the place it is given, and cannot fail there.
    unsafe { libc::sigfillset(signals.as_mut_ptr()) };
    // SAFETY: sigfillset has just initialised it.
    let mut signals = unsafe { signals.assume_init() };
    for signal in SYNCHRONOUS {
        // SAFETY: the set is initialised and the signal number is valid.
        unsafe { libc::sigdelset(&raw mut signals, signal) };
    }
    // SAFETY: the new set is initialised, and a null pointer asks for no old one.
    let errno = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const signals, ptr::null_mut()) };
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// Give the processor up, for about `max`: really block, so that another thread runs even if it must be woken first.
///
/// Yielding would not do: a thread that waits for the interpreter lock sleeps on a condition variable, and one that
/// merely yields has taken the lock again before the other is awake. A signal may end the wait early. A sleep takes its
/// time plus the kernel's timer slack, so the slack is taken off first; the shortest possible wait is about 55 µs.
pub fn yield_for(max: Duration) {
    let sleep = max.saturating_sub(TIMER_SLACK).max(SLEEP_MIN);
    let ns = u64::try_from(sleep.as_nanos()).unwrap_or(u64::MAX);
    // Interrupted by a signal: then somebody has something better to do, and the caller looks.
    let _ = rustix::thread::nanosleep(&crate::clock::timespec_from_ns(ns));
}
