//! One wait for a condition: until notified, and then until the lock is held again, which nothing can end.

use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::condition::Condition as Rules;

use super::condition::Condition;
use super::door::Door;
use super::gates::GateWait;
use super::pending::Pending;
use super::permits::truth;
use crate::cell::Cell;
use crate::observe::Watched;
use crate::task::WaitReason;

/// See the module.
pub struct ConditionWait {
    condition: Py<Condition>,
    stage: Cell<Stage>,
}

#[derive(Clone)]
enum Stage {
    /// It has not begun, or has ended.
    Idle,
    /// It waits to be notified.
    Waits { turn: Arc<GateWait<Rules>>, door: Arc<Door>, held: u64 },
    /// It waits for the lock, having been notified or not.
    Returns { lock: Arc<dyn Pending>, door: Arc<Door>, held: u64, notified: bool },
    /// Its loop is closed. It stands nowhere; if its coroutine is closed, too, the lock is taken again for that.
    Lost { door: Arc<Door>, held: u64 },
}

impl ConditionWait {
    /// A wait by whoever will enter.
    pub fn new(condition: &Bound<'_, Condition>) -> Self {
        Self { condition: condition.clone().unbind(), stage: Cell::new(Stage::Idle) }
    }

    fn stage(&self, py: Python<'_>) -> Stage {
        self.stage.with(py, |stage| stage.clone())
    }

    fn become_stage(&self, py: Python<'_>, next: Stage) {
        drop(self.stage.with(py, |stage| std::mem::replace(stage, next)));
    }

    /// Takes the lock again: whether it was notified, once the lock is held.
    fn take_lock_again(&self, py: Python<'_>, door: &Arc<Door>, held: u64, notified: bool) -> PyResult<Option<bool>> {
        let lock: Arc<dyn Pending> = Arc::from(self.condition.get().base.pending_again(py, held));
        let returns = Stage::Returns { lock: Arc::clone(&lock), door: Arc::clone(door), held, notified };
        self.become_stage(py, returns);
        let answer = lock.enter(py, door)?;
        if answer.is_some() {
            self.become_stage(py, Stage::Idle);
        }
        Ok(answer.map(|_| notified))
    }

    /// The notification was for one who leaves: it is the next one's.
    fn hand_on(&self, py: Python<'_>) {
        self.condition.get().gate.change(py, |condition, _| condition.notify(1));
    }
}

impl Pending for ConditionWait {
    fn qualname(&self) -> &'static str {
        "Condition.wait"
    }

    fn reason<'py>(&self, py: Python<'py>) -> (WaitReason, Bound<'py, PyAny>) {
        match self.stage(py) {
            Stage::Returns { lock, .. } => lock.reason(py),
            Stage::Idle | Stage::Waits { .. } | Stage::Lost { .. } => {
                (WaitReason::Condition, self.condition.bind(py).clone().into_any())
            }
        }
    }

    fn enter(&self, py: Python<'_>, door: &Arc<Door>) -> PyResult<Option<Py<PyAny>>> {
        let condition = self.condition.bind(py);
        let this = condition.get();
        if !this.base.is_owned(py)? {
            return Err(PyRuntimeError::new_err("cannot wait on un-acquired lock"));
        }
        let round = this.gate.look(|condition, _| condition.round());
        let turn = this.gate.wait(condition.as_any(), "Condition.wait", WaitReason::Condition, round);
        // It stands in the queue before it lets go of the lock, so that no notification passes it by.
        let answer = turn.enter(py, door)?;
        let held = this.base.release_all(py)?;
        if answer.is_some() {
            return Ok(self.take_lock_again(py, door, held, true)?.map(|notified| truth(py, notified)));
        }
        self.become_stage(py, Stage::Waits { turn: Arc::new(turn), door: Arc::clone(door), held });
        Ok(None)
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        match self.stage(py) {
            Stage::Idle | Stage::Lost { .. } => Ok(None),
            Stage::Waits { turn, door, held } => {
                if turn.look(py)?.is_none() {
                    return Ok(None);
                }
                Ok(self.take_lock_again(py, &door, held, true)?.map(|notified| truth(py, notified)))
            }
            Stage::Returns { lock, notified, .. } => {
                let answer = lock.look(py)?;
                if answer.is_some() {
                    self.become_stage(py, Stage::Idle);
                }
                Ok(answer.map(|_| truth(py, notified)))
            }
        }
    }

    /// Only for one who lingers: see below.
    fn expire(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(truth(py, false))
    }

    fn expire_or_linger(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        let Stage::Waits { turn, door, held } = self.stage(py) else { return Ok(None) };
        let notified = turn.expire(py)?.is_truthy(py)?;
        Ok(self.take_lock_again(py, &door, held, notified)?.map(|notified| truth(py, notified)))
    }

    fn leave_or_linger(&self, py: Python<'_>) -> bool {
        match self.stage(py) {
            Stage::Idle => false,
            Stage::Waits { .. } => {
                self.abandon(py);
                self.leave_or_linger(py)
            }
            // An error here would be one of asking who runs: the lock cannot be had then.
            Stage::Lost { door, held } => matches!(self.take_lock_again(py, &door, held, false), Ok(None)),
            Stage::Returns { lock, door, held, notified } => {
                self.become_stage(py, Stage::Returns { lock: Arc::clone(&lock), door, held, notified: false });
                if notified {
                    self.hand_on(py);
                }
                !matches!(lock.look(py), Ok(Some(_)))
            }
        }
    }

    fn give_up(&self, py: Python<'_>) {
        self.abandon(py);
        self.become_stage(py, Stage::Idle);
    }

    fn abandon(&self, py: Python<'_>) {
        match self.stage(py) {
            Stage::Idle | Stage::Lost { .. } => {}
            Stage::Waits { turn, door, held } => {
                self.become_stage(py, Stage::Lost { door, held });
                turn.give_up(py);
            }
            Stage::Returns { lock, door, held, notified } => {
                self.become_stage(py, Stage::Lost { door, held });
                lock.give_up(py);
                if notified {
                    self.hand_on(py);
                }
            }
        }
    }

    fn watched<'py>(&self, py: Python<'py>) -> Option<Watched<'py>> {
        let Stage::Returns { lock, .. } = self.stage(py) else { return None };
        Some(Watched { may_leave: false, ..lock.watched(py)? })
    }

    fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.condition)?;
        let visited = self.stage.during_gc(|stage| match stage {
            Stage::Idle | Stage::Lost { .. } => Ok(()),
            Stage::Waits { turn, .. } => turn.visit(visit),
            Stage::Returns { lock, .. } => lock.visit(visit),
        });
        visited.unwrap_or(Ok(()))
    }
}
