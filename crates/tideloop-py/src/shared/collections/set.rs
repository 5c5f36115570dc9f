//! `ConcurrentSet`: a set whose operations are one step each to all other threads.

use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyFrozenSet, PyIterator, PyList, PySet, PyTuple};
use pyo3::{PyTraverseError, PyVisit};

use super::guarded::Guarded;
use super::operand::{Operand, as_set};

/// A set that threads and tasks change together. `add` and `discard` say whether they changed it.
///
/// Iterating goes over a copy made at its beginning; `|`, `&`, `-` and `^` make plain sets.
#[pyclass(frozen, generic, weakref, module = "tideloop.sync")]
pub struct ConcurrentSet(pub(super) Guarded<PySet>);

impl ConcurrentSet {
    /// A plain copy.
    pub(super) fn plain<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        Ok(self.0.with(py, |set| set.call_method0(intern!(py, "copy")))?.cast_into()?)
    }

    /// Changes the set in place by a method of set's, once the arguments have been read.
    fn change(&self, method: &str, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        let py = others.py();
        let others = others.iter().map(|other| as_set(&other)).collect::<PyResult<Vec<_>>>()?;
        let others = PyTuple::new(py, others)?;
        self.0.with(py, |set| set.call_method1(method, &others))?;
        Ok(())
    }

    fn make<'py>(&self, py: Python<'py>, method: &str, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(py)?.call_method1(method, others)
    }

    fn change_by(&self, method: &str, other: Operand<'_>) -> PyResult<()> {
        let py = other.0.py();
        self.change(method, &PyTuple::new(py, [other.0])?)
    }

    fn elements<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        Ok(self.0.with(py, |set| py.get_type::<PyList>().call1((set,)))?.cast_into()?)
    }
}

/// Looks for an element; for a set, as in `set`, for the frozenset that is equal to it.
fn look_for(element: &Bound<'_, PyAny>, look: impl Fn(&Bound<'_, PyAny>) -> PyResult<bool>) -> PyResult<bool> {
    let py = element.py();
    match look(element) {
        Err(error) if element.is_instance_of::<PySet>() && error.is_instance_of::<PyTypeError>(py) => {
            look(&py.get_type::<PyFrozenSet>().call1((element,))?)
        }
        answer => answer,
    }
}

#[pymethods]
impl ConcurrentSet {
    #[new]
    #[pyo3(signature = (iterable=None, /))]
    fn __new__(py: Python<'_>, iterable: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        let set = match iterable {
            Some(iterable) => as_set(iterable)?,
            None => PySet::empty(py)?,
        };
        Ok(Self(Guarded::new(set)))
    }

    /// Add an element; whether it was new.
    fn add(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        self.0.with(py, |set| {
            // Not by its length: __eq__ may have changed the set from inside meanwhile.
            if set.contains(element)? {
                return Ok(false);
            }
            set.add(element)?;
            Ok(true)
        })
    }

    /// Remove an element; whether it was there.
    fn discard(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        look_for(element, |element| self.0.with(py, |set| set.discard(element)))
    }

    /// Remove an element; KeyError if it is not there.
    fn remove(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<()> {
        if self.discard(py, element)? { Ok(()) } else { Err(PyKeyError::new_err(element.clone().unbind())) }
    }

    /// Remove any element and return it; KeyError if there is none.
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.0.with(py, |set| set.pop().ok_or_else(|| PyKeyError::new_err("pop from an empty set")))
    }

    /// Remove all elements.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let elements = self.0.with(py, |set| {
            let elements = set.call_method0(intern!(py, "copy"))?;
            set.clear();
            Ok(elements)
        })?;
        drop(elements);
        Ok(())
    }

    /// A plain set of the elements at this moment.
    fn snapshot<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PySet>> {
        self.plain(py)
    }

    /// Another ConcurrentSet with the same elements.
    fn copy(&self, py: Python<'_>) -> PyResult<Self> {
        Ok(Self(Guarded::new(self.plain(py)?)))
    }

    /// Add all elements of the iterables, in one step.
    #[pyo3(signature = (*others))]
    fn update(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.change("update", others)
    }

    /// Keep only what is in all of the iterables, in one step.
    #[pyo3(signature = (*others))]
    fn intersection_update(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.change("intersection_update", others)
    }

    /// Remove what is in any of the iterables, in one step.
    #[pyo3(signature = (*others))]
    fn difference_update(&self, others: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.change("difference_update", others)
    }

    /// Keep what is in either, and not in both, in one step.
    fn symmetric_difference_update<'py>(&self, py: Python<'py>, other: Bound<'py, PyAny>) -> PyResult<()> {
        self.change("symmetric_difference_update", &PyTuple::new(py, [other])?)
    }

    /// A plain set of what is here or in any of the iterables.
    #[pyo3(signature = (*others))]
    fn union<'py>(&self, py: Python<'py>, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.make(py, "union", others)
    }

    /// A plain set of what is here and in all of the iterables.
    #[pyo3(signature = (*others))]
    fn intersection<'py>(&self, py: Python<'py>, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.make(py, "intersection", others)
    }

    /// A plain set of what is here and in none of the iterables.
    #[pyo3(signature = (*others))]
    fn difference<'py>(&self, py: Python<'py>, others: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        self.make(py, "difference", others)
    }

    /// A plain set of what is in either, and not in both.
    fn symmetric_difference<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.py())?.call_method1("symmetric_difference", (other,))
    }

    /// Whether no element is in the iterable.
    fn isdisjoint<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.py())?.call_method1("isdisjoint", (other,))
    }

    /// Whether every element is in the iterable.
    fn issubset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.py())?.call_method1("issubset", (other,))
    }

    /// Whether everything in the iterable is an element.
    fn issuperset<'py>(&self, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.py())?.call_method1("issuperset", (other,))
    }

    fn __or__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.bitor(other.0)
    }

    fn __ror__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.bitor(self.plain(py)?)
    }

    fn __and__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.bitand(other.0)
    }

    fn __rand__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.bitand(self.plain(py)?)
    }

    fn __sub__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.sub(other.0)
    }

    fn __rsub__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.sub(self.plain(py)?)
    }

    fn __xor__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.bitxor(other.0)
    }

    fn __rxor__<'py>(&self, other: Operand<'py>) -> PyResult<Bound<'py, PyAny>> {
        let py = other.0.py();
        other.0.bitxor(self.plain(py)?)
    }

    fn __ior__(&self, other: Operand<'_>) -> PyResult<()> {
        self.change_by("update", other)
    }

    fn __iand__(&self, other: Operand<'_>) -> PyResult<()> {
        self.change_by("intersection_update", other)
    }

    fn __isub__(&self, other: Operand<'_>) -> PyResult<()> {
        self.change_by("difference_update", other)
    }

    fn __ixor__(&self, other: Operand<'_>) -> PyResult<()> {
        self.change_by("symmetric_difference_update", other)
    }

    fn __richcmp__<'py>(&self, other: Operand<'py>, op: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        self.plain(other.0.py())?.rich_compare(other.0, op)
    }

    fn __contains__(&self, py: Python<'_>, element: &Bound<'_, PyAny>) -> PyResult<bool> {
        look_for(element, |element| self.0.with(py, |set| set.contains(element)))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |set| Ok(set.len()))
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.elements(py)?.try_iter()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.shown("ConcurrentSet", || {
            let set = self.plain(py)?;
            Ok(if set.is_empty() { None } else { Some(set.into_any()) })
        })
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyList>,))> {
        Ok((slf.get_type().into_any(), (slf.get().elements(slf.py())?,)))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.0.traverse(&visit)
    }
}
