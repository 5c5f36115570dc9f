//! `ConcurrentDict`: a dict whose operations are one step each to all other threads.

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyException, PyKeyError, PyRuntimeError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator, PyList, PyMapping, PyTuple, PyType};
use pyo3::{Borrowed, PyTraverseError, PyVisit};

use super::computation::{Computation, Outcome};
use super::guarded::Guarded;
use crate::names;

/// A dict that threads and tasks change together, with operations that look and change in one step.
///
/// `keys()`, `values()`, `items()` and iterating go over a copy made at their beginning.
#[pyclass(frozen, generic, mapping, weakref, module = "tideloop.sync")]
pub struct ConcurrentDict {
    dict: Guarded<PyDict>,
    /// What is being computed, by its key; used inside the gate of `dict`.
    computing: Py<PyDict>,
}

/// What a key has at the moment.
enum Found<'py> {
    Value(Bound<'py, PyAny>),
    /// Another thread computes it.
    Coming(Bound<'py, Computation>),
    /// Nobody had begun; this thread has now.
    Mine(Bound<'py, Computation>),
}

/// A mapping beside an operator, as a plain dict. Others get NotImplemented, as from `dict`.
struct Operand<'py>(Bound<'py, PyDict>);

impl<'py> FromPyObject<'_, 'py> for Operand<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if object.cast::<PyMapping>().is_err() {
            return Err(PyTypeError::new_err("not a mapping"));
        }
        Ok(Self(as_dict(&object.to_owned())?))
    }
}

/// A plain dict of a mapping or of pairs.
fn as_dict<'py>(other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    if let Ok(other) = other.cast::<ConcurrentDict>() {
        return other.get().plain(other.py());
    }
    Ok(other.py().get_type::<PyDict>().call1((other,))?.cast_into()?)
}

/// As `as_dict`, with what `dict()` takes besides.
fn collected<'py>(
    py: Python<'py>,
    other: Option<&Bound<'py, PyAny>>,
    named: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = match other {
        Some(other) => as_dict(other)?,
        None => PyDict::new(py),
    };
    if let Some(named) = named {
        dict.update(named.as_mapping())?;
    }
    Ok(dict)
}

impl ConcurrentDict {
    fn around(dict: Bound<'_, PyDict>) -> Self {
        let computing = PyDict::new(dict.py()).unbind();
        Self { dict: Guarded::new(dict), computing }
    }

    fn plain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.dict.with(py, |dict| dict.copy())
    }

    fn find<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Found<'py>> {
        let py = key.py();
        self.dict.with(py, |dict| {
            if let Some(value) = dict.get_item(key)? {
                return Ok(Found::Value(value));
            }
            let computing = self.computing.bind(py);
            if let Some(begun) = computing.get_item(key)? {
                let begun = begun.cast_into::<Computation>()?;
                if !begun.get().has_ended() {
                    return Ok(Found::Coming(begun));
                }
            }
            let mine = Bound::new(py, Computation::begin())?;
            computing.set_item(key, &mine)?;
            Ok(Found::Mine(mine))
        })
    }

    /// Computes a value outside of the gate, stores it, and ends the computation, whichever way it went.
    fn compute<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
        computation: &Bound<'py, Computation>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let made = function.call1((key,)).and_then(|made| refuse_coroutine(made, NOT_FOR_ALL));
        let result = self.dict.with_surely(py, |dict| {
            // Where __eq__ raises here, the entry stays, and counts for nothing: the computation has ended.
            let forgotten = self.computing.bind(py).del_item(key);
            made.and_then(|value| forgotten.and_then(|()| stored(dict, key, &value)))
        });
        computation.get().end(match &result {
            Ok(value) => Outcome::Value(value.clone().unbind()),
            Err(error) if error.is_instance_of::<PyException>(py) => Outcome::Error(error.clone_ref(py)),
            Err(_) => Outcome::Abandoned,
        });
        result
    }
}

