//! The raw slots of `SockCall`, the memory it lives in, and the methods of `EventLoop` that make one.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use super::classes::{argument, raise_stop_iteration, slot_functions};
use super::memory::{self, Pool};
use super::methods::{Arguments, Object, add, definition, returned};
pub(super) use super::signature::Signature;
use super::{track, write_contents};
use crate::event_loop::EventLoop;
use crate::sock::{Op, SockCall, Stepped};

static SOCK_CALL: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static SOCK_CALLS: Pool = Pool::new();

/// A new `SockCall`.
#[inline]
pub fn new_sock_call(py: Python<'_>, call: SockCall) -> PyResult<Bound<'_, SockCall>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &SOCK_CALLS, SOCK_CALL.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<SockCall>(object, call) };
    // SAFETY: written completely.
    Ok(unsafe { track(py, object) })
}

slot_functions! {
    /// `tp_finalize`, for the collector and the deallocator.
    fn sock_call_finalize(py, object: Object) -> () {
        // SAFETY: the slot of this class.
        let call = unsafe { argument::<SockCall>(py, object) };
        let pending = PyErr::take(py);
        SockCall::finalize(&call);
        if let Some(pending) = pending {
            pending.restore(py);
        }
    } or ();

    /// `tp_dealloc`; nothing derives from the class.
    fn sock_call_dealloc(py, object: Object) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let call = unsafe { memory::contents::<SockCall>(object) };
        // SAFETY: nobody else can reach the object.
        let silent = unsafe { &*call }.dies_silently();
        // SAFETY: the object is whole.
        if !silent && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
            return;
        }
        // SAFETY: the object is on its way out.
        unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
        // SAFETY: dropped once, here.
        unsafe { &mut *call }.release(py);
        // SAFETY: emptied.
        unsafe { memory::free(object, Some(&SOCK_CALLS)) };
    } or ();

    /// `am_await`: it is its own iterator.
    fn sock_call_await(_py, object: Object) -> Object {
        // SAFETY: a live object.
        unsafe { ffi::Py_INCREF(object) };
        object
    } or ptr::null_mut();

    /// `am_send`: how 3.11 and tasks step it.
    fn sock_call_send(py, object: Object, _value: Object, result: *mut Object) -> ffi::PySendResult {
        // SAFETY: the slot of this class.
        let call = unsafe { argument::<SockCall>(py, object) };
        let (object, outcome) = match SockCall::step(&call) {
            Ok(Stepped::Yield(object)) => (object.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Stepped::Return(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        // SAFETY: the caller's place for the result.
        unsafe { result.write(object) };
        outcome
    } or ffi::PySendResult::PYGEN_ERROR;

    /// `tp_iternext`: how 3.12 and later await it.
    fn sock_call_next(py, object: Object) -> Object {
        // SAFETY: the slot of this class.
        let call = unsafe { argument::<SockCall>(py, object) };
        match SockCall::step(&call) {
            Ok(Stepped::Yield(object)) => object.into_ptr(),
            // NULL without an exception is StopIteration(None).
            Ok(Stepped::Return(value)) => {
                if !value.is_none() {
                    raise_stop_iteration(py, &value);
                }
                ptr::null_mut()
            }
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    } or ptr::null_mut();
}

/// Makes the call.
#[inline]
fn call<'py, const N: usize>(
    event_loop: &Bound<'py, EventLoop>,
    op: Op,
    arguments: &Arguments<'_, 'py>,
    signature: &Signature<N>,
) -> PyResult<Bound<'py, PyAny>> {
    let mut values = signature.bind(op.name(), arguments)?.into_iter();
    let Some(sock) = values.next().flatten() else { return Err(PyTypeError::new_err("a socket is needed")) };
    let (first, second) = (values.next().flatten(), values.next().flatten());
    SockCall::create(event_loop, op, sock, first, second).map(Bound::into_any)
}

macro_rules! methods {
    ($($name:ident: $op:ident, [$($parameter:literal),*], $required:literal, $help:literal;)*) => {
        slot_functions! {$(
            fn $name(py, slf: Object, values: *const Object, count: ffi::Py_ssize_t, names: Object) -> Object {
                // SAFETY: the method of this class.
                let event_loop = unsafe { argument::<EventLoop>(py, slf) };
                // SAFETY: the arguments that this function was called with.
                let arguments = unsafe { Arguments::new(py, values, count, names) };
                let signature = Signature { parameters: [$($parameter),*], required: $required };
                returned(py, call(&event_loop, Op::$op, &arguments, &signature))
            } or ptr::null_mut();
        )*}

        fn definitions() -> Vec<ffi::PyMethodDef> {
            use ffi::PyMethodDefPointer as Call;
            let fast = ffi::METH_FASTCALL | ffi::METH_KEYWORDS;
            vec![$({
                const HELP: &CStr = $help;
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => c"",
                };
                definition(NAME, Call { PyCFunctionFastWithKeywords: $name }, fast, HELP)
            }),*]
        }
    };
}

