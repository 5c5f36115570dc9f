//! The general way through the operations of a queue: asyncio's steps one by one, each by what the class has for it,
//! on what somebody may have looked at and changed.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};
use tideloop_core::wait_queue::Ticket;

use super::queue::{Queue, Rare, Side, State, empty, full, shut_down};
use super::queue_hooks::{EMPTY, FULL, GET_LOOP, GetHook, Hooks, InitHook, PutHook, QSIZE, STORAGE, WAKEUP_NEXT};
use crate::names;
use crate::slots::loop_slot::LoopRef;
use crate::task::Future;

impl Rare {
    pub fn waiters(&mut self, side: Side) -> &mut Option<Py<PyAny>> {
        match side {
            Side::Getters => &mut self.getters,
            Side::Putters => &mut self.putters,
        }
    }
}

impl Queue {
    /// What is there in place of the native state, since somebody looked at it.
    fn shown<'py>(
        slf: &Bound<'py, Self>,
        which: impl FnOnce(&mut Rare) -> &mut Option<Py<PyAny>>,
    ) -> Option<Bound<'py, PyAny>> {
        let py = slf.py();
        let object = slf.get().state.with(py, |state| {
            let rare = state.rare.as_mut()?;
            which(rare).as_ref().map(|object| object.clone_ref(py))
        });
        object.map(|object| object.into_bound(py))
    }

    /// From now on `object` is there in place of the native state, which `take` hands out.
    pub(super) fn put_in_place<T>(
        slf: &Bound<'_, Self>,
        object: &Bound<'_, PyAny>,
        which: impl FnOnce(&mut Rare) -> &mut Option<Py<PyAny>>,
        take: impl FnOnce(&mut State) -> T,
    ) {
        let object = object.clone().unbind();
        let old = slf.get().state.with(slf.py(), |state| (which(state.rare()).replace(object), take(state)));
        drop(old);
    }

    /// `_queue` as the class has it, if that or somebody's look has put it in place of ours.
    fn foreign_items<'py>(slf: &Bound<'py, Self>, hooks: Hooks) -> PyResult<Option<Bound<'py, PyAny>>> {
        if hooks.overrides(STORAGE) {
            return slf.getattr(intern!(slf.py(), "_queue")).map(Some);
        }
        Ok(Self::shown(slf, |rare| &mut rare.items))
    }

    /// `_queue`: asyncio's deque or list, in place of our own from now on.
    pub(super) fn show_items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(items) = Self::shown(slf, |rare| &mut rare.items) {
            return Ok(items);
        }
        let hooks = Self::hooks(slf)?;
        let list = Self::list_items(slf)?;
        let items = match hooks.init {
            InitHook::List => list.into_any(),
            InitHook::Deque | InitHook::Python => names::deque(py)?.call1((list,))?,
        };
        Self::put_in_place(slf, &items, |rare| &mut rare.items, |state| std::mem::take(&mut state.items));
        Ok(items)
    }

    /// A new list of the items, in asyncio's order.
    pub(super) fn list_items<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        let items =
            slf.get().state.with(py, |state| state.items.iter().map(|item| item.clone_ref(py)).collect::<Vec<_>>());
        PyList::new(py, items)
    }

    /// `_getters` or `_putters`: asyncio's deque of futures, in place of our own from now on.
    pub(super) fn show_waiters<'py>(slf: &Bound<'py, Self>, side: Side) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(waiters) = Self::shown(slf, |rare| rare.waiters(side)) {
            return Ok(waiters);
        }
        let list = Self::list_waiters(slf, side)?;
        let waiters = names::deque(py)?.call1((list,))?;
        Self::put_in_place(slf, &waiters, |rare| rare.waiters(side), |state| state.side(side).drain());
        Ok(waiters)
    }

    /// A new list of the futures of those who wait.
    pub(super) fn list_waiters<'py>(slf: &Bound<'py, Self>, side: Side) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        if let Some(shown) = Self::shown(slf, |rare| rare.waiters(side)) {
            return PyList::new(py, shown.try_iter()?.collect::<PyResult<Vec<_>>>()?);
        }
        let copy = |state: &mut State| state.side(side).iter().map(|future| future.clone_ref(py)).collect::<Vec<_>>();
        PyList::new(py, slf.get().state.with(py, copy))
    }

    fn waiter_count(slf: &Bound<'_, Self>, side: Side) -> PyResult<usize> {
        match Self::shown(slf, |rare| rare.waiters(side)) {
            Some(shown) => shown.len(),
            None => Ok(slf.get().state.with(slf.py(), |state| state.side(side).len())),
        }
    }

    /// `_finished` where somebody has looked at it.
    pub(super) fn shown_finished<'py>(slf: &Bound<'py, Self>) -> Option<Bound<'py, PyAny>> {
        Self::shown(slf, |rare| &mut rare.finished)
    }

    /// `_finished`: asyncio's `Event`, in place of our own from now on.
    pub(super) fn show_finished<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if let Some(event) = Self::shown_finished(slf) {
            return Ok(event);
        }
        let event = names::event_class(py)?.call0()?;
        let waiters = event.getattr(intern!(py, "_waiters"))?;
        let copy = |state: &mut State| {
            let joiners = state.joiners.iter().map(|future| future.clone_ref(py)).collect::<Vec<_>>();
            (state.finished, joiners)
        };
        let (finished, joiners) = slf.get().state.with(py, copy);
        if finished {
            event.call_method0(intern!(py, "set"))?;
        }
        for joiner in joiners {
            waiters.call_method1(intern!(py, "append"), (joiner,))?;
        }
        if let Some(event_loop) = slf.get().join_bound.get(py) {
            event.setattr(intern!(py, "_loop"), event_loop)?;
        }
        Self::put_in_place(slf, &event, |rare| &mut rare.finished, |state| state.joiners.drain());
        Ok(event)
    }

    /// A new list of the futures of those who wait in `join`.
    pub(super) fn list_joiners<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyList>> {
        let py = slf.py();
        if let Some(event) = Self::shown_finished(slf) {
            let waiters = event.getattr(intern!(py, "_waiters"))?;
            return PyList::new(py, waiters.try_iter()?.collect::<PyResult<Vec<_>>>()?);
        }
        let copy = |state: &mut State| state.joiners.iter().map(|future| future.clone_ref(py)).collect::<Vec<_>>();
        PyList::new(py, slf.get().state.with(py, copy))
    }

    /// `_maxsize`.
    pub(super) fn maxsize_object<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match Self::shown(slf, |rare| &mut rare.maxsize) {
            Some(maxsize) => Ok(maxsize),
            None => Ok(slf.get().state.with(py, |state| state.maxsize).into_pyobject(py)?.into_any()),
        }
    }

    /// `len(self._queue)`.
    pub(super) fn item_count(slf: &Bound<'_, Self>, hooks: Hooks) -> PyResult<usize> {
        match Self::foreign_items(slf, hooks)? {
            Some(items) => items.len(),
            None => Ok(slf.get().state.with(slf.py(), |state| state.items.len())),
        }
    }

    /// `not self._queue`.
    pub(super) fn has_no_item(slf: &Bound<'_, Self>, hooks: Hooks) -> PyResult<bool> {
        match Self::foreign_items(slf, hooks)? {
            Some(items) => items.is_truthy().map(|any| !any),
            None => Ok(slf.get().state.with(slf.py(), |state| state.items.is_empty())),
        }
    }

    /// `self.qsize() >= self._maxsize`, where that is a limit.
    pub(super) fn has_no_room(slf: &Bound<'_, Self>, hooks: Hooks) -> PyResult<bool> {
        let py = slf.py();
        let small = slf.get().state.with(py, |state| state.maxsize);
        let other = Self::shown(slf, |rare| &mut rare.maxsize);
        let unlimited = match &other {
            Some(maxsize) => maxsize.le(0)?,
            None => small <= 0,
        };
        if unlimited {
            return Ok(false);
        }
        if !hooks.overrides(QSIZE) && other.is_none() {
            return Ok(Self::item_count(slf, hooks)? >= small.unsigned_abs());
        }
        let size = if hooks.overrides(QSIZE) {
            slf.call_method0(intern!(py, "qsize"))?
        } else {
            Self::item_count(slf, hooks)?.into_pyobject(py)?.into_any()
        };
        match &other {
            Some(maxsize) => size.ge(maxsize),
            None => size.ge(small),
        }
    }

    /// `self.empty()`.
    pub(super) fn is_empty(slf: &Bound<'_, Self>, hooks: Hooks) -> PyResult<bool> {
        if hooks.overrides(EMPTY) {
            return slf.call_method0(intern!(slf.py(), "empty"))?.is_truthy();
        }
        Self::has_no_item(slf, hooks)
    }

    /// `self.full()`.
    pub(super) fn is_full(slf: &Bound<'_, Self>, hooks: Hooks) -> PyResult<bool> {
        if hooks.overrides(FULL) {
            return slf.call_method0(intern!(slf.py(), "full"))?.is_truthy();
        }
        Self::has_no_room(slf, hooks)
    }

    /// `self._put(item)`.
    fn store(slf: &Bound<'_, Self>, hooks: Hooks, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        match hooks.put {
            PutHook::Python => slf.call_method1(intern!(py, "_put"), (item,)).map(drop),
            PutHook::HeapPush => {
                let heap = Self::own_items(slf, hooks)?;
                names::heappush(py)?.call1((heap, item)).map(drop)
            }
            PutHook::Append => match Self::foreign_items(slf, hooks)? {
                Some(items) => items.call_method1(intern!(py, "append"), (item,)).map(drop),
                None => {
                    slf.get().state.with(py, |state| state.items.push_back(item.clone().unbind()));
                    Ok(())
                }
            },
        }
    }

    /// `self._get()`.
    fn take<'py>(slf: &Bound<'py, Self>, hooks: Hooks) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let (native, method) = match hooks.get {
            GetHook::Python => return slf.call_method0(intern!(py, "_get")),
            GetHook::HeapPop => return names::heappop(py)?.call1((Self::own_items(slf, hooks)?,)),
            GetHook::PopFirst => (hooks.init != InitHook::List, intern!(py, "popleft")),
            GetHook::PopLast => (true, intern!(py, "pop")),
        };
        match Self::foreign_items(slf, hooks)? {
            None if native => {
                if let Some(item) = slf.get().state.with(py, State::pop) {
                    return Ok(item.into_bound(py));
                }
                // An IndexError, in asyncio's words.
                Self::show_items(slf)?.call_method0(method)
            }
            None => Self::show_items(slf)?.call_method0(method),
            Some(items) => items.call_method0(method),
        }
    }

    /// `self._queue`.
    fn own_items<'py>(slf: &Bound<'py, Self>, hooks: Hooks) -> PyResult<Bound<'py, PyAny>> {
        match Self::foreign_items(slf, hooks)? {
            Some(items) => Ok(items),
            None => Self::show_items(slf),
        }
    }

    /// `self._get_loop()`.
    pub(super) fn get_loop<'py>(slf: &Bound<'py, Self>, hooks: Hooks) -> PyResult<LoopRef<'py>> {
        if hooks.overrides(GET_LOOP) {
            return Ok(LoopRef::to(&slf.call_method0(intern!(slf.py(), "_get_loop"))?));
        }
        slf.get().bound.running(slf.as_any())
    }

    /// `self._wakeup_next(self._getters)`, or of the putters.
    pub(super) fn wake(slf: &Bound<'_, Self>, hooks: Hooks, side: Side) -> PyResult<()> {
        let py = slf.py();
        if hooks.overrides(WAKEUP_NEXT) {
            let waiters = Self::show_waiters(slf, side)?;
            return slf.call_method1(intern!(py, "_wakeup_next"), (waiters,)).map(drop);
        }
        let Some(waiters) = Self::shown(slf, |rare| rare.waiters(side)) else { return Self::wake_next(slf, side) };
        while waiters.is_truthy()? {
            if finish(&waiters.call_method0(intern!(py, "popleft"))?)? {
                break;
            }
        }
        Ok(())
    }

    /// Lets somebody wait; by the ticket it leaves, if that is not `None`.
    #[inline]
    pub(super) fn push_waiter(
        slf: &Bound<'_, Self>,
        side: Side,
        future: &Bound<'_, Future>,
    ) -> PyResult<Option<Ticket>> {
        let shown = slf.get().state.with(slf.py(), |state| match &state.rare {
            None => Ok(state.side(side).push(future.clone().unbind())),
            Some(_) => Err(()),
        });
        match shown {
            Ok(ticket) => Ok(Some(ticket)),
            Err(()) => Self::push_waiter_shown(slf, side, future),
        }
    }

    fn push_waiter_shown(slf: &Bound<'_, Self>, side: Side, future: &Bound<'_, Future>) -> PyResult<Option<Ticket>> {
        let py = slf.py();
        if let Some(waiters) = Self::shown(slf, |rare| rare.waiters(side)) {
            waiters.call_method1(intern!(py, "append"), (future,))?;
            return Ok(None);
        }
        let future = future.clone().unbind();
        Ok(Some(slf.get().state.with(py, |state| state.side(side).push(future))))
    }

    /// Takes somebody out who does not wait any more; it is no mistake if that has been done.
    pub(super) fn remove_waiter(
        slf: &Bound<'_, Self>,
        side: Side,
        future: &Bound<'_, Future>,
        ticket: Option<Ticket>,
    ) -> PyResult<()> {
        let py = slf.py();
        if let Some(ticket) = ticket
            && let Some(own) = slf.get().state.with(py, |state| state.side(side).remove(ticket))
        {
            own.drop_ref(py);
            return Ok(());
        }
        match Self::shown(slf, |rare| rare.waiters(side)) {
            Some(waiters) => remove(&waiters, future),
            None => Ok(()),
        }
    }

    /// `put_nowait`.
    pub(super) fn put_now(slf: &Bound<'_, Self>, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let hooks = Self::hooks(slf)?;
        if Self::is_shut_down(slf) {
            return Err(shut_down(py));
        }
        if Self::is_full(slf, hooks)? {
            return Err(full(py));
        }
        Self::store(slf, hooks, item)?;
        slf.get().state.with(py, |state| {
            state.unfinished += 1;
            state.finished = false;
        });
        if let Some(event) = Self::shown_finished(slf) {
            event.call_method0(intern!(py, "clear"))?;
        }
        Self::wake(slf, hooks, Side::Getters)
    }

    /// `get_nowait`.
    pub(super) fn get_now<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let hooks = Self::hooks(slf)?;
        if Self::is_empty(slf, hooks)? {
            return Err(if Self::is_shut_down(slf) { shut_down(py) } else { empty(py) });
        }
        let item = Self::take(slf, hooks)?;
        Self::wake(slf, hooks, Side::Putters)?;
        Ok(item)
    }

    /// `shutdown`.
    pub(super) fn close_down(slf: &Bound<'_, Self>, immediate: bool) -> PyResult<()> {
        let py = slf.py();
        let hooks = Self::hooks(slf)?;
        slf.get().state.with(py, |state| state.shut_down = true);
        if immediate {
            while !Self::is_empty(slf, hooks)? {
                drop(Self::take(slf, hooks)?);
                slf.get().state.with(py, |state| state.unfinished -= i64::from(state.unfinished > 0));
            }
            if slf.get().state.with(py, |state| state.unfinished == 0) {
                Self::set_finished(slf)?;
            }
        }
        Self::wake_all(slf, Side::Getters)?;
        Self::wake_all(slf, Side::Putters)
    }

    fn wake_all(slf: &Bound<'_, Self>, side: Side) -> PyResult<()> {
        let py = slf.py();
        if let Some(waiters) = Self::shown(slf, |rare| rare.waiters(side)) {
            while waiters.is_truthy()? {
                finish(&waiters.call_method0(intern!(py, "popleft"))?)?;
            }
            return Ok(());
        }
        while slf.get().state.with(py, |state| !state.side(side).is_empty()) {
            Self::wake_next(slf, side)?;
        }
        Ok(())
    }
}

