//! A choice: one request of several, at different gates, is granted.
//!
//! Whoever has to wait does so in one seat, which stands at all the gates. The first that answers it fills it; at the
//! others it is gone from then on, and is taken out when its owner looks. Gates are entered one after the other, and
//! one that can answer at once does so by the same rule: only into an open seat.

use super::gate::{After, Gate, Joined, Rules, Standing};
use super::seat::{GivenUp, Seat};
use crate::atomics::{Arc, AtomicU64, Ordering};

/// A gate, and what is asked of it.
pub type Case<R, D> = (Arc<Gate<R, D>>, <R as Rules>::Request);

/// What is left to do at a gate; it is told for each gate by itself.
pub type Tell<'a, R, D> = dyn FnMut(&Arc<Gate<R, D>>, After<R, D>) + 'a;

/// The answer, and the cases that were not needed.
pub type Granted<R, D> = (<R as Rules>::Answer, Vec<Case<R, D>>);

/// One who waits for the first of several requests.
pub struct Choice<R: Rules, D> {
    seat: Arc<Seat<R::Answer, D>>,
    places: Vec<(Arc<Gate<R, D>>, Standing)>,
}

/// Grants the first case that needs no waiting, in the order in which they stand.
///
/// # Errors
/// All cases, if none can be granted.
pub fn try_now<R: Rules, D>(
    cases: Vec<Case<R, D>>,
    tell: &mut Tell<'_, R, D>,
) -> Result<Granted<R, D>, Vec<Case<R, D>>> {
    let mut refused = Vec::with_capacity(cases.len());
    let mut cases = cases.into_iter();
    while let Some((gate, request)) = cases.next() {
        let (outcome, after) = gate.try_now(request);
        tell(&gate, after);
        match outcome {
            Ok(answer) => {
                refused.extend(cases);
                return Ok((answer, refused));
            }
            Err(request) => refused.push((gate, request)),
        }
    }
    Err(refused)
}

impl<R: Rules, D> Choice<R, D> {
    /// Waits for the first of the cases, or is answered on the way: one has to look first. Comes back: the cases that
    /// were not needed.
    pub fn enter(cases: Vec<Case<R, D>>, door: D, tell: &mut Tell<'_, R, D>) -> (Self, Vec<Case<R, D>>) {
        let mut choice = Self { seat: Arc::new(Seat::new(door)), places: Vec::with_capacity(cases.len()) };
        let mut left = Vec::new();
        let mut cases = cases.into_iter();
        for (gate, request) in cases.by_ref() {
            let (joined, after) = gate.join(request, &choice.seat);
            tell(&gate, after);
            match joined {
                Joined::Waits(standing) => choice.places.push((gate, standing)),
                Joined::Answered => break,
                Joined::Before(request) => {
                    left.push((gate, request));
                    break;
                }
            }
        }
        left.extend(cases);
        (choice, left)
    }

    /// The answer, if it is there; then all other requests come back.
    pub fn look(&mut self, tell: &mut Tell<'_, R, D>) -> Option<(R::Answer, Vec<R::Request>)> {
        let answer = self.seat.take()?;
        Some((answer, self.leave(tell)))
    }

    /// Gives up: the answer, if it came first, and all requests that were not granted.
    pub fn give_up(&mut self, tell: &mut Tell<'_, R, D>) -> (Option<R::Answer>, Vec<R::Request>) {
        let answer = match self.seat.give_up() {
            GivenUp::Answered(answer) => Some(answer),
            GivenUp::InTime | GivenUp::Before => None,
        };
        (answer, self.leave(tell))
    }

    fn leave(&mut self, tell: &mut Tell<'_, R, D>) -> Vec<R::Request> {
        let mut requests = Vec::new();
        for (gate, standing) in self.places.drain(..) {
            let (request, after) = gate.withdraw(standing);
            requests.extend(request);
            tell(&gate, after);
        }
        requests
    }
}

/// Mixes the order of cases, so that each that is ready has the same chance.
#[derive(Debug)]
pub struct Shuffler {
    state: AtomicU64,
}

/// The step of Weyl's sequence in splitmix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Shuffler {
    /// The same numbers for the same seed.
    #[must_use]
    #[cfg(not(loom))]
    pub const fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The same numbers for the same seed.
    #[must_use]
    #[cfg(loom)]
    pub fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// Brings `items` into any order, each with the same chance.
    pub fn shuffle<T>(&self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            // Lemire's: a number below a bound without a division; the bias of 2^-32 times the bound is no matter here.
            let chosen = ((self.next() >> 32) * (last as u64 + 1)) >> 32;
            items.swap(last, chosen as usize);
        }
    }

    /// splitmix64, by Vigna.
    fn next(&self) -> u64 {
        let mut mixed = self.state.fetch_add(GOLDEN, Ordering::Relaxed).wrapping_add(GOLDEN);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}
