//! What all primitives but locks and semaphores are in Python: a gate, and waits at one.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::gate::{After, Entered, Gate, Rules, Standing};
use tideloop_core::both::seat::{GivenUp, Seat};

use super::door::Door;
use super::pending::Pending;
use crate::cell::Cell;
use crate::event_loop::fork_generation;
use crate::observe::Sits;
use crate::task::WaitReason;

/// Rules whose requests and answers Python sees.
pub trait Shown: Rules<Request: Send, Answer: Send> + Send + Sized + 'static {
    /// What Python gets for an answer.
    fn answered(py: Python<'_>, answer: Self::Answer) -> PyResult<Py<PyAny>>;

    /// What Python gets for an answer, where more is to be done than to say it. `Err`: nothing came of it, and this is
    /// asked for next.
    fn accept(_gate: &Shared<Self>, py: Python<'_>, answer: Self::Answer) -> PyResult<Accepted<Self>> {
        Self::answered(py, answer).map(Ok)
    }

    /// What Python gets for a request that needs no waiting. `Err`: it has to wait.
    fn attempt(gate: &Shared<Self>, py: Python<'_>, request: Self::Request) -> PyResult<Accepted<Self>> {
        let (outcome, after) = gate.gate(py).try_now(request);
        gate.finish(py, after);
        match outcome {
            Ok(answer) => Self::accept(gate, py, answer),
            Err(request) => Ok(Err(request)),
        }
    }

    /// An error of an answer, told about the object that was waited for.
    fn told_of(_py: Python<'_>, _owner: &Py<PyAny>, error: PyErr) -> PyErr {
        error
    }

    /// What a time-out returns or raises.
    fn timed_out(py: Python<'_>) -> PyResult<Py<PyAny>>;

    /// What the time-out of this request returns or raises.
    fn expired(py: Python<'_>, request: Option<Self::Request>) -> PyResult<Py<PyAny>> {
        drop(request);
        Self::timed_out(py)
    }

    /// The process is the child of a fork: whoever waited, or had been given something and not taken it, is not here.
    fn forget_others(&mut self) {}

    /// Takes back what one was given who has left. What is returned is dropped outside.
    fn take_back(&mut self, answer: Self::Answer) -> Option<Self::Answer>;

    /// Shows the Python objects of the state to the collector.
    fn visit(&self, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }

    /// Shows those of a request.
    fn visit_request(_request: &Self::Request, _visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        Ok(())
    }
}

/// What Python gets, or what has to be asked for.
pub type Accepted<R> = Result<Py<PyAny>, <R as Rules>::Request>;

/// A gate for threads and tasks.
pub struct Shared<R: Shown>(Arc<Guarded<R>>);

struct Guarded<R: Shown> {
    gate: Arc<Gate<R, Arc<Door>>>,
    /// Since which fork nobody of another process is in it.
    fork_generation: AtomicU64,
}

type SeatOf<R> = Seat<<R as Rules>::Answer, Arc<Door>>;

impl<R: Shown> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: Shown> Shared<R> {
    pub fn new(rules: R) -> Self {
        Self(Arc::new(Guarded { gate: Arc::new(Gate::new(rules)), fork_generation: AtomicU64::new(fork_generation()) }))
    }

    /// The gate, with nobody in it who is not of this process.
    #[inline]
    fn gate(&self, py: Python<'_>) -> &Gate<R, Arc<Door>> {
        if self.0.fork_generation.load(Ordering::Relaxed) != fork_generation() {
            self.forget_others(py);
        }
        &self.0.gate
    }

    /// The first use in the child of a fork. Nobody was inside when it was made: that takes the interpreter lock.
    #[cold]
    fn forget_others(&self, py: Python<'_>) {
        self.0.fork_generation.store(fork_generation(), Ordering::Relaxed);
        let gone = self.0.gate.forget_everybody();
        let ((), after) = self.0.gate.change(|rules, _| rules.forget_others());
        self.finish(py, after);
        drop(gone);
    }

    /// Changes the state, told how many wait in each lane.
    pub fn change<T>(&self, py: Python<'_>, change: impl FnOnce(&mut R, [usize; 2]) -> T) -> T {
        let (outcome, after) = self.gate(py).change(change);
        self.finish(py, after);
        outcome
    }

    /// Grants a request if that needs no waiting.
    pub fn try_now(&self, py: Python<'_>, request: R::Request) -> Result<R::Answer, R::Request> {
        let (outcome, after) = self.gate(py).try_now(request);
        self.finish(py, after);
        outcome
    }

    /// The gate by itself, for one who waits at several.
    pub fn to_gate(&self, py: Python<'_>) -> Arc<Gate<R, Arc<Door>>> {
        // In the child of a fork, those who are gone leave first.
        let _ = self.gate(py);
        Arc::clone(&self.0.gate)
    }

    /// Looks at the state.
    pub fn look<T>(&self, look: impl FnOnce(&R, [usize; 2]) -> T) -> T {
        self.0.gate.look(look)
    }

    /// A wait for what is asked for.
    pub fn wait(
        &self,
        owner: &Bound<'_, PyAny>,
        qualname: &'static str,
        reason: WaitReason,
        request: R::Request,
    ) -> GateWait<R> {
        GateWait {
            gate: self.clone(),
            owner: owner.clone().unbind(),
            qualname,
            reason,
            request: Cell::new(Some(request)),
            standing: Cell::new(None),
        }
    }

    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let visited = self.0.gate.look_if_free(|rules, requests| {
            rules.visit(visit)?;
            for request in requests {
                R::visit_request(request, visit)?;
            }
            Ok(())
        });
        visited.unwrap_or(Ok(()))
    }

    fn finish(&self, py: Python<'_>, after: After<R, Arc<Door>>) {
        finish(py, &self.0.gate, after);
    }
}

