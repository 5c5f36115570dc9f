//! Child processes: starting them, off the loop's thread. Everything else about them is Python (`_subprocess.py`).
//!
//! | file | what it holds |
//! |---|---|
//! | `pool.rs` | the threads that start children, shared by all loops of the process |
//! | `spawner.rs` | the class `Spawner`: a loop's door to them |

mod pool;
mod spawner;

use pyo3::prelude::*;

/// Adds the class.
pub fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<spawner::Spawner>()
}
