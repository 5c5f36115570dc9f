//! When requests go out, and what has become of them: the state of one slice.

use std::time::Duration;

use crate::histogram::Histogram;

/// When requests go out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Closed loop: on each connection the next round follows the one before it, until this time is over.
    Closed(Duration),
    /// Open loop: for this long so many requests go out in each second, evenly, whether the server keeps up or not.
    /// A latency counts from the time at which the request was to go out: one that had to wait for its connection, or
    /// for the load itself, is not made to look better than a user would find it.
    Open(Duration, f64),
}

/// A slice under way. Times are nanoseconds of the load's own clock.
pub(crate) struct Window {
    begin_ns: u64,
    end_ns: u64,
    schedule: Option<Schedule>,
    pub(crate) replies: u64,
    pub(crate) latency: Histogram,
    pub(crate) last_reply_ns: u64,
}

/// The requests of an open loop.
struct Schedule {
    interval_ns: f64,
    sent: u64,
    total: u64,
}

impl Window {
    pub(crate) fn new(pace: Pace, now_ns: u64) -> Self {
        let (duration, schedule) = match pace {
            Pace::Closed(duration) => (duration, None),
            Pace::Open(duration, rate) => {
                let total = (duration.as_secs_f64() * rate).ceil().max(1.0) as u64;
                (duration, Some(Schedule { interval_ns: 1e9 / rate, sent: 0, total }))
            }
        };
        let end_ns = now_ns + duration.as_nanos() as u64;
        let (replies, latency) = (0, Histogram::default());
        Self { begin_ns: now_ns, end_ns, schedule, replies, latency, last_reply_ns: now_ns }
    }

    /// No more than what is under way already.
    pub(crate) fn over(now_ns: u64) -> Self {
        Self::new(Pace::Closed(Duration::ZERO), now_ns)
    }

    pub(crate) fn is_open_loop(&self) -> bool {
        self.schedule.is_some()
    }

    /// Whether no request will be begun any more.
    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        match &self.schedule {
            None => now_ns >= self.end_ns,
            Some(schedule) => schedule.sent == schedule.total,
        }
    }

    /// The next request of the schedule that is due: its number, and when it was to go out.
    pub(crate) fn next_due(&mut self, now_ns: u64) -> Option<(u64, u64)> {
        let schedule = self.schedule.as_mut()?;
        let due_ns = self.begin_ns + (schedule.sent as f64 * schedule.interval_ns) as u64;
        if schedule.sent == schedule.total || due_ns > now_ns {
            return None;
        }
        schedule.sent += 1;
        Some((schedule.sent - 1, due_ns))
    }

    /// Count a reply to a request that went out, or was to, at `began_ns`.
    pub(crate) fn count(&mut self, began_ns: u64, now_ns: u64) {
        self.replies += 1;
        self.latency.record(now_ns.saturating_sub(began_ns));
        self.last_reply_ns = now_ns;
    }

    /// From the beginning to the last reply, but at least as long as the slice was to be.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last_reply_ns.max(self.end_ns) - self.begin_ns)
    }

    /// How long nothing needs to be done but to receive; at most `most`.
    pub(crate) fn idle_time(&self, now_ns: u64, most: Duration) -> Duration {
        if self.is_over(now_ns) {
            most
        } else if self.is_open_loop() {
            // The kernel's timeouts are too coarse for the schedule, and the load has a processor of its own.
            Duration::ZERO
        } else {
            most.min(Duration::from_nanos(self.end_ns - now_ns))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_even_and_ends() {
        let mut window = Window::new(Pace::Open(Duration::from_millis(10), 500.0), 1000);
        let due: Vec<_> = std::iter::from_fn(|| window.next_due(u64::MAX)).collect();
        assert_eq!(due, [0, 1, 2, 3, 4].map(|number| (number, 1000 + number * 2_000_000)));
        assert!(window.is_over(0));
    }

    #[test]
    fn nothing_is_sent_before_its_time() {
        let mut window = Window::new(Pace::Open(Duration::from_millis(10), 500.0), 0);
        assert_eq!(window.next_due(0), Some((0, 0)));
        assert_eq!(window.next_due(1_999_999), None);
        assert_eq!(window.next_due(2_000_000), Some((1, 2_000_000)));
    }

    #[test]
    fn a_request_of_an_open_loop_counts_from_when_it_was_to_go_out() {
        let mut window = Window::new(Pace::Open(Duration::from_millis(10), 500.0), 0);
        let (_, due_ns) = window.next_due(50).unwrap();
        window.count(due_ns, 90);
        assert_eq!(window.latency.buckets().collect::<Vec<_>>(), [(90, 1)]);
    }
}
