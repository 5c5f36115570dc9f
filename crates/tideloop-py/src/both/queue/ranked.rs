//! The items of `PriorityQueue`, which Python has to compare: while nobody holds the queue.
//!
//! A `__lt__` may block, raise, let other threads run and use the very queue. It is called between two looks at the
//! forest, with references of our own to the two; what it says counts if both are still roots at the second look.
//! Numbers, and tuples that begin with different numbers, are compared without Python.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt, PyTuple};
use pyo3::{PyTraverseError, PyVisit};
use tideloop_core::both::forest::{Duel, Forest, Id, Ranked};
use tideloop_core::both::queue::{Buffer, Popped, Queue as Rules};

use super::kind::{Got, Kind, Put, may_put, nothing};
use crate::both::gates::Shared;

/// Trees of one size that one `put` joins at most, each after a comparison by Python; the next one goes on.
const DUELS_PER_PUT_MAX: usize = 64;

/// An item, and what is known of its rank.
pub struct Item {
    object: Py<PyAny>,
    key: Key,
}

/// What is known of a rank.
#[derive(Clone, Copy)]
enum Key {
    /// It is this number.
    Number(Number),
    /// It is a tuple that begins with this number.
    Lead(Number),
    /// Only Python knows.
    Unknown,
}

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    /// Not NaN.
    Float(f64),
}

/// The largest whole number up to which a float holds all of them.
const EXACT_MAX: i64 = 1 << 53;

impl Number {
    /// Whether `other` is less; None if neither is.
    fn is_above(self, other: Self) -> Option<bool> {
        let exact = |int: i64| (int.abs() <= EXACT_MAX).then_some(int as f64);
        let (mine, other) = match (self, other) {
            (Self::Int(mine), Self::Int(other)) => return (mine != other).then_some(other < mine),
            (Self::Float(mine), Self::Float(other)) => (mine, other),
            (Self::Int(mine), Self::Float(other)) => (exact(mine)?, other),
            (Self::Float(mine), Self::Int(other)) => (mine, exact(other)?),
        };
        (mine != other).then_some(other < mine)
    }

    fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        if let Ok(int) = object.cast_exact::<PyInt>() {
            return int.extract().ok().filter(|int| *int != i64::MIN).map(Self::Int);
        }
        let float = object.cast_exact::<PyFloat>().ok()?.value();
        (!float.is_nan()).then_some(Self::Float(float))
    }
}

impl Key {
    fn of(object: &Bound<'_, PyAny>) -> Self {
        if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            let first = tuple.get_item(0).ok();
            return first.and_then(|first| Number::of(&first)).map_or(Self::Unknown, Self::Lead);
        }
        Number::of(object).map_or(Self::Unknown, Self::Number)
    }
}

impl Item {
    /// An item that counts by itself.
    #[inline]
    pub fn new(object: Bound<'_, PyAny>) -> Self {
        Self { key: Key::of(&object), object: object.unbind() }
    }

    /// An item that counts by its priority and the steps that it is behind others: it came later.
    pub fn ageing(object: Bound<'_, PyAny>, steps_behind: f64) -> PyResult<Self> {
        let priority = match object.cast::<PyTuple>() {
            Ok(tuple) => tuple.get_item(0),
            Err(_) => Ok(object.clone()),
        };
        let priority: f64 = priority.and_then(|priority| priority.extract()).map_err(|error| {
            let refused = PyTypeError::new_err("with ageing, an item is a number or a tuple that begins with one");
            refused.set_cause(object.py(), Some(error));
            refused
        })?;
        if priority.is_nan() {
            return Err(PyValueError::new_err("a priority cannot be NaN (not a number)"));
        }
        Ok(Self { key: Key::Number(Number::Float(priority + steps_behind)), object: object.unbind() })
    }
}

impl Ranked for Item {
    fn goes_after(&self, later: &Self) -> Option<bool> {
        match (self.key, later.key) {
            (Key::Number(mine), Key::Number(theirs)) => match mine.is_above(theirs) {
                // Two of one kind that are neither way around are equal.
                None if same_kind(mine, theirs) => Some(false),
                outcome => outcome,
            },
            (Key::Lead(mine), Key::Lead(theirs)) => mine.is_above(theirs),
            _ => None,
        }
    }
}

const fn same_kind(one: Number, other: Number) -> bool {
    matches!((one, other), (Number::Int(_), Number::Int(_)) | (Number::Float(_), Number::Float(_)))
}

/// Two items to compare, with references of our own.
struct Pair {
    earlier: Py<PyAny>,
    later: Py<PyAny>,
}

impl Pair {
    fn of(forest: &Forest<Item>, duel: Duel, py: Python<'_>) -> Option<Self> {
        let (earlier, later) = (forest.get(duel.earlier)?, forest.get(duel.later)?);
        Some(Self { earlier: earlier.object.clone_ref(py), later: later.object.clone_ref(py) })
    }

