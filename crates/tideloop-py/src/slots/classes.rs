//! The raw slots of `Future`, `Task` and `FutureIter`, and the memory they live in (DESIGN §9, §10.5, §10.7, §10.8).
//!
//! What these functions do is written in `task/`; here is only how the interpreter reaches it. Every `extern "C"`
//! function is made by `slot_functions!`, which turns a panic into a Python exception: a panic that left an
//! `extern "C"` function would abort the interpreter.

use std::any::Any;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::type_object::PyTypeInfo;

use super::memory::{self, Ends, Pool};
use super::{Slotted, track, write_contents};
use crate::task::{Advance, Future, FutureIter, Task};

/// Makes `extern "C"` functions whose bodies may panic: the panic becomes an exception, and the function returns
/// what stands behind `or`.
macro_rules! slot_functions {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($py:ident $(, $argument:ident: $type:ty)*) -> $result:ty { $($body:tt)* } or $failed:expr;)*) => {$(
        $(#[$doc])*
        $vis unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            let body = move || -> $result {
                // SAFETY: the interpreter calls slots and methods from attached threads alone.
                let $py = unsafe { ::pyo3::Python::assume_attached() };
                $($body)*
            };
            ::std::panic::catch_unwind(::std::panic::AssertUnwindSafe(body)).unwrap_or_else(|panic| {
                $crate::slots::classes::raise_panic(&*panic);
                $failed
            })
        }
    )*};
}

pub(super) use slot_functions;

#[cold]
pub(super) fn raise_panic(panic: &(dyn Any + Send)) {
    // SAFETY: called from slots alone, whose threads are attached.
    let py = unsafe { Python::assume_attached() };
    let text = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "tideloop: unknown panic".to_owned(),
    };
    PyRuntimeError::new_err(text).restore(py);
}

static FUTURE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static TASK: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
pub(super) static GATHERING: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
static FUTURE_ITER: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());

static FUTURES: Pool = Pool::new();
static TASKS: Pool = Pool::new();
static FUTURE_ITERS: Pool = Pool::new();
pub(super) static ENDS: Ends = Ends::new();

/// What an object is, told by its exact class.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Exact {
    Future,
    Task,
    /// What `gather` returns.
    Gathering,
    Other,
}

/// Which of the native classes `object` is an instance of, instances of derived classes not counted.
#[inline]
pub fn exact_class(object: &Bound<'_, PyAny>) -> Exact {
    // SAFETY: a live object.
    let class = unsafe { ffi::Py_TYPE(object.as_ptr()) };
    if ptr::eq(class, TASK.load(Ordering::Relaxed)) {
        Exact::Task
    } else if ptr::eq(class, FUTURE.load(Ordering::Relaxed)) {
        Exact::Future
    } else if ptr::eq(class, GATHERING.load(Ordering::Relaxed)) {
        Exact::Gathering
    } else {
        Exact::Other
    }
}

/// The native future that `object` is, if it is exactly of one of our own classes.
#[inline]
pub fn exact_future<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, Future>> {
    if exact_class(object) == Exact::Other {
        return None;
    }
    // SAFETY: the classes are or extend `Future`.
    Some(unsafe { object.cast_unchecked::<Future>() })
}

/// A new `Future`, written where it lies.
#[inline(always)]
pub fn new_future(py: Python<'_>, future: Future) -> PyResult<Bound<'_, Future>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &FUTURES, FUTURE.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Future>(object, future) };
    // SAFETY: written completely: what follows the contents (dict and weak references) is zero.
    Ok(unsafe { track(py, object) })
}

/// A new `Task`.
#[inline]
pub fn new_task(py: Python<'_>, future: Future, task: Task) -> PyResult<Bound<'_, Task>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &TASKS, TASK.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<Future>(object, future) };
    // SAFETY: as above; the parts do not overlap.
    unsafe { write_contents::<Task>(object, task) };
    // SAFETY: written completely.
    Ok(unsafe { track(py, object) })
}