/// The value that is there, or else `value`, which then is.
fn stored<'py>(
    dict: &Bound<'py, PyDict>,
    key: &Bound<'py, PyAny>,
    value: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    dict.call_method1(intern!(dict.py(), "setdefault"), (key, value))
}

const NOT_FOR_ALL: &str = "the function given to get_or_compute() returned a coroutine, which only one could await; \
                           compute the value before, or store a task";

/// A coroutine can be awaited once, and so is of no use to those who come later: the message of a `TypeError`.
pub fn refuse_coroutine<'py>(value: Bound<'py, PyAny>, message: &'static str) -> PyResult<Bound<'py, PyAny>> {
    if value.is_instance(names::coroutine_class(value.py())?)? {
        value.call_method0(intern!(value.py(), "close"))?;
        return Err(PyTypeError::new_err(message));
    }
    Ok(value)
}

fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err(key.clone().unbind())
}

#[pymethods]
impl ConcurrentDict {
    #[new]
    #[pyo3(signature = (other=None, /, **named))]
    fn __new__<'py>(
        py: Python<'py>,
        other: Option<&Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Self> {
        Ok(Self::around(collected(py, other, named)?))
    }

    /// A ConcurrentDict with these keys, and the value for each.
    #[classmethod]
    #[pyo3(signature = (iterable, value=None, /))]
    fn fromkeys<'py>(
        _class: &Bound<'py, PyType>,
        iterable: &Bound<'py, PyAny>,
        value: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Self> {
        let py = iterable.py();
        let dict = py.get_type::<PyDict>().call_method1(intern!(py, "fromkeys"), (iterable, value))?;
        Ok(Self::around(dict.cast_into()?))
    }

