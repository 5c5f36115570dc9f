//! `spawn` on Linux: `clone(CLONE_VM | CLONE_VFORK)`, as the C library's `posix_spawn` does it, which cannot do
//! everything that is asked for here.
//!
//! The child shares the parent's memory until it executes its program, and the calling thread sleeps meanwhile. So the
//! child's code below allocates nothing, takes no lock, cannot panic, and calls only what may be called after `vfork`.
//! It runs on a stack of its own, with all signals blocked until no handler of the parent's is left in it. (A thread
//! other than the caller goes on: it changes its own memory only, because nothing that the child reads is shared.)

use std::cell::OnceCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, PidfdFlags};

use super::{Child, Command, Failure, Stage, wait};

/// The child's stack: it needs less than 8 KiB, half of it to list descriptors.
const STACK_BYTES: usize = 64 * 1024;
/// A page that nobody may touch, below it.
const GUARD_BYTES: usize = 64 * 1024;
/// The end of a child that could not run its program; nobody sees it.
const EXIT_STATUS: c_int = 255;
const SIGNAL_MAX: c_int = 64;
/// From here on descriptors are not standard ones.
const FIRST_FD: u32 = 3;
const LISTING_BYTES: usize = 4096;

/// What the child reads, and the place where it leaves the reason of its failure.
struct Plan<'a> {
    command: &'a Command,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// First and last numbers of what is to be closed, in order.
    to_close: Vec<(u32, u32)>,
    fd_limit: u32,
    stage: AtomicI32,
    errno: AtomicI32,
}

pub fn spawn(command: &Command) -> Result<Child, Failure> {
    let start = |error| Failure { stage: Stage::Start, error };
    let plan = Plan {
        command,
        arguments: pointers(&command.arguments),
        environment: pointers(&command.environment),
        to_close: if command.close_others { gaps(&command.keep) } else { Vec::new() },
        fd_limit: fd_limit(),
        stage: AtomicI32::new(0),
        errno: AtomicI32::new(0),
    };
    let pid = clone_child(&plan).map_err(start)?;
    // The child has let go of our memory: it runs its program, or is gone.
    let errno = plan.errno.load(Ordering::Acquire);
    if errno == 0 {
        let pidfd = Pid::from_raw(pid).and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok());
        return Ok(Child { pid, pidfd });
    }
    wait(pid);
    let stage = match plan.stage.load(Ordering::Acquire) {
        stage if stage == Stage::Directory as i32 => Stage::Directory,
        stage if stage == Stage::Program as i32 => Stage::Program,
        _ => Stage::Prepare,
    };
    Err(Failure { stage, error: io::Error::from_raw_os_error(errno) })
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

/// What lies between the numbers that are kept.
fn gaps(keep: &[(OwnedFd, RawFd)]) -> Vec<(u32, u32)> {
    let mut kept: Vec<u32> = keep.iter().filter_map(|(_, number)| u32::try_from(*number).ok()).collect();
    kept.sort_unstable();
    let mut gaps = Vec::with_capacity(kept.len() + 1);
    let mut next = FIRST_FD;
    for number in kept {
        if number > next {
            gaps.push((next, number - 1));
        }
        next = next.max(number + 1);
    }
    gaps.push((next, u32::MAX));
    gaps
}

/// Above this number nothing can be open, but for what was opened before the limit was lowered.
fn fd_limit() -> u32 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(1 << 20)
}

/// Memory for the child's stack: one per thread that spawns, because that thread sleeps while it is used.
struct Stack(*mut c_void);

