//! A counter that many threads add to without meeting: the sloppy counter of the literature (Boyd-Wickizer and others,
//! OSDI 2010).
//!
//! Each thread adds to a *shard*, and what has gathered there is carried to the total when it reaches the threshold. So
//! the total lags behind the truth, but by less than the threshold for each shard:
//!
//! ```text
//!   |truth - total| <= shards that are in use * (threshold - 1)
//! ```
//!
//! A shard is a plain atomic below the threshold. It is emptied only under the lock of the total, together with the
//! total's change: so whoever holds that lock finds every addition that has returned either in a shard or in the total,
//! and what it sums up is exact. Nothing belongs to a thread, so one that ends takes nothing with it.

use crate::atomics::{AtomicI64, Mutex, Ordering, lock};

/// Shards of different processors must not share a cache line, nor the pair that processors fetch together.
#[repr(align(128))]
#[derive(Debug)]
struct Shard(AtomicI64);

/// A result that does not fit into 64 bits; the counter is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

/// The total and its shards.
#[derive(Debug)]
pub struct ApproximateCounter {
    threshold: i64,
    shards: Box<[Shard]>,
    /// Read by everybody, written under the lock.
    total: AtomicI64,
    carrying: Mutex<()>,
}

impl ApproximateCounter {
    /// A counter at zero. Shards gather less than `threshold`; both numbers are at least one.
    #[must_use]
    pub fn new(threshold: i64, shards: usize) -> Self {
        Self {
            threshold: threshold.max(1),
            shards: (0..shards.max(1)).map(|_| Shard(AtomicI64::new(0))).collect(),
            total: AtomicI64::new(0),
            carrying: Mutex::new(()),
        }
    }

    /// What a shard may gather plus one.
    #[must_use]
    pub fn threshold(&self) -> i64 {
        self.threshold
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Adds `n` on behalf of a thread, whose number chooses the shard.
    ///
    /// # Errors
    /// When the total would not fit.
    pub fn add(&self, thread: usize, n: i64) -> Result<(), Overflow> {
        let shard = &self.shards[thread % self.shards.len()].0;
        let mut gathered = shard.load(Ordering::Relaxed);
        loop {
            let Some(sum) = gathered.checked_add(n).filter(|sum| sum.unsigned_abs() < self.threshold.unsigned_abs())
            else {
                return self.carry(shard, n);
            };
            // Release: who empties the shard sees what this thread did before it counted.
            match shard.compare_exchange_weak(gathered, sum, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(seen) => gathered = seen,
            }
        }
    }

    /// The total without what the shards have gathered.
    #[must_use]
    pub fn approximate(&self) -> i64 {
        self.total.load(Ordering::Acquire)
    }

    /// The total with everything that was added before this call, and perhaps with some of what is added during it.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn exact(&self) -> Result<i64, Overflow> {
        let _carrying = lock(&self.carrying);
        self.shards.iter().try_fold(self.total.load(Ordering::Relaxed), |total, shard| {
            total.checked_add(shard.0.load(Ordering::Acquire)).ok_or(Overflow)
        })
    }

    /// Carries what the shards have gathered to the total, and returns that.
    ///
    /// # Errors
    /// When the total would not fit.
    pub fn flush(&self) -> Result<i64, Overflow> {
        let _carrying = lock(&self.carrying);
        for shard in &self.shards {
            self.empty(&shard.0, 0)?;
        }
        Ok(self.total.load(Ordering::Relaxed))
    }

    #[cold]
    fn carry(&self, shard: &AtomicI64, n: i64) -> Result<(), Overflow> {
        let _carrying = lock(&self.carrying);
        self.empty(shard, n)
    }

    /// Moves a shard's content and `n` to the total; under the lock.
    fn empty(&self, shard: &AtomicI64, n: i64) -> Result<(), Overflow> {
        let gathered = shard.swap(0, Ordering::Acquire);
        let total = self.total.load(Ordering::Relaxed);
        // Both are below the threshold or given by the caller: their sum may overflow where the total would not.
        let Ok(sum) = i64::try_from(i128::from(total) + i128::from(gathered) + i128::from(n)) else {
            // Others may have added meanwhile: back to them. The shard may then hold more than the threshold for a
            // moment, until somebody adds again.
            shard.fetch_add(gathered, Ordering::Release);
            return Err(Overflow);
        };
        self.total.store(sum, Ordering::Release);
        Ok(())
    }
}