/// `_format`: what the repr says of a queue.
pub(super) fn format(slf: &Bound<'_, Queue>) -> PyResult<String> {
    let mut text = format!("maxsize={}", Queue::maxsize_object(slf)?.repr()?);
    let items = match Queue::foreign_items(slf, Queue::hooks(slf)?)? {
        Some(items) if items.is_truthy()? => PyList::new(slf.py(), items.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
        Some(_) => PyList::empty(slf.py()),
        None => Queue::list_items(slf)?,
    };
    if !items.is_empty() {
        text.push_str(&format!(" _queue={}", items.repr()?));
    }
    for (name, side) in [("getters", Side::Getters), ("putters", Side::Putters)] {
        match Queue::waiter_count(slf, side)? {
            0 => {}
            count => text.push_str(&format!(" _{name}[{count}]")),
        }
    }
    let (unfinished, shut_down) = slf.get().state.with(slf.py(), |state| (state.unfinished, state.shut_down));
    if unfinished != 0 {
        text.push_str(&format!(" tasks={unfinished}"));
    }
    if shut_down {
        text.push_str(" shutdown");
    }
    Ok(text)
}

/// Wakes one who waits; whether it was still waiting.
fn finish(waiter: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = waiter.py();
    if waiter.call_method0(intern!(py, "done"))?.is_truthy()? {
        return Ok(false);
    }
    waiter.call_method1(intern!(py, "set_result"), (py.None(),))?;
    Ok(true)
}

/// `deque.remove(future)`, where it need not be there.
pub(super) fn remove(waiters: &Bound<'_, PyAny>, future: &Bound<'_, Future>) -> PyResult<()> {
    let py = waiters.py();
    let arguments = PyTuple::new(py, [future])?;
    match waiters.call_method1(intern!(py, "remove"), arguments) {
        Err(error) if !error.is_instance_of::<pyo3::exceptions::PyValueError>(py) => Err(error),
        _ => Ok(()),
    }
}