    /// Whether the later one goes first.
    fn compare(&self, py: Python<'_>) -> PyResult<bool> {
        self.later.bind(py).lt(&self.earlier)
    }
}

/// What is to be done before an item is in.
enum Step {
    /// Nothing: it is, or is refused.
    Done(Put<Forest<Item>>),
    /// Two others have to be compared, to keep the trees balanced.
    Join(Item, Duel, Option<Pair>),
    /// It has to be compared with one that is in: what cannot be compared with the others does not go in.
    Check(Item, Id, Py<PyAny>),
}

/// What has been found out about an item that is not in yet.
#[derive(Clone, Copy, Default)]
struct Known {
    /// Compared with this one: whether it goes first.
    checked: Option<(Id, bool)>,
    joined: Option<(Duel, bool)>,
    duels: usize,
}

/// Puts an item in, as far as that goes without Python.
fn put_step(rules: &mut Rules<Forest<Item>>, py: Python<'_>, item: Item, kept: bool, known: Known) -> Step {
    let may = if kept && !rules.is_shut_down() { Ok(()) } else { may_put(rules, kept) };
    if let Err(reason) = may {
        return Step::Done(Err((reason, item)));
    }
    let forest = &mut rules.buffer;
    if let Some((duel, later_first)) = known.joined {
        forest.conclude(duel, later_first);
    }
    if let Some(duel) = forest.balance()
        && known.duels < DUELS_PER_PUT_MAX
    {
        let pair = Pair::of(forest, duel, py);
        return Step::Join(item, duel, pair);
    }
    match (known.checked, forest.last_root()) {
        (Some((root, item_first)), _) => forest.push_beside(item, root, item_first),
        (None, None) => forest.push(item),
        (None, Some(root)) => {
            let last = forest.get(root);
            let Some(item_first) = last.map_or(Some(false), |last| last.goes_after(&item)) else {
                let last = last.map_or_else(|| py.None(), |last| last.object.clone_ref(py));
                return Step::Check(item, root, last);
            };
            forest.push_beside(item, root, item_first);
        }
    }
    if kept {
        rules.give_place_back();
    }
    rules.count_one();
    Step::Done(Ok(()))
}

/// A place that was kept for an item, until that is in, or is not to go in.
struct Place<'a, 'py>(Option<&'a Shared<Rules<Forest<Item>>>>, Python<'py>);

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        if let Some(gate) = self.0 {
            gate.change(self.1, |rules, _| rules.give_place_back());
        }
    }
}

impl Kind for Forest<Item> {
    fn object(item: Item) -> Py<PyAny> {
        item.object
    }

    fn visit_item(item: &Item, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&item.object)
    }

    fn visit_items(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.iter().try_for_each(|item| visit.call(&item.object))
    }

    fn drain_items(&mut self) -> Vec<Item> {
        self.drain()
    }

    fn try_put(gate: &Shared<Rules<Self>>, py: Python<'_>, item: Item, kept: bool) -> PyResult<Put<Self>> {
        let mut place = Place(kept.then_some(gate), py);
        let mut known = Known::default();
        let mut step = gate.change(py, |rules, _| put_step(rules, py, item, kept, known));
        loop {
            let item = match step {
                Step::Done(outcome) => {
                    place.0 = None;
                    return Ok(outcome);
                }
                Step::Join(item, duel, pair) => {
                    known.duels += 1;
                    let later_first = pair.map_or(Ok(false), |pair| pair.compare(py))?;
                    known.joined = Some((duel, later_first));
                    item
                }
                Step::Check(item, root, other) => {
                    known.checked = Some((root, item.object.bind(py).lt(&other)?));
                    item
                }
            };
            step = gate.change(py, |rules, _| put_step(rules, py, item, kept, known));
            known.joined = None;
        }
    }

    fn try_get(gate: &Shared<Rules<Self>>, py: Python<'_>) -> PyResult<Got> {
        let mut known: Option<(Duel, bool)> = None;
        loop {
            let step = gate.change(py, |rules, _| {
                if let Some((duel, later_first)) = known {
                    rules.buffer.conclude_and_turn(duel, later_first);
                }
                match rules.buffer.unite() {
                    Some(duel) => Err((duel, Pair::of(&rules.buffer, duel, py))),
                    None => match rules.buffer.pop() {
                        Popped::Item(item) => Ok(Got::Item(item.object)),
                        Popped::Undecided | Popped::Empty => Ok(nothing(rules)),
                    },
                }
            });
            match step {
                Ok(got) => return Ok(got),
                Err((duel, pair)) => {
                    let later_first = pair.map_or(Ok(false), |pair| pair.compare(py))?;
                    known = Some((duel, later_first));
                }
            }
        }
    }
}
