//! Calls into the interpreter that PyO3 does not offer, or makes dear.

use std::ptr;

use pyo3::exceptions::{PyBaseException, PyRuntimeError, PyStopIteration, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

/// What a coroutine did with what it was sent.
pub enum Sent<'py> {
    /// It waits for this.
    Yielded(Bound<'py, PyAny>),
    /// It is done.
    Returned(Bound<'py, PyAny>),
    /// It failed.
    Raised(PyErr),
}

/// `coro.send(None)`, without the exception that carries a result.
#[inline]
pub fn send_none<'py>(coro: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coro.py();
    let mut result = ptr::null_mut();
    let none = py.None();
    // SAFETY: attached; live objects, and a place for the result.
    let outcome = unsafe { ffi::PyIter_Send(coro.as_ptr(), none.as_ptr(), &raw mut result) };
    none.drop_ref(py);
    match outcome {
        // SAFETY: a new reference.
        ffi::PySendResult::PYGEN_NEXT => Sent::Yielded(unsafe { Bound::from_owned_ptr(py, result) }),
        // SAFETY: a new reference.
        ffi::PySendResult::PYGEN_RETURN => Sent::Returned(unsafe { Bound::from_owned_ptr(py, result) }),
        ffi::PySendResult::PYGEN_ERROR => Sent::Raised(PyErr::fetch(py)),
    }
}

/// `loop.call_soon(callback, argument, context=context)`.
pub fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    argument: Option<&Bound<'py, PyAny>>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = event_loop.py();
    let names = keyword_context(py)?;
    let method = intern!(py, "call_soon").as_ptr();
    let with = [event_loop, callback, argument.unwrap_or(context), context].map(|object| object.as_ptr());
    let without = [event_loop, callback, context].map(|object| object.as_ptr());
    let (arguments, positional) = if argument.is_some() { (with.as_ptr(), 3) } else { (without.as_ptr(), 2) };
    // SAFETY: attached; as many live objects as positional arguments plus the one keyword.
    let result = unsafe { ffi::PyObject_VectorcallMethod(method, arguments, positional, names.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

/// `future.add_done_callback(callback, context=context)`.
pub fn add_done_callback<'py>(
    future: &Bound<'py, PyAny>,
    callback: &Bound<'py, PyAny>,
    context: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = future.py();
    let names = keyword_context(py)?;
    let method = intern!(py, "add_done_callback").as_ptr();
    let arguments = [future, callback, context].map(|object| object.as_ptr());
    // SAFETY: attached; two positional arguments (the object counts) and the one keyword.
    let result = unsafe { ffi::PyObject_VectorcallMethod(method, arguments.as_ptr(), 2, names.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(py, result) }
}

fn keyword_context(py: Python<'_>) -> PyResult<&Bound<'_, PyTuple>> {
    static NAMES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let names = NAMES.get_or_try_init(py, || PyTuple::new(py, ["context"]).map(Bound::unbind))?;
    Ok(names.bind(py))
}

type Call = unsafe extern "C" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;
type UnwindingCall =
    unsafe extern "C-unwind" fn(*mut ffi::PyObject, *mut ffi::PyObject, *mut ffi::PyObject) -> *mut ffi::PyObject;

/// `PyObject_Call` as what it is: before Python 3.14 a daemonic thread that wants the interpreter lock while the
/// interpreter ends is ended by `pthread_exit`, which unwinds its stack.
///
/// PyO3 declares the function as one that never unwinds, and a second declaration would be merged with that one. So the
/// compiler must not see which function it is.
fn unwinding_call() -> UnwindingCall {
    // SAFETY: the two types differ only in what may come out of the function beside a result.
    std::hint::black_box(unsafe { std::mem::transmute::<Call, UnwindingCall>(ffi::PyObject_Call) })
}

/// `pthread_cleanup_push`, which is a macro of C, as glibc and musl have it in their libraries.
#[cfg(target_os = "linux")]
mod cleanup {
    use std::ffi::{c_int, c_void};

    /// The C library's, in its own layout: a routine, its argument, a link, and in glibc a number.
    #[repr(C)]
    pub struct Buffer([usize; 4]);

    impl Buffer {
        pub const fn new() -> Self {
            Self([0; 4])
        }
    }

    unsafe extern "C" {
        pub fn _pthread_cleanup_push(
            buffer: *mut Buffer,
            routine: unsafe extern "C" fn(*mut c_void),
            argument: *mut c_void,
        );
        pub fn _pthread_cleanup_pop(buffer: *mut Buffer, execute: c_int);
    }

    pub unsafe extern "C" fn hang(_: *mut c_void) {
        loop {
            std::thread::park();
        }
    }
}

/// `PyObject_Call`, but a thread that `pthread_exit` ends in it hangs: beyond the caller's frame are Rust's, which would
/// abort the process or let go of objects without the interpreter lock. The process is about to end anyway.
///
/// A destructor would see the unwinding, too, but only where Rust's personality routine and libgcc, which unwinds for
/// `pthread_exit`, understand each other: in a wheel that zig has linked the routine asks zig's own unwinder, and
/// crashes. So nothing here has a destructor; and as soon as its frame is left, before the caller's routine is asked,
/// the C library calls what was pushed.
///
/// # Safety
///
/// Attached; a live object, a live tuple, and a live dict or NULL.
#[inline(never)]
unsafe fn call_until_the_end(
    call: UnwindingCall,
    function: *mut ffi::PyObject,
    arguments: *mut ffi::PyObject,
    keywords: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    #[cfg(target_os = "linux")]
    let mut buffer = cleanup::Buffer::new();
    // SAFETY: the buffer stays where it is until it is popped, or this frame is unwound and the routine never returns.
    #[cfg(target_os = "linux")]
    unsafe {
        cleanup::_pthread_cleanup_push(&raw mut buffer, cleanup::hang, ptr::null_mut());
    };
    // SAFETY: the caller's promise.
    let result = unsafe { call(function, arguments, keywords) };
    // SAFETY: pushed above, and what the call pushed has been popped by it.
    #[cfg(target_os = "linux")]
    unsafe {
        cleanup::_pthread_cleanup_pop(&raw mut buffer, 0);
    };
    result
}

unsafe extern "C-unwind" {
    /// PyO3's own has a destructor in its frame, which must not be: see `call_until_the_end`.
    fn PyEval_RestoreThread(state: *mut ffi::PyThreadState);
}

/// `PyEval_RestoreThread`, but a thread that `pthread_exit` ends in it hangs.
///
/// # Safety
///
/// Detached; the state that this thread had.
#[inline(never)]
unsafe fn restore_until_the_end(state: *mut ffi::PyThreadState) {
    #[cfg(target_os = "linux")]
    let mut buffer = cleanup::Buffer::new();
    // SAFETY: the buffer stays where it is until it is popped, or this frame is unwound and the routine never returns.
    #[cfg(target_os = "linux")]
    unsafe {
        cleanup::_pthread_cleanup_push(&raw mut buffer, cleanup::hang, ptr::null_mut());
    };
    // SAFETY: the caller's promise.
    unsafe { PyEval_RestoreThread(state) };
    // SAFETY: pushed above, and what the call pushed has been popped by it.
    #[cfg(target_os = "linux")]
    unsafe {
        cleanup::_pthread_cleanup_pop(&raw mut buffer, 0);
    };
}

/// Runs `wait`, which knows nothing of Python and does not panic, without the interpreter lock, in a thread that may be
/// daemonic: if the interpreter ends meanwhile, it hangs.
#[inline]
pub fn wait_or_hang<T: Copy>(_py: Python<'_>, wait: impl FnOnce() -> T) -> T {
    // SAFETY: attached, as the token says.
    let state = unsafe { ffi::PyEval_SaveThread() };
    let outcome = wait();
    // SAFETY: the state that this thread has just had.
    unsafe { restore_until_the_end(state) };
    outcome
}

/// `function(*arguments, **keywords)` in a thread that may be daemonic: if the interpreter ends meanwhile, it hangs.
#[inline]
pub fn call_or_hang<'py>(
    function: &Bound<'py, PyAny>,
    arguments: &Bound<'py, PyTuple>,
    keywords: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let keywords = keywords.map_or(ptr::null_mut(), |keywords| keywords.as_ptr());
    // SAFETY: attached; live objects of the right classes, or NULL for no keywords.
    let result = unsafe { call_until_the_end(unwinding_call(), function.as_ptr(), arguments.as_ptr(), keywords) };
    // SAFETY: a new reference, or NULL with an exception.
    unsafe { Bound::from_owned_ptr_or_err(function.py(), result) }
}

/// The same with one argument.
pub fn call_one_or_hang<'py>(
    function: &Bound<'py, PyAny>,
    argument: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    call_or_hang(function, &PyTuple::new(function.py(), [argument])?, None)
}

/// Gives an exception the traceback that it had when it was stored, so that it does not grow with each `await`.
pub fn set_traceback(exception: &Bound<'_, PyBaseException>, traceback: Option<&Bound<'_, PyAny>>) {
    let traceback = traceback.map_or_else(|| exception.py().None().into_bound(exception.py()), Clone::clone);
    // SAFETY: an exception, and a traceback or None. It fails for nothing else.
    unsafe { ffi::PyException_SetTraceback(exception.as_ptr(), traceback.as_ptr()) };
}

/// `coro.throw(exception)`.
pub fn throw<'py>(coro: &Bound<'py, PyAny>, exception: &Bound<'py, PyAny>) -> Sent<'py> {
    let py = coro.py();
    match coro.call_method1(intern!(py, "throw"), (exception,)) {
        Ok(object) => Sent::Yielded(object),
        Err(error) if error.is_instance_of::<PyStopIteration>(py) => {
            match error.value(py).getattr(intern!(py, "value")) {
                Ok(value) => Sent::Returned(value),
                Err(error) => Sent::Raised(error),
            }
        }
        Err(error) => Sent::Raised(error),
    }
}

/// What `await object` steps through; `TypeError` where it cannot be awaited.
#[inline]
pub fn awaitable_iterator<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if is_exact_coroutine(object) {
        return unawaited(object);
    }
    if is_exact_generator(object) && is_iterable_coroutine(object)? {
        return Ok(object.clone());
    }
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    // SAFETY: which keeps its class alive.
    let slots = unsafe { (*class).tp_as_async };
    // SAFETY: NULL or the slots of a live type.
    let am_await = unsafe { slots.as_ref() }.and_then(|slots| slots.am_await);
    let Some(am_await) = am_await else {
        let shown = object.get_type().name()?;
        return Err(PyTypeError::new_err(format!("object {shown} can't be used in 'await' expression")));
    };
    // SAFETY: the slot of this very object.
    let iterator = unsafe { am_await(object.as_ptr()) };
    // SAFETY: a new reference, or NULL with an exception.
    let iterator = unsafe { Bound::from_owned_ptr_or_err(object.py(), iterator) }?;
    if is_exact_coroutine(&iterator) {
        return Err(PyTypeError::new_err("__await__() returned a coroutine"));
    }
    // SAFETY: a live object.
    if unsafe { ffi::PyIter_Check(iterator.as_ptr()) } == 0 {
        let shown = iterator.get_type().name()?;
        return Err(PyTypeError::new_err(format!("__await__() returned non-iterator of type '{shown}'")));
    }
    Ok(iterator)
}

/// A coroutine, unless somebody else awaits it.
#[inline]
fn unawaited<'py>(coroutine: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if coroutine.getattr(intern!(coroutine.py(), "cr_await"))?.is_none() {
        return Ok(coroutine.clone());
    }
    Err(PyRuntimeError::new_err("coroutine is being awaited already"))
}

/// Whether a generator may be awaited: `types.coroutine` has said so.
fn is_iterable_coroutine(generator: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = generator.py();
    let flags: i32 = generator.getattr(intern!(py, "gi_code"))?.getattr(intern!(py, "co_flags"))?.extract()?;
    Ok(flags & ffi::CO_ITERABLE_COROUTINE != 0)
}

/// Whether `object` is what `async def` functions return.
#[inline]
pub fn is_exact_coroutine(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyCoro_CheckExact(object.as_ptr()) != 0 }
}

/// Whether `object` is what generator functions return.
pub fn is_exact_generator(object: &Bound<'_, PyAny>) -> bool {
    // SAFETY: a live object.
    unsafe { ffi::PyGen_CheckExact(object.as_ptr()) != 0 }
}
