//! `shield`: a future that can be cancelled without what it stands for being cancelled.

use pyo3::prelude::*;

use super::Watcher;
use super::ensure::{ensure_future, loop_of};
use super::outcome::{self, Outcome};
use crate::coroutine::waiter;
use crate::slots::classes::exact_future;
use crate::task::{Future, WaitReason};

/// A future that has the outcome of `awaitable`, which goes on when it is cancelled; `awaitable` itself where that is a
/// future which is done. Corresponds to `asyncio.shield`.
#[inline]
pub fn shield<'py>(awaitable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let inner = ensure_future(awaitable, None)?;
    if outcome::is_done(&inner)? {
        return Ok(inner);
    }
    let event_loop = loop_of(&inner)?;
    let outer = waiter(inner.py(), &event_loop, WaitReason::Inner, &inner)?;
    Watcher::ShieldInner.watch(outer.as_any(), &inner)?;
    Watcher::ShieldOuter.watch(&inner, outer.as_any())?;
    Ok(outer.into_any())
}

/// What is shielded is done: so is the outer future, unless somebody has cancelled it.
#[inline]
pub fn inner_done(outer: &Bound<'_, PyAny>, inner: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = outer.py();
    let Some(outer) = exact_future(outer) else { return Ok(()) };
    Watcher::ShieldInner.settled(outer.as_any(), inner)?;
    if outer.get().is_cancelled(py) {
        // Nobody is left to retrieve its exception. From 3.14 on that is reported.
        return if cfg!(Py_3_14) { Ok(()) } else { outcome::of(inner).map(drop) };
    }
    match outcome::of(inner)? {
        Outcome::Result(result) => Future::finish(outer, result),
        Outcome::Exception(exception) => Future::fail(outer, &exception),
        Outcome::Cancelled => Future::cancel_native(outer, None).map(drop),
    }
}

/// The outer future is done: where it was cancelled, what is shielded does not concern it any more.
#[inline]
pub fn outer_done(inner: &Bound<'_, PyAny>, outer: &Bound<'_, PyAny>) -> PyResult<()> {
    if outcome::is_done(inner)? { Ok(()) } else { Watcher::ShieldInner.unwatch(outer, inner) }
}
