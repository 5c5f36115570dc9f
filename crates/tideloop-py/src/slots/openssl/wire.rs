//! The two ends of a connection's ciphertext, as a BIO: what has come and was not decrypted, what is to be sent.
//!
//! OpenSSL calls the functions here from inside of `SSL_read_ex` and its like; during a handshake that
//! `SSLObject.do_handshake` makes, without the interpreter lock. So the wire has a lock of its own, and nothing here
//! knows Python. None of them panics, and if one did it would end at the boundary.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_long, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use super::{Library, OPENSSL, Object};

const BIO_TYPE_SOURCE_SINK: c_int = 0x0400;
const BIO_CTRL_EOF: c_int = 2;
const BIO_CTRL_PENDING: c_int = 10;
const BIO_CTRL_FLUSH: c_int = 11;
const BIO_CTRL_DUP: c_int = 12;
const BIO_FLAGS_READ: c_int = 0x01;
const BIO_FLAGS_SHOULD_RETRY: c_int = 0x08;
const BIO_FLAGS_ALL: c_int = 0x0f;

/// A buffer larger than this is given back to the system after use.
const SPARE_BYTES_MAX: usize = 512 * 1024;

type Functions = (
    unsafe extern "C" fn(Object) -> *mut c_void,
    unsafe extern "C" fn(Object, c_int),
    unsafe extern "C" fn(Object, c_int),
);

thread_local! {
    /// The one buffer for outgoing ciphertext that all connections of a thread's loop share.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// The functions that a BIO needs, while the library is tried out.
    pub(super) static PROBE: Cell<Option<Functions>> = const { Cell::new(None) };
}

/// A connection's ciphertext.
#[derive(Default)]
pub(super) struct Wire {
    /// What came and could not be used yet; empty but while reading is paused, or between parts of a handshake.
    kept: Vec<u8>,
    kept_read: usize,
    /// What is lent for one call: address and length. It comes after what was kept.
    lent: (usize, usize),
    /// OpenSSL has asked for more than there was, since it was last cleared.
    pub starved: bool,
    outgoing: Vec<u8>,
}

impl Wire {
    /// Lends ciphertext until [`Self::take_back`], before which it must be called; how much there is now, with what was
    /// kept.
    pub fn lend(&mut self, incoming: &[u8]) -> usize {
        self.starved = false;
        self.lent = (incoming.as_ptr() as usize, incoming.len());
        self.kept_len() + incoming.len()
    }

    /// Ends the loan; what is left is kept.
    pub fn take_back(&mut self) {
        let (address, length) = std::mem::take(&mut self.lent);
        if length > 0 {
            // SAFETY: the rest of what was lent, and the loan has not ended.
            let rest = unsafe { std::slice::from_raw_parts(address as *const u8, length) };
            self.keep(rest);
        }
    }

    /// Keeps ciphertext for later.
    pub fn keep(&mut self, incoming: &[u8]) {
        if self.kept_read > 0 {
            self.kept.drain(..self.kept_read);
            self.kept_read = 0;
        }
        self.kept.extend_from_slice(incoming);
    }

    pub fn kept_len(&self) -> usize {
        self.kept.len() - self.kept_read
    }

    pub fn is_empty(&self) -> bool {
        self.lent.1 == 0 && self.kept_len() == 0
    }

