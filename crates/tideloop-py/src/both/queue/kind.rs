//! What the kinds of queues have in common, towards Python: how an item goes in and comes out, and what waits for it.

use pyo3::exceptions::PyStopAsyncIteration;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::line::Line;
use tideloop_core::both::queue::{Answer, Buffer, Joiners, NoRoom, Popped, Purpose, Queue as Rules, Request};

use crate::both::gates::{Accepted, Shared, Shown};
use crate::names;

/// A buffer whose items are Python's.
pub trait Kind: Buffer<Item: Send + 'static> + Send + Sized + 'static {
    /// What was put.
    fn object(item: Self::Item) -> Py<PyAny>;

    /// Shows an item to the collector.
    fn visit_item(item: &Self::Item, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;

    /// Shows all of them.
    fn visit_items(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError>;

    /// Takes all of them out.
    fn drain_items(&mut self) -> Vec<Self::Item>;

    /// Puts an item in, into a place that was `kept` for it, or if there is room.
    fn try_put(gate: &Shared<Rules<Self>>, py: Python<'_>, item: Self::Item, kept: bool) -> PyResult<Put<Self>>;

    /// Takes the next item out.
    fn try_get(gate: &Shared<Rules<Self>>, py: Python<'_>) -> PyResult<Got>;
}

/// How it went to put: why the item has not gone in.
pub type Put<K> = Result<(), (NoRoom, <K as Buffer>::Item)>;

/// How it went to get.
pub enum Got {
    Item(Py<PyAny>),
    Empty,
    /// There is none, and never will be.
    Ended,
}

/// Whether an item may go in now. A place that was kept is given up in any case.
#[inline]
pub fn may_put<K: Kind>(rules: &mut Rules<K>, kept: bool) -> Result<(), NoRoom> {
    if !kept {
        return rules.room();
    }
    rules.give_place_back();
    if rules.is_shut_down() { Err(NoRoom::ShutDown) } else { Ok(()) }
}

/// What it means that there is no item.
#[inline]
pub fn nothing<K: Kind>(rules: &Rules<K>) -> Got {
    if rules.is_shut_down() { Got::Ended } else { Got::Empty }
}

impl Kind for Line<Py<PyAny>> {
    fn object(item: Py<PyAny>) -> Py<PyAny> {
        item
    }

    fn visit_item(item: &Py<PyAny>, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(item)
    }

    fn visit_items(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.iter().try_for_each(|item| visit.call(item))
    }

    fn drain_items(&mut self) -> Vec<Py<PyAny>> {
        self.drain()
    }

    #[inline]
    fn try_put(gate: &Shared<Rules<Self>>, py: Python<'_>, item: Py<PyAny>, kept: bool) -> PyResult<Put<Self>> {
        Ok(gate.change(py, |rules, _| match may_put(rules, kept) {
            Ok(()) => {
                rules.put(item);
                Ok(())
            }
            Err(reason) => Err((reason, item)),
        }))
    }

    #[inline]
    fn try_get(gate: &Shared<Rules<Self>>, py: Python<'_>) -> PyResult<Got> {
        Ok(gate.change(py, |rules, _| match rules.buffer.pop() {
            Popped::Item(item) => Got::Item(item),
            Popped::Undecided | Popped::Empty => nothing(rules),
        }))
    }
}

impl<K: Kind> Shown for Rules<K> {
    fn answered(py: Python<'_>, answer: Self::Answer) -> PyResult<Py<PyAny>> {
        match answer {
            Answer::Item(item, _) => Ok(K::object(item)),
            Answer::Room(_) | Answer::Undecided(_) => Ok(py.None()),
            Answer::Refused(_) | Answer::Ended(Purpose::Get) => Err(shut_down(py)),
            Answer::Ended(Purpose::Iterate) => Err(PyStopAsyncIteration::new_err(())),
        }
    }

    fn accept(gate: &Shared<Self>, py: Python<'_>, answer: Self::Answer) -> PyResult<Accepted<Self>> {
        match answer {
            Answer::Room(item) => match K::try_put(gate, py, item, true)? {
                Ok(()) => Ok(Ok(py.None())),
                Err((NoRoom::ShutDown, _)) => Err(shut_down(py)),
                Err((NoRoom::Full, item)) => Ok(Err(Request::Put(item))),
            },
            Answer::Undecided(purpose) => get(gate, py, purpose),
            other => Self::answered(py, other).map(Ok),
        }
    }

    fn attempt(gate: &Shared<Self>, py: Python<'_>, request: Self::Request) -> PyResult<Accepted<Self>> {
        match request {
            Request::Get(purpose) => get(gate, py, purpose),
            Request::Put(item) => match K::try_put(gate, py, item, false)? {
                Ok(()) => Ok(Ok(py.None())),
                Err((NoRoom::ShutDown, _)) => Err(shut_down(py)),
                Err((NoRoom::Full, item)) => Ok(Err(Request::Put(item))),
            },
        }
    }

    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(empty(py))
    }

    fn expired(py: Python<'_>, request: Option<Self::Request>) -> PyResult<Py<PyAny>> {
        match request {
            Some(Request::Put(_)) => Err(full(py)),
            Some(Request::Get(_)) | None => Err(empty(py)),
        }
    }

    fn take_back(&mut self, answer: Self::Answer) -> Option<Self::Answer> {
        Self::take_back(self, answer)
    }

    fn forget_others(&mut self) {
        self.forget_kept();
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.buffer.visit_items(visit)
    }

    fn visit_request(request: &Self::Request, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match request {
            Request::Put(item) => K::visit_item(item, visit),
            Request::Get(_) => Ok(()),
        }
    }
}

fn get<K: Kind>(gate: &Shared<Rules<K>>, py: Python<'_>, purpose: Purpose) -> PyResult<Accepted<Rules<K>>> {
    match K::try_get(gate, py)? {
        Got::Item(item) => Ok(Ok(item)),
        Got::Empty => Ok(Err(Request::Get(purpose))),
        Got::Ended => Rules::<K>::answered(py, Answer::Ended(purpose)).map(Ok),
    }
}

impl Shown for Joiners {
    fn answered(py: Python<'_>, (): ()) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }

    fn timed_out(_py: Python<'_>) -> PyResult<Py<PyAny>> {
        Err(pyo3::exceptions::PyTimeoutError::new_err("there are unfinished tasks"))
    }

    fn take_back(&mut self, (): ()) -> Option<()> {
        None
    }
}

/// `tideloop.sync.Empty`
#[cold]
pub fn empty(py: Python<'_>) -> PyErr {
    raised(py, names::shared_empty(py))
}

/// `tideloop.sync.Full`
#[cold]
pub fn full(py: Python<'_>) -> PyErr {
    raised(py, names::shared_full(py))
}

/// `tideloop.sync.ShutDown`
#[cold]
pub fn shut_down(py: Python<'_>) -> PyErr {
    raised(py, names::shared_shut_down(py))
}

fn raised(_py: Python<'_>, class: PyResult<&Bound<'_, pyo3::types::PyType>>) -> PyErr {
    match class {
        Ok(class) => PyErr::from_type(class.clone(), ()),
        Err(error) => error,
    }
}
