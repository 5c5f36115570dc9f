//! `queue.get()`, `queue.put(item)` and `queue.join()`: the coroutines.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::wait_queue::Ticket;

use super::queue::{Queue, Quick, Side, shut_down};
use super::queue_general::remove;
use super::queue_hooks::{GET_NOWAIT, PUT_NOWAIT};
use crate::cell::{Cell, Slot};
use crate::coroutine::{self, Life, NativeCoroutine, Resumed, Stepped, native_coroutine};
use crate::slots;
use crate::task::{Future, WaitReason};

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Get,
    Put,
    Join,
}

struct State {
    queue: Slot<Queue>,
    item: Slot,
    /// By which it leaves those who wait.
    ticket: Option<Ticket>,
}

/// One of the coroutines of a queue.
#[pyclass(frozen, module = "tideloop._native")]
pub struct QueueCall {
    life: Life,
    op: Op,
    state: Cell<State>,
}

impl QueueCall {
    #[inline]
    fn create<'py>(queue: &Bound<'py, Queue>, op: Op, item: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let queue_slot = Slot::holding(queue.clone().unbind());
        let state = State { queue: queue_slot, item: Slot::maybe(item.map(Bound::unbind)), ticket: None };
        let call = Self { life: Life::fresh(), op, state: Cell::new(state) };
        slots::coroutine::create(queue.py(), call).map(Bound::into_any)
    }

    /// `queue.get()`
    #[inline]
    pub fn get<'py>(queue: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        Self::create(queue, Op::Get, None)
    }

    /// `queue.put(item)`
    #[inline]
    pub fn put<'py>(queue: &Bound<'py, Queue>, item: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        Self::create(queue, Op::Put, Some(item))
    }

    /// `queue.join()`
    pub fn join<'py>(queue: &Bound<'py, Queue>) -> PyResult<Bound<'py, PyAny>> {
        Self::create(queue, Op::Join, None)
    }

    fn set_ticket(&self, py: Python<'_>, ticket: Option<Ticket>) {
        self.state.with(py, |state| state.ticket = ticket);
    }

    fn ticket(&self, py: Python<'_>) -> Option<Ticket> {
        self.state.with(py, |state| state.ticket.take())
    }
}

impl NativeCoroutine for QueueCall {
    fn blank() -> Self {
        let state = State { queue: Slot::EMPTY, item: Slot::EMPTY, ticket: None };
        Self { life: Life::ended(), op: Op::Get, state: Cell::new(state) }
    }

    fn life(&self) -> &Life {
        &self.life
    }

