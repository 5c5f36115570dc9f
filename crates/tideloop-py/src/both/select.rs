//! `select`: the first of several channels that is ready. Corresponds to Go's statement of this name.

use std::sync::Arc;

use pyo3::exceptions::{PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3::{Borrowed, PyTraverseError, PyVisit};
use tideloop_core::both::channel::{Action, Answer, Outcome, Request};
use tideloop_core::both::select::{self as choices, Shuffler};

use super::call::wait;
use super::channel::{Channel, Rules};
use super::door::Door;
use super::gates::{Shown, finish};
use super::iterate::closed;
use super::pending::{Pending, limit};
use crate::cell::Cell;
use crate::task::WaitReason;

type Value = Py<PyAny>;
type Case = choices::Case<Rules, Arc<Door>>;
type Choice = choices::Choice<Rules, Arc<Door>>;

/// Mixes the cases of every call.
static SHUFFLER: Shuffler = Shuffler::new(0);

/// Wait until one of several channels is ready, and do with it what its case says; return the channel and the value
/// received, None where one was sent. In a task: await it.
///
/// A case is a channel, to receive from it, or a pair of a channel and a value to send. Exactly one case happens; of
/// those that are ready each has the same chance. Raises Closed, whose `channel` says which, where the chosen case meets
/// a closed channel, and TimeoutError after *timeout* seconds (None: without limit). With a *default* it does not wait:
/// if no case is ready, it returns the default, at once, also in a task, where there is nothing to await then.
#[pyfunction]
#[pyo3(signature = (*cases, timeout=None, default=Fallback::None), text_signature = "(*cases, timeout=None, default=...)")]
pub fn select<'py>(
    py: Python<'py>,
    cases: &Bound<'py, PyTuple>,
    timeout: Option<f64>,
    default: Fallback<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    if cases.is_empty() && timeout.is_none() && matches!(default, Fallback::None) {
        return Err(PyValueError::new_err("select() without cases would wait for ever"));
    }
    let pending = SelectWait::new(cases)?;
    if let Fallback::Given(default) = default {
        if timeout.is_some() {
            return Err(PyValueError::new_err("can't specify a timeout and a default"));
        }
        return match pending.try_now(py)? {
            Some(answer) => Ok(answer.into_bound(py)),
            None => Ok(default),
        };
    }
    wait(py, pending, limit(timeout)?)
}

/// The argument `default`.
pub enum Fallback<'py> {
    /// It was not given: wait.
    None,
    /// What to return rather than wait.
    Given(Bound<'py, PyAny>),
}

impl<'py> FromPyObject<'_, 'py> for Fallback<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self::Given(object.to_owned()))
    }
}

/// One wait for the first of several cases.
struct SelectWait {
    /// By the labels of the requests.
    channels: Vec<Py<Channel>>,
    progress: Cell<Progress>,
}

enum Progress {
    /// It has not been asked yet.
    Cases(Vec<Case>),
    /// It waits, or somebody looks.
    Waits(Option<Choice>),
}

impl SelectWait {
    fn new(cases: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let mut channels = Vec::with_capacity(cases.len());
        let mut asked = Vec::with_capacity(cases.len());
        for (label, case) in (0..).zip(cases.iter()) {
            let (channel, action) = parsed(&case)?;
            asked.push((channel.get().gate.to_gate(case.py()), Request { label, action }));
            channels.push(channel.unbind());
        }
        Ok(Self { channels, progress: Cell::new(Progress::Cases(asked)) })
    }

    /// Does one case if that needs no waiting.
    fn try_now(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(mut cases) = self.take_cases(py) else { return Ok(None) };
        SHUFFLER.shuffle(&mut cases);
        match choices::try_now(cases, &mut |gate, after| finish(py, gate, after)) {
            Ok((answer, refused)) => {
                drop(refused);
                self.shown(py, answer).map(Some)
            }
            Err(cases) => {
                self.progress.with(py, |progress| *progress = Progress::Cases(cases));
                Ok(None)
            }
        }
    }