/// What is left to do after a gate's mutex has been let go of. Whoever cannot be woken any more has left: what it was
/// given is taken back, and others may be answered then.
pub fn finish<R: Shown>(py: Python<'_>, gate: &Gate<R, Arc<Door>>, after: After<R, Arc<Door>>) {
    let After { answered, stale } = after;
    drop(stale);
    // In the order in which they were answered: they run in that order, then.
    let mut answered = VecDeque::from(answered);
    while let Some(seat) = answered.pop_front() {
        if seat.door.knock(py) {
            continue;
        }
        let Some(answer) = seat.take() else { continue };
        let (leftover, After { answered: more, stale }) = gate.change(|rules, _| rules.take_back(answer));
        answered.extend(more);
        drop((leftover, stale));
    }
}

/// One wait at a gate.
pub struct GateWait<R: Shown> {
    gate: Shared<R>,
    owner: Py<PyAny>,
    qualname: &'static str,
    reason: WaitReason,
    /// None from the time when it has been made.
    request: Cell<Option<R::Request>>,
    standing: Cell<Option<(Standing, Arc<SeatOf<R>>)>>,
}

impl<R: Shown> GateWait<R> {
    fn accept(&self, py: Python<'_>, answer: R::Answer) -> PyResult<Accepted<R>> {
        R::accept(&self.gate, py, answer).map_err(|error| R::told_of(py, &self.owner, error))
    }

    /// Where it waits.
    pub fn seat(&self, py: Python<'_>) -> Option<Arc<dyn Sits>> {
        let seat: Arc<dyn Sits> = self.standing.with(py, |place| place.as_ref().map(|(_, seat)| Arc::clone(seat)))?;
        Some(seat)
    }

    /// Asks, or has it wait.
    fn ask(&self, py: Python<'_>, door: &Arc<Door>, mut request: R::Request) -> PyResult<Option<Py<PyAny>>> {
        loop {
            let seat = Arc::new(Seat::new(Arc::clone(door)));
            match self.gate.gate(py).enter(request, &seat) {
                Entered::Now(answer, after) => {
                    self.gate.finish(py, after);
                    match self.accept(py, answer)? {
                        Ok(object) => return Ok(Some(object)),
                        Err(again) => request = again,
                    }
                }
                Entered::Waits(standing, after) => {
                    self.standing.with(py, |place| *place = Some((standing, seat)));
                    self.gate.finish(py, after);
                    return Ok(None);
                }
            }
        }
    }

    /// Leaves: what had been given before, and else what was asked for.
    fn leave(&self, py: Python<'_>) -> (Option<R::Answer>, Option<R::Request>) {
        let Some((standing, seat)) = self.standing.with(py, Option::take) else { return (None, None) };
        let (given_up, request, after) = self.gate.gate(py).give_up(standing, &seat);
        self.gate.finish(py, after);
        match given_up {
            GivenUp::Answered(answer) => (Some(answer), request),
            GivenUp::InTime | GivenUp::Before => (None, request),
        }
    }
}

impl<R: Shown> Pending for GateWait<R> {
    fn qualname(&self) -> &'static str {
        self.qualname
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        (self.reason, self.owner.bind(py).clone())
    }

    fn attempt(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(request) = self.request.with(py, Option::take) else { return Ok(None) };
        match R::attempt(&self.gate, py, request).map_err(|error| R::told_of(py, &self.owner, error))? {
            Ok(object) => Ok(Some(object)),
            Err(request) => {
                self.request.with(py, |place| *place = Some(request));
                Ok(None)
            }
        }
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        let Some(request) = self.request.with(py, Option::take) else { return Ok(None) };
        self.ask(py, door, request)
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Some(seat) = self.standing.with(py, |place| place.as_ref().map(|(_, seat)| Arc::clone(seat))) else {
            return Ok(None);
        };
        let Some(answer) = seat.take() else { return Ok(None) };
        drop(self.standing.with(py, Option::take));
        match self.accept(py, answer)? {
            Ok(object) => Ok(Some(object)),
            Err(again) => self.ask(py, &seat.door, again),
        }
    }

    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let (answer, request) = self.leave(py);
        let request = match answer {
            Some(answer) => match self.accept(py, answer)? {
                Ok(object) => return Ok(object),
                Err(again) => Some(again),
            },
            None => request,
        };
        R::expired(py, request)
    }

    fn give_up(&self, py: Python<'_>) {
        let (Some(answer), _) = self.leave(py) else { return };
        drop(self.gate.change(py, |rules, _| rules.take_back(answer)));
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.request
            .during_gc(|request| match request {
                Some(request) => R::visit_request(request, visit),
                None => Ok(()),
            })
            .unwrap_or(Ok(()))?;
        visit.call(&self.owner)
    }
}

impl<R: Shown> Drop for GateWait<R> {
    fn drop(&mut self) {
        // Whoever is dropped while it waits has been forgotten by its loop; the lane must not count on it.
        if self.standing.get_mut().is_some() {
            Python::try_attach(|py| self.give_up(py));
        }
    }
}
