//! What a class that derives from a queue of ours overrides.
//!
//! asyncio's queues are meant to be derived from: `put` calls `self.full()` and `self.put_nowait()`, that calls
//! `self._put()`, and asyncio's own `LifoQueue` and `PriorityQueue` override `_init`, `_put` and `_get`. An instance
//! knows which of these its class leaves alone, and does those itself; the others it calls.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

use crate::cell::Cell;

/// Where `_init` leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InitHook {
    /// To an empty deque.
    Deque,
    /// To an empty list.
    List,
    Python,
}

/// Where `_put` leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PutHook {
    Append,
    HeapPush,
    Python,
}

/// Where `_get` leads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum GetHook {
    PopFirst,
    PopLast,
    HeapPop,
    Python,
}

/// What the class of a queue overrides.
#[derive(Clone, Copy)]
pub(super) struct Hooks {
    pub init: InitHook,
    pub put: PutHook,
    pub get: GetHook,
    /// One bit for each of [`PLAIN`].
    overridden: u16,
}

/// The methods and attributes of which only one kind is ours.
const PLAIN: [&str; 8] = ["qsize", "empty", "full", "put_nowait", "get_nowait", "_wakeup_next", "_get_loop", "_queue"];
pub(super) const QSIZE: u16 = 1 << 0;
pub(super) const EMPTY: u16 = 1 << 1;
pub(super) const FULL: u16 = 1 << 2;
pub(super) const PUT_NOWAIT: u16 = 1 << 3;
pub(super) const GET_NOWAIT: u16 = 1 << 4;
pub(super) const WAKEUP_NEXT: u16 = 1 << 5;
pub(super) const GET_LOOP: u16 = 1 << 6;
pub(super) const STORAGE: u16 = 1 << 7;

/// What the three classes of ours have under each name.
struct Ours {
    plain: [Py<PyAny>; PLAIN.len()],
    /// Of `Queue`, `LifoQueue` and `PriorityQueue`.
    init: [Py<PyAny>; 3],
    put: [Py<PyAny>; 3],
    get: [Py<PyAny>; 3],
}

static OURS: PyOnceLock<Ours> = PyOnceLock::new();

/// Classes whose hooks are remembered.
const CLASSES_KNOWN_MAX: usize = 32;

/// What was found out about classes, by the version of the class, which no other class has nor will have.
static KNOWN: Cell<[(u64, Hooks); CLASSES_KNOWN_MAX]> = Cell::new([(0, Hooks::OURS); CLASSES_KNOWN_MAX]);

/// Notes what our classes have under the names that others may override: `Queue`, `LifoQueue`, `PriorityQueue`.
pub(super) fn register(classes: [&Bound<'_, PyType>; 3]) -> PyResult<()> {
    let [queue, lifo, priority] = classes;
    let py = queue.py();
    let find = |class: &Bound<'_, PyType>, name: &str| class.getattr(name).map(Bound::unbind);
    let of_all = |name: &str| Ok::<_, PyErr>([find(queue, name)?, find(lifo, name)?, find(priority, name)?]);
    let mut plain = [const { None }; PLAIN.len()];
    for (place, name) in plain.iter_mut().zip(PLAIN) {
        *place = Some(find(queue, name)?);
    }
    let plain = plain.map(|object| object.unwrap_or_else(|| py.None()));
    let ours = Ours { plain, init: of_all("_init")?, put: of_all("_put")?, get: of_all("_get")? };
    OURS.set(py, ours).map_err(|_| PyRuntimeError::new_err("the queue classes are known already"))
}

impl Hooks {
    /// Of a class that overrides nothing.
    pub const OURS: Self = Self { init: InitHook::Deque, put: PutHook::Append, get: GetHook::PopFirst, overridden: 0 };

    /// What is known about this version of a class.
    #[inline]
    pub fn known(py: Python<'_>, version: u64) -> Option<Self> {
        let (known, hooks) = KNOWN.with(py, |known| known[place(version)]);
        (version != 0 && known == version).then_some(hooks)
    }

    /// Notes what is known about a version of a class.
    pub fn remember(self, py: Python<'_>, version: u64) {
        KNOWN.with(py, |known| known[place(version)] = (version, self));
    }

    /// Looks at a class.
    pub fn of(class: &Bound<'_, PyType>) -> PyResult<Self> {
        let py = class.py();
        let Some(ours) = OURS.get(py) else { return Ok(Self::OURS) };
        let which = |name: &str, three: &[Py<PyAny>; 3]| {
            let found = class.getattr(name)?;
            Ok::<_, PyErr>(three.iter().position(|object| found.is(object)))
        };
        let mut overridden = 0;
        for (bit, (name, object)) in PLAIN.into_iter().zip(&ours.plain).enumerate() {
            if !class.getattr(name)?.is(object) {
                overridden |= 1 << bit;
            }
        }
        let init = match which("_init", &ours.init)? {
            Some(0) => InitHook::Deque,
            Some(_) => InitHook::List,
            None => InitHook::Python,
        };
        let put = match which("_put", &ours.put)? {
            Some(0 | 1) => PutHook::Append,
            Some(_) => PutHook::HeapPush,
            None => PutHook::Python,
        };
        let get = match which("_get", &ours.get)? {
            Some(0) => GetHook::PopFirst,
            Some(1) => GetHook::PopLast,
            Some(_) => GetHook::HeapPop,
            None => GetHook::Python,
        };
        Ok(Self { init, put, get, overridden })
    }

    /// Whether the class leaves alone what the quick way does by itself.
    pub fn are_ours(self) -> bool {
        self.overridden == 0
            && self.init != InitHook::Python
            && self.put == PutHook::Append
            && matches!(self.get, GetHook::PopFirst | GetHook::PopLast)
    }

    /// Whether the item that came last goes first.
    #[inline]
    pub fn takes_last(self) -> bool {
        self.get == GetHook::PopLast
    }

    /// Whether the class overrides this.
    #[inline]
    pub fn overrides(self, what: u16) -> bool {
        self.overridden & what != 0
    }
}

/// Where the hooks of a version are remembered.
#[inline]
const fn place(version: u64) -> usize {
    version as usize % CLASSES_KNOWN_MAX
}