/// A new `FutureIter`.
#[inline]
pub fn new_future_iter(py: Python<'_>, iter: FutureIter) -> PyResult<Bound<'_, FutureIter>> {
    // SAFETY: the class of this pool's objects.
    let object = unsafe { memory::allocate(py, &FUTURE_ITERS, FUTURE_ITER.load(Ordering::Relaxed)) }?;
    // SAFETY: fresh and untracked.
    unsafe { write_contents::<FutureIter>(object, iter) };
    // SAFETY: written completely.
    Ok(unsafe { track(py, object) })
}

/// A borrowed argument of a slot, which the interpreter has checked.
///
/// # Safety
/// `object` is a live instance of `T` and outlives the slot's call.
#[inline]
pub(super) unsafe fn argument<'a, 'py, T>(py: Python<'py>, object: *mut ffi::PyObject) -> Borrowed<'a, 'py, T> {
    // SAFETY: the caller vouches for the object.
    let object = unsafe { Borrowed::from_ptr(py, object) };
    // SAFETY: and for its class.
    unsafe { object.cast_unchecked() }
}

/// Raises `StopIteration(value)` the short way: an instance is made only where the value would be taken for the
/// exception's arguments, or for the exception itself.
#[inline]
pub fn raise_stop_iteration(py: Python<'_>, value: &Bound<'_, PyAny>) {
    // SAFETY: the interpreter's own exception class.
    let class = unsafe { ffi::PyExc_StopIteration };
    let ambiguous =
        value.is_instance_of::<pyo3::types::PyTuple>() || value.is_instance_of::<pyo3::exceptions::PyBaseException>();
    if !ambiguous {
        // SAFETY: a class and a live value.
        unsafe { ffi::PyErr_SetObject(class, value.as_ptr()) };
        return;
    }
    match py.get_type::<pyo3::exceptions::PyStopIteration>().call1((value,)) {
        // SAFETY: a class and an instance of it.
        Ok(exception) => unsafe { ffi::PyErr_SetObject(class, exception.as_ptr()) },
        Err(error) => error.restore(py),
    }
}

/// The last part of a future's deallocation.
///
/// # Safety
/// A detached instance of `Future` or of a class derived from it, not of `Task`.
unsafe fn end_future(py: Python<'_>, object: *mut ffi::PyObject) {
    // SAFETY: an instance of this class.
    let future = unsafe { memory::contents::<Future>(object) };
    // SAFETY: dropped once, here.
    unsafe { &mut *future }.release(py);
    // SAFETY: the class outlives its instance.
    let exact = ptr::eq(unsafe { ffi::Py_TYPE(object) }, FUTURE.load(Ordering::Relaxed));
    // SAFETY: emptied.
    unsafe { memory::free(object, exact.then_some(&FUTURES)) };
}

/// The last part of a task's deallocation.
///
/// # Safety
/// A detached instance of `Task` or of a class derived from it.
unsafe fn end_task(py: Python<'_>, object: *mut ffi::PyObject) {
    // SAFETY: an instance of this class.
    let task = unsafe { memory::contents::<Task>(object) };
    // SAFETY: dropped once, here.
    unsafe { &mut *task }.release(py);
    // SAFETY: as above.
    let future = unsafe { memory::contents::<Future>(object) };
    // SAFETY: as above.
    unsafe { &mut *future }.release(py);
    // SAFETY: the class outlives its instance.
    let exact = ptr::eq(unsafe { ffi::Py_TYPE(object) }, TASK.load(Ordering::Relaxed));
    // SAFETY: emptied.
    unsafe { memory::free(object, exact.then_some(&TASKS)) };
}

slot_functions! {
    /// `Future.__new__`: an object whose `__init__` has not run.
    fn future_new(py, class: *mut ffi::PyTypeObject, _args: *mut ffi::PyObject, _kwargs: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: the interpreter passes `Future` or a class derived from it.
        let object = match unsafe { super::allocate_untracked(py, class) } {
            Ok(object) => object,
            Err(error) => {
                error.restore(py);
                return ptr::null_mut();
            }
        };
        // SAFETY: fresh and untracked.
        unsafe { write_contents::<Future>(object, Future::blank()) };
        // SAFETY: written completely.
        unsafe { ffi::PyObject_GC_Track(object.cast()) };
        object
    } or ptr::null_mut();

    /// `Task.__new__`.
    fn task_new(py, class: *mut ffi::PyTypeObject, _args: *mut ffi::PyObject, _kwargs: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: the interpreter passes `Task` or a class derived from it.
        let object = match unsafe { super::allocate_untracked(py, class) } {
            Ok(object) => object,
            Err(error) => {
                error.restore(py);
                return ptr::null_mut();
            }
        };
        // SAFETY: fresh and untracked.
        unsafe { write_contents::<Future>(object, Future::blank()) };
        // SAFETY: as above; the parts do not overlap.
        unsafe { write_contents::<Task>(object, Task::blank()) };
        // SAFETY: written completely.
        unsafe { ffi::PyObject_GC_Track(object.cast()) };
        object
    } or ptr::null_mut();

    /// `tp_finalize` of `Future` and what derives from it: an exception that nobody retrieved is reported.
    pub(super) fn future_finalize(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: the slot of this class.
        let future = unsafe { argument::<Future>(py, object) };
        crate::task::finalize_future(&future);
    } or ();

    /// `tp_finalize` of `Task`: a task that never finished is reported as well.
    fn task_finalize(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: the slot of this class.
        let task = unsafe { argument::<Task>(py, object) };
        crate::task::finalize_task(&task);
    } or ();

    /// `tp_dealloc` of `Future`.
    fn future_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let exact = ptr::eq(unsafe { ffi::Py_TYPE(object) }, FUTURE.load(Ordering::Relaxed));
        // SAFETY: as above.
        let future = unsafe { memory::contents::<Future>(object) };
        // SAFETY: nobody else can reach the object.
        let silent = !exact || unsafe { &*future }.dies_silently();
        // SAFETY: a derived class's own deallocator has called the finalizer already.
        if !silent && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
            return;
        }
        // SAFETY: the object is on its way out.
        unsafe { memory::detach::<Future>(object) };
        // SAFETY: nobody can reach it any more.
        unsafe { ENDS.reach(py, object, end_future) };
    } or ();

    /// `tp_dealloc` of `Task`.
    fn task_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let exact = ptr::eq(unsafe { ffi::Py_TYPE(object) }, TASK.load(Ordering::Relaxed));
        // SAFETY: as above.
        let task = unsafe { memory::contents::<Task>(object) };
        // SAFETY: as above.
        let future = unsafe { memory::contents::<Future>(object) };
        // SAFETY: nobody else can reach the object.
        let base = unsafe { &*future };
        // SAFETY: as above.
        let silent = !exact || unsafe { &*task }.dies_silently(base);
        // SAFETY: a derived class's own deallocator has called the finalizer already.
        if !silent && unsafe { ffi::PyObject_CallFinalizerFromDealloc(object) } < 0 {
            return;
        }
        // SAFETY: nobody else can reach the object: from here on not even the registry.
        unsafe { &*task }.leave_registry(py);
        crate::observe::task_gone(py, object as usize);
        // SAFETY: the object is on its way out.
        unsafe { memory::detach::<Future>(object) };
        // SAFETY: nobody can reach it any more.
        unsafe { ENDS.reach(py, object, end_task) };
    } or ();

    /// `tp_dealloc` of `FutureIter`, which nothing derives from.
    fn future_iter_dealloc(py, object: *mut ffi::PyObject) -> () {
        // SAFETY: an object of this class whose last reference is gone.
        let iter = unsafe { memory::contents::<FutureIter>(object) };
        // SAFETY: the object is on its way out.
        unsafe { ffi::PyObject_GC_UnTrack(object.cast()) };
        // SAFETY: dropped once, here.
        unsafe { &mut *iter }.release(py);
        // SAFETY: emptied.
        unsafe { memory::free(object, Some(&FUTURE_ITERS)) };
    } or ();

    /// `am_await` and `tp_iter` of `Future`.
    pub(super) fn future_await(py, object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: the slot of this class.
        let future = unsafe { argument::<Future>(py, object) };
        match FutureIter::over(&future) {
            Ok(iter) => iter.into_ptr(),
            Err(error) => {
                error.restore(py);
                ptr::null_mut()
            }
        }
    } or ptr::null_mut();

    /// `am_send` of `FutureIter`: how 3.11 awaits.
    fn future_iter_send(py, object: *mut ffi::PyObject, _value: *mut ffi::PyObject, result: *mut *mut ffi::PyObject) -> ffi::PySendResult {
        // SAFETY: the slot of this class.
        let iter = unsafe { argument::<FutureIter>(py, object) };
        let (object, outcome) = match iter.get().advance(py) {
            Ok(Advance::Yield(future)) => (future.into_ptr(), ffi::PySendResult::PYGEN_NEXT),
            Ok(Advance::Return(value)) => (value.into_ptr(), ffi::PySendResult::PYGEN_RETURN),
            Err(error) => {
                error.restore(py);
                (ptr::null_mut(), ffi::PySendResult::PYGEN_ERROR)
            }
        };
        // SAFETY: the caller's place for the result.
        unsafe { result.write(object) };
        outcome
    } or ffi::PySendResult::PYGEN_ERROR;

    /// `tp_iternext` of `FutureIter`: how 3.12 and later await.
    fn future_iter_next(py, object: *mut ffi::PyObject) -> *mut ffi::PyObject {
        // SAFETY: the slot of this class.
        let iter = unsafe { argument::<FutureIter>(py, object) };
        match iter.get().advance(py) {
            Ok(Advance::Yield(future)) => future.into_ptr(),
            // NULL without an exception is StopIteration(None).
            Ok(Advance::Return(value)) => {
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

/// The slots that `Future` and `Task` have alike.
///
/// # Safety
/// `class` is the heap type that these functions are for, and nobody uses it yet.
unsafe fn install_awaitable(
    class: *mut ffi::PyTypeObject,
    new: ffi::newfunc,
    dealloc: ffi::destructor,
    finalize: ffi::destructor,
) {
    // SAFETY: the caller vouches for the class.
    let slots = unsafe { &mut *class };
    slots.tp_new = Some(new);
    slots.tp_dealloc = Some(dealloc);
    slots.tp_finalize = Some(finalize);
    slots.tp_iter = Some(future_await);
    // SAFETY: a heap type has room for these slots.
    unsafe { &mut *slots.tp_as_async }.am_await = Some(future_await);
    // SAFETY: as above; the interpreter forgets what it knew about the slots.
    unsafe { ffi::PyType_Modified(class) };
}

/// Puts the functions above into the types. Before this no instance exists.
pub fn install(py: Python<'_>) {
    let future = Future::type_object_raw(py);
    // SAFETY: a heap type of this crate, which nobody uses yet.
    unsafe { install_awaitable(future, future_new, future_dealloc, future_finalize) };
    let task = Task::type_object_raw(py);
    // SAFETY: as for `Future`.
    unsafe { install_awaitable(task, task_new, task_dealloc, task_finalize) };

    let iter = FutureIter::type_object_raw(py);
    // SAFETY: as for `Future`.
    let slots = unsafe { &mut *iter };
    slots.tp_dealloc = Some(future_iter_dealloc);
    slots.tp_iternext = Some(future_iter_next);
    // SAFETY: as for `Future`.
    unsafe { &mut *slots.tp_as_async }.am_send = Some(future_iter_send);
    // SAFETY: as for `Future`.
    unsafe { ffi::PyType_Modified(iter) };

    FUTURE.store(future, Ordering::Relaxed);
    TASK.store(task, Ordering::Relaxed);
    FUTURE_ITER.store(iter, Ordering::Relaxed);
}

/// Whether dict and weak references of a future lie where [`memory::detach`] looks for them.
pub fn layout_is_known(py: Python<'_>) -> bool {
    // SAFETY: a live type.
    let class = unsafe { &*Future::type_object_raw(py) };
    let places = memory::tail::<Future>();
    class.tp_dictoffset as usize == places.dict && class.tp_weaklistoffset as usize == places.weak_references
}

const _: () = assert!(Future::OFFSET % align_of::<Future>() == 0 && Task::OFFSET % align_of::<Task>() == 0);