methods! {
    sock_recv: Recv, ["sock", "nbytes"], 2,
        c"sock_recv($self, /, sock, nbytes)\n--\n\nReceive at most `nbytes` bytes from a connected socket; empty at its end. Raises OSError as socket.recv does, TypeError for an SSLSocket, in debug mode ValueError for a blocking socket. Corresponds to `loop.sock_recv`.";
    sock_recv_into: RecvInto, ["sock", "buf"], 2,
        c"sock_recv_into($self, /, sock, buf)\n--\n\nReceive into the writable buffer `buf`; the number of bytes, 0 at the end. Raises as sock_recv. Corresponds to `loop.sock_recv_into`.";
    sock_recvfrom: RecvFrom, ["sock", "bufsize"], 2,
        c"sock_recvfrom($self, /, sock, bufsize)\n--\n\nReceive one datagram of at most `bufsize` bytes: it and its sender's address. Raises as sock_recv. Corresponds to `loop.sock_recvfrom`.";
    sock_recvfrom_into: RecvFromInto, ["sock", "buf", "nbytes"], 2,
        c"sock_recvfrom_into($self, /, sock, buf, nbytes=0)\n--\n\nReceive one datagram into `buf`, at most `nbytes` of it (0: as much as fits): its size and its sender. Raises as sock_recv. Corresponds to `loop.sock_recvfrom_into`.";
    sock_sendall: SendAll, ["sock", "data"], 2,
        c"sock_sendall($self, /, sock, data)\n--\n\nSend all of `data` on a connected socket; after an error nobody knows how much of it was sent. Raises as sock_recv. Corresponds to `loop.sock_sendall`.";
    sock_sendto: SendTo, ["sock", "data", "address"], 3,
        c"sock_sendto($self, /, sock, data, address)\n--\n\nSend `data` as one datagram to `address`; its size in bytes. Raises as sock_recv. Corresponds to `loop.sock_sendto`.";
    sock_accept: Accept, ["sock"], 1,
        c"sock_accept($self, /, sock)\n--\n\nAccept a connection on a listening socket: a non-blocking socket and the peer's address. Raises as sock_recv. Corresponds to `loop.sock_accept`.";
    _sock_connected: Connected, ["sock", "address"], 2,
        c"_sock_connected($self, /, sock, address)\n--\n\nWait until a connection that was begun is made; OSError if it is not.";
    _wait_readable: WaitReadable, ["sock"], 1, c"_wait_readable($self, /, sock)\n--\n\nWait until a socket is readable.";
    _wait_writable: WaitWritable, ["sock"], 1, c"_wait_writable($self, /, sock)\n--\n\nWait until a socket is writable.";
}

/// Puts the functions above into the types. Before this no instance of `SockCall` exists.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let class = SockCall::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    let slots = unsafe { &mut *class };
    slots.tp_dealloc = Some(sock_call_dealloc);
    slots.tp_finalize = Some(sock_call_finalize);
    slots.tp_iternext = Some(sock_call_next);
    // SAFETY: a heap type has room for these slots.
    let awaitable = unsafe { &mut *slots.tp_as_async };
    awaitable.am_await = Some(sock_call_await);
    awaitable.am_send = Some(sock_call_send);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
    SOCK_CALL.store(class, Ordering::Relaxed);
    add(&py.get_type::<EventLoop>(), definitions())
}