impl Stack {
    fn new() -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, wherever the kernel likes.
        let base = unsafe { libc::mmap(ptr::null_mut(), GUARD_BYTES + STACK_BYTES, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self(base);
        // SAFETY: the first part of the mapping, which nobody uses.
        if unsafe { libc::mprotect(base, GUARD_BYTES, libc::PROT_NONE) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// The end of it, where it begins to grow from; a page's boundary, and so aligned.
    fn top(&self) -> *mut c_void {
        self.0.wrapping_byte_add(GUARD_BYTES + STACK_BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, with this size; no child uses it, because this thread runs.
        unsafe { libc::munmap(self.0, GUARD_BYTES + STACK_BYTES) };
    }
}

/// Makes the child and sleeps until it has let go of our memory.
fn clone_child(plan: &Plan<'_>) -> io::Result<i32> {
    thread_local! {
        static STACK: OnceCell<Stack> = const { OnceCell::new() };
    }
    STACK.with(|cell| {
        if cell.get().is_none() {
            let _ = cell.set(Stack::new()?);
        }
        let Some(stack) = cell.get() else { return Err(io::ErrorKind::OutOfMemory.into()) };
        let blocked = block_signals()?;
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let argument = ptr::from_ref(plan).cast_mut().cast::<c_void>();
        // SAFETY: the child runs `child` on a stack of its own, whose end this is, and reads the plan, which outlives
        // it: this call returns when it has executed its program or exited. No handler runs in it: signals are blocked.
        let pid = unsafe { libc::clone(child, stack.top(), flags, argument) };
        let outcome = if pid == -1 { Err(io::Error::last_os_error()) } else { Ok(pid) };
        // SAFETY: a set that pthread_sigmask has written.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const blocked, ptr::null_mut()) };
        outcome
    })
}

/// Blocks all signals in this thread; what was blocked before.
fn block_signals() -> io::Result<libc::sigset_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigfillset writes a whole set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: both point to whole sets, and the first was just written.
    let errno = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    // SAFETY: written just now.
    Ok(unsafe { before.assume_init() })
}

/// The child's whole life. Nothing in it may panic, allocate or lock.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `clone_child` passes a plan that outlives the child.
    let plan = unsafe { &*plan.cast::<Plan<'_>>() };
    let (stage, errno) = match prepare(plan) {
        Err(failure) => failure,
        Ok(()) => (Stage::Program, run_program(plan)),
    };
    plan.stage.store(stage as i32, Ordering::Release);
    plan.errno.store(errno, Ordering::Release);
    // SAFETY: it ends this process alone, without running anything of the parent's.
    unsafe { libc::_exit(EXIT_STATUS) }
}

type Step = Result<(), (Stage, c_int)>;

/// The calling thread's errno: the child uses its sleeping parent's place.
fn errno() -> c_int {
    // SAFETY: no arguments, no failure.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: the place exists for as long as the thread.
    unsafe { *place }
}

fn checked(stage: Stage, result: c_int) -> Step {
    if result == -1 { Err((stage, errno())) } else { Ok(()) }
}

fn prepare(plan: &Plan<'_>) -> Step {
    let command = plan.command;
    change_directory(command)?;
    place_descriptors(command)?;
    if let Some(mask) = command.umask {
        // SAFETY: a plain number.
        unsafe { libc::umask(mask as libc::mode_t) };
    }
    settle_signals(command)?;
    if command.new_session {
        // SAFETY: no arguments.
        checked(Stage::Prepare, unsafe { libc::setsid() })?;
    }
    if let Some(group) = command.process_group {
        // SAFETY: plain numbers.
        checked(Stage::Prepare, unsafe { libc::setpgid(0, group) })?;
    }
    close_others(plan);
    Ok(())
}

fn change_directory(command: &Command) -> Step {
    if let Some(directory) = &command.directory {
        // It may fail where the parent itself could not go any more, and then the child is there already.
        // SAFETY: an open descriptor.
        unsafe { libc::fchdir(directory.as_raw_fd()) };
    }
    if let Some(path) = &command.change_directory {
        // SAFETY: a path that outlives the call.
        checked(Stage::Directory, unsafe { libc::chdir(path.as_ptr()) })?;
    }
    Ok(())
}

/// `dup2` leaves a descriptor that does not close on exec. No source has a number that is a target: all are above the
/// standard ones, and were duplicated while the targets were open.
fn place_descriptors(command: &Command) -> Step {
    for (source, number) in &command.keep {
        // SAFETY: plain numbers.
        checked(Stage::Prepare, unsafe { libc::dup2(source.as_raw_fd(), *number) })?;
    }
    for (source, number) in command.standard.iter().zip(0..) {
        if let Some(source) = source {
            // SAFETY: plain numbers.
            checked(Stage::Prepare, unsafe { libc::dup2(source.as_raw_fd(), number) })?;
        }
    }
    Ok(())
}

/// No handler of the parent's may run in here, so all of them go before the mask is lifted.
fn settle_signals(command: &Command) -> Step {
    if command.restore_signals {
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            // SAFETY: the default action of a valid signal.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    for signal in 1..=SIGNAL_MAX {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action only the old one is written. Those that the C library keeps for itself fail.
        if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
            continue;
        }
        // SAFETY: written just now.
        let handler = unsafe { action.assume_init_ref() }.sa_sigaction;
        if handler != libc::SIG_DFL && handler != libc::SIG_IGN {
            // SAFETY: as above.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
    // SAFETY: a set that pthread_sigmask has written.
    checked(Stage::Prepare, unsafe {
        libc::sigprocmask(libc::SIG_SETMASK, &raw const command.signal_mask.0, ptr::null_mut())
    })
}

fn close_others(plan: &Plan<'_>) {
    for &(first, last) in &plan.to_close {
        // SAFETY: plain numbers.
        let done =
            !plan.command.lists_descriptors && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0;
        if !done && !close_listed(first, last) {
            for number in first..=last.min(plan.fd_limit) {
                close(number);
            }
        }
    }
}

fn close(number: u32) {
    // SAFETY: a plain number, in a table of descriptors that is the child's alone.
    unsafe { libc::close(number as c_int) };
}

/// Closes what /proc lists between the two numbers; false where it cannot be read.
fn close_listed(first: u32, last: u32) -> bool {
    // SAFETY: a constant path.
    let directory = unsafe { libc::open(c"/proc/self/fd".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
    if directory == -1 {
        return false;
    }
    let mut memory = MaybeUninit::<[u64; LISTING_BYTES / 8]>::uninit();
    let start = memory.as_mut_ptr().cast::<u8>();
    let complete = loop {
        // SAFETY: memory of this size, aligned as the entries are.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, directory, start, LISTING_BYTES) };
        let Ok(filled @ 1..) = usize::try_from(filled) else { break filled == 0 };
        let mut offset = 0;
        while offset < filled {
            let entry = start.wrapping_add(offset);
            let length = entry.wrapping_add(mem::offset_of!(libc::dirent64, d_reclen)).cast::<u16>();
            // SAFETY: the kernel has filled the memory with whole, aligned entries up to `filled`.
            offset += usize::from(unsafe { length.read() });
            let name = entry.wrapping_add(mem::offset_of!(libc::dirent64, d_name)).cast::<c_char>();
            // SAFETY: as above; an entry's name ends with a zero.
            let name = unsafe { CStr::from_ptr(name) };
            if let Some(number) = decimal(name)
                && (first..=last).contains(&number)
                && number != directory as u32
            {
                close(number);
            }
        }
    };
    close(directory as u32);
    complete
}

fn decimal(name: &CStr) -> Option<u32> {
    let mut number = 0_u32;
    for digit in name.to_bytes() {
        let digit = u32::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        number = number.checked_mul(10)?.checked_add(digit)?;
    }
    Some(number)
}

/// Tries one path after the other; comes back only with the reason of the failure. One that is not there is less of a
/// reason than any other.
fn run_program(plan: &Plan<'_>) -> c_int {
    let mut reason = 0;
    let mut latest = libc::ENOENT;
    for program in &plan.command.programs {
        // SAFETY: strings and lists that end with a zero, all of which outlive the call.
        unsafe { libc::execve(program.as_ptr(), plan.arguments.as_ptr(), plan.environment.as_ptr()) };
        latest = errno();
        if latest != libc::ENOENT && latest != libc::ENOTDIR && reason == 0 {
            reason = latest;
        }
    }
    if reason == 0 { latest } else { reason }
}
