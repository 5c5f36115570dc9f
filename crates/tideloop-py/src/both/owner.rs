//! Who holds a lock that has an owner: the task that runs, or the thread where none does.
//!
//! A thread is known by a number that no other thread ever has; a task is held, so that no other one gets its address
//! while it is the owner.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::{PyTraverseError, PyVisit};

use super::here::{Here, here};
use crate::cell::Slot;

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// A number that nothing else has: of a thread, or of a lock, whose numbers are an order for all of them.
pub fn unique_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

thread_local! {
    static THREAD: u64 = unique_number();
}

/// The number of this thread.
#[inline]
pub fn thread_number() -> u64 {
    THREAD.with(|number| *number)
}

/// Who asks.
pub enum Me<'py> {
    /// A thread in which no task runs, by its number.
    Thread(u64),
    /// A task, of whatever loop.
    Task(Bound<'py, PyAny>),
}

impl<'py> Me<'py> {
    /// Who runs here.
    #[inline]
    pub fn now(py: Python<'py>) -> PyResult<Self> {
        Ok(match here(py)? {
            Here::Thread => Self::Thread(thread_number()),
            Here::Task(task) | Here::Trio(task) => Self::Task(task),
        })
    }
}

/// A place for an owner.
pub struct Owner {
    /// 0: no thread.
    thread: u64,
    task: Slot,
}

impl Owner {
    /// Nobody.
    pub const NONE: Self = Self { thread: 0, task: Slot::EMPTY };

    /// This one.
    pub fn of(me: &Me<'_>) -> Self {
        match me {
            Me::Thread(number) => Self { thread: *number, task: Slot::EMPTY },
            Me::Task(task) => Self { thread: 0, task: Slot::holding(task.clone().unbind()) },
        }
    }

    /// Whether it is this one.
    #[inline]
    pub fn is(&self, me: &Me<'_>) -> bool {
        match me {
            Me::Thread(number) => self.thread == *number,
            Me::Task(task) => self.task.as_ref().is_some_and(|owner| owner.is(task)),
        }
    }

    /// The same one, once more.
    pub fn cloned(&self, py: Python<'_>) -> Self {
        Self { thread: self.thread, task: Slot::maybe(self.task.cloned(py)) }
    }

    /// The task, to be dropped outside of the cell.
    #[must_use = "drop it outside of the cell"]
    pub fn take_task(&mut self) -> Option<Py<PyAny>> {
        self.task.take()
    }

    /// What it is called in a report.
    pub fn describe(&self, py: Python<'_>) -> Option<String> {
        match self.task.cloned(py) {
            Some(task) => Some(task.bind(py).repr().map_or_else(|_| String::from("a task"), |text| text.to_string())),
            None if self.thread == 0 => None,
            None => Some(format!("thread {}", self.thread)),
        }
    }

    /// Shows the task to the collector.
    pub fn visit(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.task.visit(visit)
    }
}