    fn qualname(&self, _py: Python<'_>) -> &'static str {
        match self.op {
            Op::Get => "Queue.get",
            Op::Put => "Queue.put",
            Op::Join => "Queue.join",
        }
    }

    #[inline]
    fn run<'py>(slf: &Bound<'py, Self>, resumed: Resumed<'py>) -> PyResult<Stepped<'py>> {
        let py = slf.py();
        let queue = slf.get().state.with(py, |state| state.queue.cloned(py));
        let Some(queue) = queue else { return Ok(Stepped::Return(py.None().into_bound(py))) };
        let queue = queue.into_bound(py);
        match (slf.get().op, resumed) {
            (Op::Get, Resumed::Start | Resumed::Woken(_)) => get(slf, &queue),
            (Op::Put, Resumed::Start | Resumed::Woken(_)) => put(slf, &queue),
            (Op::Get, Resumed::Thrown(error, future)) => Err(thrown(slf, &queue, Side::Getters, error, future)),
            (Op::Put, Resumed::Thrown(error, future)) => Err(thrown(slf, &queue, Side::Putters, error, future)),
            (Op::Join, Resumed::Start) => join(slf, &queue),
            (Op::Join, Resumed::Woken(future)) => {
                leave_join(slf, &queue, future)?;
                Ok(Stepped::Return(py.None().into_bound(py)))
            }
            (Op::Join, Resumed::Thrown(error, future)) => {
                leave_join(slf, &queue, future)?;
                Err(PyErr::from_value(error))
            }
        }
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visit_both = |state: &State| {
            state.queue.visit(visit)?;
            state.item.visit(visit)
        };
        self.state.during_gc(visit_both).unwrap_or(Ok(()))
    }

    #[inline]
    fn clear(&self, py: Python<'_>) {
        let (queue, item) = self.state.with(py, |state| (state.queue.take(), state.item.take()));
        if let Some(queue) = queue {
            queue.drop_ref(py);
        }
        if let Some(item) = item {
            item.drop_ref(py);
        }
    }
}

native_coroutine!(QueueCall);

/// Gets an item, or waits for one.
#[inline]
fn get<'py>(slf: &Bound<'py, QueueCall>, queue: &Bound<'py, Queue>) -> PyResult<Stepped<'py>> {
    match Queue::try_get(queue)? {
        Quick::Done(item) => return Ok(Stepped::Return(item)),
        Quick::ShutDown => return Err(shut_down(slf.py())),
        Quick::WouldBlock => return wait_for_ours(slf, queue, Side::Getters),
        Quick::General => {
            let hooks = Queue::hooks(queue)?;
            if !Queue::is_empty(queue, hooks)? {
                let item = if hooks.overrides(GET_NOWAIT) {
                    queue.call_method0(intern!(slf.py(), "get_nowait"))?
                } else {
                    Queue::get_now(queue)?
                };
                return Ok(Stepped::Return(item));
            }
            if Queue::is_shut_down(queue) && Queue::is_empty(queue, hooks)? {
                return Err(shut_down(slf.py()));
            }
        }
    }
    wait(slf, queue, Side::Getters)
}

/// Puts the item, or waits for room.
#[inline]
fn put<'py>(slf: &Bound<'py, QueueCall>, queue: &Bound<'py, Queue>) -> PyResult<Stepped<'py>> {
    let py = slf.py();
    let item = slf.get().state.with(py, |state| state.item.cloned(py));
    let item = item.unwrap_or_else(|| py.None()).into_bound(py);
    match Queue::try_put(queue, &item)? {
        Quick::Done(()) => return Ok(Stepped::Return(py.None().into_bound(py))),
        Quick::ShutDown => return Err(shut_down(py)),
        Quick::WouldBlock => return wait_for_ours(slf, queue, Side::Putters),
        Quick::General => {
            let hooks = Queue::hooks(queue)?;
            if !Queue::is_full(queue, hooks)? {
                if hooks.overrides(PUT_NOWAIT) {
                    return queue.call_method1(intern!(py, "put_nowait"), (item,)).map(Stepped::Return);
                }
                Queue::put_now(queue, &item)?;
                return Ok(Stepped::Return(py.None().into_bound(py)));
            }
            if Queue::is_shut_down(queue) {
                return Err(shut_down(py));
            }
        }
    }
    wait(slf, queue, Side::Putters)
}

/// Waits to be woken; by the quick way.
#[inline]
fn wait_for_ours<'py>(slf: &Bound<'py, QueueCall>, queue: &Bound<'py, Queue>, side: Side) -> PyResult<Stepped<'py>> {
    let py = slf.py();
    let event_loop = queue.get().bound.running(queue.as_any())?;
    let future = coroutine::waiter(py, &event_loop, WaitReason::Queue, queue.as_any())?;
    let ticket = Queue::push_waiter(queue, side, &future)?;
    slf.get().set_ticket(py, ticket);
    Ok(Stepped::Wait(future))
}

/// Waits to be woken.
fn wait<'py>(slf: &Bound<'py, QueueCall>, queue: &Bound<'py, Queue>, side: Side) -> PyResult<Stepped<'py>> {
    let py = slf.py();
    let event_loop = Queue::get_loop(queue, Queue::hooks(queue)?)?;
    let future = coroutine::waiter(py, &event_loop, WaitReason::Queue, queue.as_any())?;
    let ticket = Queue::push_waiter(queue, side, &future)?;
    slf.get().set_ticket(py, ticket);
    Ok(Stepped::Wait(future))
}

/// It does not wait any more, nor take what it may have been woken for: that is for the next one then.
#[cold]
fn thrown<'py>(
    slf: &Bound<'py, QueueCall>,
    queue: &Bound<'py, Queue>,
    side: Side,
    error: Bound<'py, PyAny>,
    future: Option<Bound<'py, Future>>,
) -> PyErr {
    let passed_on = future.map_or(Ok(()), |future| {
        let py = slf.py();
        Future::cancel_native(&future, None)?;
        Queue::remove_waiter(queue, side, &future, slf.get().ticket(py))?;
        let hooks = Queue::hooks(queue)?;
        let in_vain = match side {
            Side::Getters => Queue::is_empty(queue, hooks)?,
            Side::Putters => Queue::is_full(queue, hooks)?,
        };
        if in_vain || future.get().is_cancelled(py) { Ok(()) } else { Queue::wake(queue, hooks, side) }
    });
    match passed_on {
        Ok(()) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// Waits for everything to be done.
fn join<'py>(slf: &Bound<'py, QueueCall>, queue: &Bound<'py, Queue>) -> PyResult<Stepped<'py>> {
    let py = slf.py();
    let (unfinished, finished) = queue.get().state.with(py, |state| (state.unfinished > 0, state.finished));
    let shown = if unfinished { Queue::shown_finished(queue) } else { None };
    let finished = match &shown {
        _ if !unfinished => true,
        Some(event) => event.call_method0(intern!(py, "is_set"))?.is_truthy()?,
        None => finished,
    };
    if finished {
        return Ok(Stepped::Return(py.None().into_bound(py)));
    }
    let Some(event) = shown else {
        let Ok(event_loop) = queue.get().join_bound.running(queue.as_any()) else {
            // It belongs to another loop, which asyncio's event says in its own words.
            return Err(Queue::show_finished(queue)?
                .call_method0(intern!(py, "_get_loop"))
                .err()
                .unwrap_or_else(|| shut_down(py)));
        };
        let future = coroutine::waiter(py, &event_loop, WaitReason::Join, queue.as_any())?;
        let kept = future.clone().unbind();
        let ticket = queue.get().state.with(py, |state| state.joiners.push(kept));
        slf.get().set_ticket(py, Some(ticket));
        return Ok(Stepped::Wait(future));
    };
    let event_loop = slots::loop_slot::LoopRef::to(&event.call_method0(intern!(py, "_get_loop"))?);
    let future = coroutine::waiter(py, &event_loop, WaitReason::Join, queue.as_any())?;
    event.getattr(intern!(py, "_waiters"))?.call_method1(intern!(py, "append"), (&future,))?;
    Ok(Stepped::Wait(future))
}

/// It does not wait in `join` any more.
fn leave_join<'py>(
    slf: &Bound<'py, QueueCall>,
    queue: &Bound<'py, Queue>,
    future: Option<Bound<'py, Future>>,
) -> PyResult<()> {
    let py = slf.py();
    if let Some(ticket) = slf.get().ticket(py)
        && let Some(own) = queue.get().state.with(py, |state| state.joiners.remove(ticket))
    {
        own.drop_ref(py);
        return Ok(());
    }
    match (Queue::shown_finished(queue), future) {
        (Some(event), Some(future)) => remove(&event.getattr(intern!(py, "_waiters"))?, &future),
        _ => Ok(()),
    }
}
