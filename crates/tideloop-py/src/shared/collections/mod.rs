//! Collections that threads and tasks change together. Each is one of Python's own behind a gate (`gate.rs`), so that
//! compound operations are one step to all other threads, also where `__eq__` is Python and lets others run.
//!
//! The pointer to the inner collection never changes, and nobody else has it. Its memory is the interpreter's to
//! protect, with or without a GIL. What comes from outside, such as an iterable, is read before the gate is entered.
//!
//! | file | what it holds |
//! |---|---|
//! | `guarded.rs` | a collection and its gate |
//! | `set.rs`, `operand.rs` | `ConcurrentSet`; what may stand beside it |
//! | `dict.rs`, `computation.rs` | `ConcurrentDict`; a value that a thread is about to compute |
//! | `list.rs` | `ConcurrentList` |

mod computation;
mod dict;
mod guarded;
mod list;
mod operand;
mod set;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyType;

pub use dict::refuse_coroutine;

/// Adds the classes, and registers them as what they are.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    add(module, &py.get_type::<set::ConcurrentSet>(), "ConcurrentSet", "MutableSet")?;
    add(module, &py.get_type::<dict::ConcurrentDict>(), "ConcurrentDict", "MutableMapping")?;
    add(module, &py.get_type::<list::ConcurrentList>(), "ConcurrentList", "MutableSequence")
}

fn add(module: &Bound<'_, PyModule>, class: &Bound<'_, PyType>, name: &str, kind: &str) -> PyResult<()> {
    let py = module.py();
    py.import(intern!(py, "collections.abc"))?.getattr(kind)?.call_method1(intern!(py, "register"), (class,))?;
    module.add(name, class)
}
