//! `Spawner`: how a loop has children started, and hears of them.

use std::ffi::CString;
use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tideloop_sys::pipe::duplicate_above_standard;
use tideloop_sys::spawn::{self, Command, SignalMask, Stage};

use super::pool::{self, Job, Outcomes};
use crate::error::os_error;

/// What became of a child: its number, and then its process id and a descriptor of it (-1: none could be had), or 0, -1,
/// what it failed at ("start", "directory", "prepare", "program") and the error number.
type Outcome = (u64, i32, RawFd, Option<&'static str>, i32);

/// Starts children of one loop on threads of their own.
#[pyclass(frozen, module = "tideloop._native")]
pub struct Spawner {
    outcomes: Arc<Outcomes>,
    latest: AtomicU64,
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.outcomes.close();
    }
}

#[pymethods]
impl Spawner {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        let outcomes = Outcomes::new().map_err(|error| os_error(py, &error))?;
        Ok(Self { outcomes: Arc::new(outcomes), latest: AtomicU64::new(0) })
    }

    /// Whether `submit` works on this system.
    #[classattr]
    fn supported() -> bool {
        spawn::SUPPORTED
    }

    /// A descriptor that is readable when `take` has something.
    fn fileno(&self) -> RawFd {
        self.outcomes.fd()
    }

    /// Start a program, soon; the number that its outcome will have.
    ///
    /// `programs` are paths of which the first that exists is taken, `environment` is a list of b"NAME=value" or None
    /// for the process's own, `standard` are three descriptors or -1. Every descriptor is duplicated here and now.
    /// Raises ValueError for a zero in a string, OSError for a descriptor that is not open.
    #[pyo3(signature = (programs, arguments, environment, directory, standard, keep, flags, umask, process_group))]
    #[expect(clippy::too_many_arguments, reason = "called in one place, where all of them are at hand")]
    fn submit(
        &self,
        py: Python<'_>,
        programs: Vec<Vec<u8>>,
        arguments: Vec<Vec<u8>>,
        environment: Option<Vec<Vec<u8>>>,
        directory: Option<Vec<u8>>,
        standard: [RawFd; 3],
        keep: Vec<RawFd>,
        flags: (bool, bool, bool),
        umask: i64,
        process_group: i32,
    ) -> PyResult<u64> {
        let (close_others, restore_signals, new_session) = flags;
        let copy = |fd: RawFd| duplicate_above_standard(fd).map_err(|error| os_error(py, &error));
        let optional = |fd: RawFd| (fd >= 0).then(|| copy(fd)).transpose();
        let change_directory = directory.map(string).transpose()?;
        let from_here = change_directory.as_ref().is_none_or(|path| !path.as_bytes().starts_with(b"/"));
        let command = Command {
            programs: strings(programs)?,
            arguments: strings(arguments)?,
            environment: strings(environment.unwrap_or_else(own_environment))?,
            standard: [optional(standard[0])?, optional(standard[1])?, optional(standard[2])?],
            keep: keep.into_iter().map(|fd| Ok((copy(fd)?, fd))).collect::<PyResult<Vec<(OwnedFd, RawFd)>>>()?,
            close_others,
            // By the time that the child starts, the parent may be elsewhere.
            directory: if from_here { spawn::current_directory().ok() } else { None },
            change_directory,
            umask: u32::try_from(umask).ok(),
            restore_signals,
            new_session,
            process_group: (process_group >= 0).then_some(process_group),
            signal_mask: SignalMask::of_this_thread().map_err(|error| os_error(py, &error))?,
            lists_descriptors: false,
        };
        let number = self.latest.fetch_add(1, Ordering::Relaxed) + 1;
        let job = Job::Spawn(number, Box::new(command), Arc::clone(&self.outcomes));
        pool::submit(py, job).map_err(|error| os_error(py, &error))?;
        Ok(number)
    }

    /// Call `function()` on one of the threads that start children, attached to the interpreter.
    #[staticmethod]
    fn call(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
        pool::submit(py, Job::Call(function)).map_err(|error| os_error(py, &error))
    }

    /// What has become of children since the last time. The descriptors are the caller's to close.
    fn take(&self) -> Vec<Outcome> {
        let outcome = |(number, outcome)| match outcome {
            Ok(spawn::Child { pid, pidfd }) => (number, pid, pidfd.map_or(-1, IntoRawFd::into_raw_fd), None, 0),
            Err(spawn::Failure { stage, error }) => {
                (number, 0, -1, Some(name(stage)), error.raw_os_error().unwrap_or_default())
            }
        };
        self.outcomes.fetch().into_iter().map(outcome).collect()
    }

    /// End the children that nobody has heard of, also those that are still to start.
    fn close(&self) {
        self.outcomes.close();
    }
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Start => "start",
        Stage::Directory => "directory",
        Stage::Prepare => "prepare",
        Stage::Program => "program",
    }
}

fn strings(list: Vec<Vec<u8>>) -> PyResult<Vec<CString>> {
    list.into_iter().map(string).collect()
}

fn string(bytes: Vec<u8>) -> PyResult<CString> {
    CString::new(bytes).map_err(|_| PyValueError::new_err("embedded null byte"))
}

/// What the process has now; it may have something else when the child starts.
fn own_environment() -> Vec<Vec<u8>> {
    std::env::vars_os()
        .map(|(name, value)| {
            let mut both = name.into_vec();
            both.push(b'=');
            both.extend(value.into_vec());
            both
        })
        .collect()
}