    fn take_cases(&self, py: Python<'_>) -> Option<Vec<Case>> {
        self.progress.with(py, |progress| match std::mem::replace(progress, Progress::Waits(None)) {
            Progress::Cases(cases) => Some(cases),
            waits @ Progress::Waits(_) => {
                *progress = waits;
                None
            }
        })
    }

    /// The choice, to be put back if it goes on. It knocks at doors, so it is not used within the cell.
    fn take_choice(&self, py: Python<'_>) -> Option<Choice> {
        self.progress.with(py, |progress| match progress {
            Progress::Waits(choice) => choice.take(),
            Progress::Cases(_) => None,
        })
    }

    fn shown(&self, py: Python<'_>, answer: Answer<Value>) -> PyResult<Py<PyAny>> {
        let Some(channel) = self.channels.get(answer.label as usize) else { return Ok(py.None()) };
        let value = match answer.outcome {
            Outcome::Sent => py.None(),
            Outcome::Received(value) => value,
            Outcome::Refused(_) | Outcome::Ended => return Err(closed(channel.bind(py).as_any())),
        };
        Ok(PyTuple::new(py, [channel.bind(py).as_any(), value.bind(py)])?.into_any().unbind())
    }

    /// Leaves: what had been given before.
    fn leave(&self, py: Python<'_>) -> Option<Answer<Value>> {
        let mut choice = self.take_choice(py)?;
        let (answer, requests) = choice.give_up(&mut |gate, after| finish(py, gate, after));
        drop(requests);
        answer
    }
}

/// The channel of a case, and what is asked of it.
fn parsed<'py>(case: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, Channel>, Action<Value>)> {
    if let Ok(channel) = case.cast::<Channel>() {
        return Ok((channel.clone(), Action::Receive));
    }
    if let Ok(pair) = case.cast::<PyTuple>()
        && pair.len() == 2
        && let Ok(channel) = pair.get_item(0)?.cast_into::<Channel>()
    {
        return Ok((channel, Action::Send(pair.get_item(1)?.unbind())));
    }
    Err(PyTypeError::new_err(format!("a case is a channel or (channel, value), not {}", case.get_type().name()?)))
}

impl Pending for SelectWait {
    fn qualname(&self) -> &'static str {
        "select"
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        let channels = PyTuple::new(py, &self.channels).map_or_else(|_| py.None().into_bound(py), Bound::into_any);
        (WaitReason::Channel, channels)
    }

    fn attempt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        self.try_now(py)
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        let Some(mut cases) = self.take_cases(py) else { return Ok(None) };
        SHUFFLER.shuffle(&mut cases);
        let (choice, not_needed) = Choice::enter(cases, Arc::clone(door), &mut |gate, after| finish(py, gate, after));
        drop(not_needed);
        self.progress.with(py, |progress| *progress = Progress::Waits(Some(choice)));
        self.look(py)
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(mut choice) = self.take_choice(py) else { return Ok(None) };
        match choice.look(&mut |gate, after| finish(py, gate, after)) {
            Some((answer, requests)) => {
                drop(requests);
                self.shown(py, answer).map(Some)
            }
            None => {
                self.progress.with(py, |progress| *progress = Progress::Waits(Some(choice)));
                Ok(None)
            }
        }
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self.leave(py) {
            Some(answer) => self.shown(py, answer),
            None => Err(PyTimeoutError::new_err("no channel was ready in time")),
        }
    }

    fn give_up(&self, py: Python<'_>) {
        let Some(answer) = self.leave(py) else { return };
        let Some(channel) = self.channels.get(answer.label as usize) else { return };
        drop(channel.get().gate.change(py, |rules, _| Shown::take_back(rules, answer)));
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.progress.during_gc(|progress| match progress {
            Progress::Cases(cases) => cases.iter().try_for_each(|(_, request)| Rules::visit_request(request, visit)),
            Progress::Waits(_) => Ok(()),
        });
        visited.unwrap_or(Ok(()))?;
        self.channels.iter().try_for_each(|channel| visit.call(channel))
    }
}

impl Drop for SelectWait {
    fn drop(&mut self) {
        // Whoever is dropped while it waits has been forgotten by its loop; the lanes must not count on it.
        Python::try_attach(|py| self.give_up(py));
    }
}