    pub fn outgoing_len(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes the shared buffer, where there is none.
    pub fn make_room(&mut self) {
        if self.outgoing.capacity() == 0 {
            self.outgoing = SPARE.take();
        }
    }

    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Moves ciphertext to `memory`, of `room` bytes.
    ///
    /// # Safety
    /// `memory` is valid for writes of so many bytes.
    unsafe fn pull(&mut self, memory: *mut u8, room: usize) -> usize {
        let kept = self.kept_len();
        if kept > 0 {
            let length = kept.min(room);
            let source = self.kept.get(self.kept_read..).unwrap_or_default().as_ptr();
            // SAFETY: both are so long, and not the same memory.
            unsafe { std::ptr::copy_nonoverlapping(source, memory, length) };
            self.kept_read += length;
            if self.kept_read == self.kept.len() {
                (self.kept, self.kept_read) = (Vec::new(), 0);
            }
            return length;
        }
        let (address, left) = self.lent;
        let length = left.min(room);
        if length == 0 {
            self.starved = true;
            return 0;
        }
        // SAFETY: the loan has not ended, and both are so long.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, memory, length) };
        self.lent = (address + length, left - length);
        length
    }
}

/// Gives the memory of what was sent to the next connection that sends.
pub fn recycle(mut memory: Vec<u8>) {
    if memory.capacity() <= SPARE_BYTES_MAX {
        memory.clear();
        SPARE.set(memory);
    }
}

/// Makes our kind of BIO, once per process.
pub(super) fn bio_method(library: &Library) -> Option<usize> {
    // SAFETY: no arguments.
    let index = unsafe { (library.BIO_get_new_index)() };
    if index < 0 {
        return None;
    }
    // SAFETY: a string that ends with a zero, and lives for ever.
    let method = unsafe { (library.BIO_meth_new)(index | BIO_TYPE_SOURCE_SINK, c"tideloop".as_ptr()) };
    if method.is_null() {
        return None;
    }
    // SAFETY: a method that nobody uses yet, as below.
    unsafe { (library.BIO_meth_set_read)(method, read) };
    // SAFETY: as above.
    unsafe { (library.BIO_meth_set_write)(method, write) };
    // SAFETY: as above.
    unsafe { (library.BIO_meth_set_ctrl)(method, control) };
    // SAFETY: as above.
    unsafe { (library.BIO_meth_set_destroy)(method, destroy) };
    Some(method as usize)
}

#[inline]
fn functions() -> Option<Functions> {
    match OPENSSL.get() {
        Some(Some(openssl)) => {
            let library = &openssl.library;
            Some((library.BIO_get_data, library.BIO_set_flags, library.BIO_clear_flags))
        }
        _ => PROBE.get(),
    }
}

/// Gives `f` the wire of a BIO; `failed` where there is none.
///
/// # Safety
/// `bio` is one of ours, and not destroyed yet.
#[inline]
unsafe fn with_wire<R>(bio: Object, failed: R, f: impl FnOnce(&mut Wire) -> R) -> R {
    let Some((get_data, _, _)) = functions() else { return failed };
    // SAFETY: the caller vouches for the BIO.
    let data = unsafe { get_data(bio) }.cast::<Mutex<Wire>>();
    // SAFETY: the reference that the BIO owns keeps it alive.
    let Some(wire) = (unsafe { data.as_ref() }) else { return failed };
    let body = move || f(&mut wire.lock().unwrap_or_else(PoisonError::into_inner));
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(failed)
}

unsafe extern "C" fn read(bio: Object, memory: *mut c_char, room: c_int) -> c_int {
    let Some((_, set_flags, clear_flags)) = functions() else { return -1 };
    // SAFETY: a BIO of ours.
    unsafe { clear_flags(bio, BIO_FLAGS_ALL) };
    let room = usize::try_from(room).unwrap_or(0);
    let pull = |wire: &mut Wire| {
        // SAFETY: OpenSSL gives memory of that size.
        unsafe { wire.pull(memory.cast::<u8>(), room) }
    };
    // SAFETY: OpenSSL calls this for a live BIO.
    let length = unsafe { with_wire(bio, 0, pull) };
    if length > 0 {
        return c_int::try_from(length).unwrap_or(-1);
    }
    // SAFETY: a BIO of ours.
    unsafe { set_flags(bio, BIO_FLAGS_READ | BIO_FLAGS_SHOULD_RETRY) };
    -1
}

unsafe extern "C" fn write(bio: Object, bytes: *const c_char, length: c_int) -> c_int {
    let Some((_, _, clear_flags)) = functions() else { return -1 };
    // SAFETY: a BIO of ours.
    unsafe { clear_flags(bio, BIO_FLAGS_ALL) };
    let Ok(count) = usize::try_from(length) else { return -1 };
    // SAFETY: OpenSSL gives so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), count) };
    // SAFETY: OpenSSL calls this for a live BIO.
    unsafe {
        with_wire(bio, -1, |wire| {
            wire.outgoing.extend_from_slice(bytes);
            length
        })
    }
}

unsafe extern "C" fn control(bio: Object, command: c_int, _number: c_long, _pointer: Object) -> c_long {
    match command {
        BIO_CTRL_FLUSH | BIO_CTRL_DUP => 1,
        BIO_CTRL_EOF => 0,
        // SAFETY: OpenSSL calls this for a live BIO.
        BIO_CTRL_PENDING => unsafe {
            with_wire(bio, 0, |wire| c_long::try_from(wire.kept_len() + wire.lent.1).unwrap_or(c_long::MAX))
        },
        _ => 0,
    }
}

unsafe extern "C" fn destroy(bio: Object) -> c_int {
    let Some((get_data, _, _)) = functions() else { return 0 };
    // SAFETY: a BIO of ours, for the last time.
    let data = unsafe { get_data(bio) }.cast::<Mutex<Wire>>();
    if !data.is_null() {
        // SAFETY: the reference that `attach` gave it.
        drop(unsafe { std::sync::Arc::from_raw(data) });
    }
    1
}