    /// The value of a key, or else the default.
    #[pyo3(signature = (key, default=None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.dict.with(key.py(), |dict| dict.get_item(key))?.or(default))
    }

    /// The value of a key; where there is none, `value` becomes it.
    #[pyo3(signature = (key, value, /))]
    fn get_or_insert<'py>(&self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.dict.with(key.py(), |dict| {
            // Most often it is there.
            if let Some(value) = dict.get_item(key)? {
                return Ok(value);
            }
            stored(dict, key, value)
        })
    }

    /// The value of a key; where there is none, `function(key)` is called once, and its result becomes it.
    ///
    /// Other threads that ask for the key meanwhile wait, and get the same value, or the same exception; then nothing
    /// is stored. The function may use the dict, with other keys. RuntimeError if it would wait for itself.
    #[pyo3(signature = (key, function, /))]
    fn get_or_compute<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        function: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        loop {
            let coming = match self.find(key)? {
                Found::Value(value) => return Ok(value),
                Found::Mine(computation) => return self.compute(key, function, &computation),
                Found::Coming(computation) => computation,
            };
            if coming.get().is_mine() {
                let key = key.repr()?;
                return Err(PyRuntimeError::new_err(format!(
                    "get_or_compute() would wait for itself: this thread is computing the value of {key}"
                )));
            }
            match coming.get().wait(py)? {
                Outcome::Value(value) => return Ok(value.into_bound(py)),
                Outcome::Error(error) => return Err(error),
                Outcome::Abandoned => {}
            }
        }
    }

    /// The value of a key; where there is none, the default becomes it.
    #[pyo3(signature = (key, default=None, /))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let none = key.py().None().into_bound(key.py());
        self.get_or_insert(key, default.unwrap_or(&none))
    }

    /// Make the value of a key `new` if it is, or equals, `old`; whether it did.
    #[pyo3(signature = (key, old, new, /))]
    fn replace<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        old: &Bound<'py, PyAny>,
        new: &Bound<'py, PyAny>,
    ) -> PyResult<bool> {
        let replaced = self.dict.with(key.py(), |dict| {
            let Some(value) = dict.get_item(key)? else { return Ok(None) };
            if !value.is(old) && !value.eq(old)? {
                return Ok(None);
            }
            dict.set_item(key, new)?;
            Ok(Some(value))
        })?;
        Ok(replaced.is_some())
    }

    /// Add what the mapping or the pairs have, in one step.
    #[pyo3(signature = (other=None, /, **named))]
    fn update<'py>(
        &self,
        py: Python<'py>,
        other: Option<&Bound<'py, PyAny>>,
        named: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<()> {
        let new = collected(py, other, named)?;
        let before = self.dict.with(py, |dict| {
            let mut before = Vec::with_capacity(new.len());
            for (key, value) in new.iter() {
                before.push(dict.get_item(&key)?);
                dict.set_item(key, value)?;
            }
            Ok(before)
        })?;
        drop(before);
        Ok(())
    }

    /// Remove a key; its value, or else the default, or else KeyError.
    #[pyo3(signature = (key, *default))]
    fn pop<'py>(&self, key: &Bound<'py, PyAny>, default: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        if default.len() > 1 {
            let given = default.len() + 1;
            return Err(PyTypeError::new_err(format!("pop expected at most 2 arguments, got {given}")));
        }
        let value = self.dict.with(key.py(), |dict| {
            let value = dict.get_item(key)?;
            if value.is_some() {
                dict.del_item(key)?;
            }
            Ok(value)
        })?;
        value.or_else(|| default.get_item(0).ok()).ok_or_else(|| missing(key))
    }

    /// Remove the pair that was added last; KeyError if there is none.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.dict.with(py, |dict| dict.call_method0(intern!(py, "popitem")))
    }

    /// Remove everything.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let before = self.dict.with(py, |dict| {
            let before = dict.copy()?;
            dict.clear();
            Ok(before)
        })?;
        drop(before);
        Ok(())
    }

    /// The keys at this moment.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(py)?.call_method0(intern!(py, "keys"))
    }

    /// The values at this moment.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(py)?.call_method0(intern!(py, "values"))
    }

    /// The pairs at this moment.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(py)?.call_method0(intern!(py, "items"))
    }

    /// A plain dict of what is there at this moment.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        self.plain(py)
    }

    /// Another ConcurrentDict with the same keys and values.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self::around(self.plain(py)?))
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.dict.with(key.py(), |dict| dict.get_item(key))?.ok_or_else(|| missing(key))
    }

    fn __setitem__<'py>(&self, key: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>) -> PyResult<()> {
        let before = self.dict.with(key.py(), |dict| {
            // Dropped outside of the gate, by which time the new one is there.
            let before = dict.get_item(key)?;
            dict.set_item(key, value)?;
            Ok(before)
        })?;
        drop(before);
        Ok(())
    }

    fn __delitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<()> {
        self.pop(key, &PyTuple::empty(key.py())).map(drop)
    }

    fn __contains__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<bool> {
        self.dict.with(key.py(), |dict| dict.contains(key))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.dict.with(py, |dict| Ok(dict.len()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.dict.with(py, |dict| Ok(dict.keys()))?.try_iter()
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        let keys: Bound<'py, PyList> = self.dict.with(py, |dict| Ok(dict.keys()))?;
        keys.reverse()?;
        keys.try_iter()
    }

    fn __or__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.bitor(other.0)
    }

    fn __ror__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.bitor(self.plain(py)?)
    }

    fn __ior__<'py>(&self, py: Python<'py>, other: &Bound<'py, PyAny>) -> PyResult<()> {
        self.update(py, Some(other), None)
    }

    fn __richcmp__<'py>(&self, other: Operand<'py>, op: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        match op {
            CompareOp::Eq | CompareOp::Ne => self.plain(py)?.rich_compare(other.0, op),
            _ => Ok(py.NotImplemented().into_bound(py)),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.dict.shown("ConcurrentDict", || {
            let dict = self.plain(py)?;
            Ok(if dict.is_empty() { None } else { Some(dict.into_any()) })
        })
    }

    /// The pairs come after the object itself, which they may contain.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        let items = slf.get().items(py)?.try_iter()?;
        (slf.get_type(), PyTuple::empty(py), py.None(), py.None(), items).into_pyobject(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.dict.traverse(&visit)?;
        visit.call(&self.computing)
    }
}
