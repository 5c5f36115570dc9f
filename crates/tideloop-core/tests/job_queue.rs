//! Jobs come out by urgency, then by age; dead ones are counted and swept.

use proptest::prelude::*;
use tideloop_core::job_queue::{JobQueue, USUAL_PRIORITY};

#[test]
fn equals_come_out_in_the_order_in_which_they_came() {
    let mut queue = JobQueue::new();
    for number in 0..5 {
        queue.push(USUAL_PRIORITY, number);
    }
    assert_eq!(queue.drain(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_lower_number_comes_first_on_either_side_of_the_usual() {
    let mut queue = JobQueue::new();
    for (priority, name) in [(5, "late"), (0, "usual"), (-5, "early"), (1, "later than usual"), (i64::MIN, "first")] {
        queue.push(priority, name);
    }
    assert_eq!(queue.drain(), ["first", "early", "usual", "later than usual", "late"]);
    assert!(queue.is_empty());
}

#[test]
fn dead_jobs_are_worth_a_sweep_once_they_are_many_and_the_larger_half() {
    let mut queue = JobQueue::new();
    for number in 0..200 {
        queue.push(number % 3 - 1, number);
    }
    let asked: Vec<_> = (0..101).map(|_| queue.note_dead()).collect();
    assert_eq!(asked.iter().position(|worth| *worth), Some(100));
    let mut removed = queue.sweep(|number| *number >= 100);
    removed.sort_unstable();
    assert_eq!(removed, (100..200).collect::<Vec<_>>());
    assert_eq!((queue.len(), queue.alive()), (100, 100));
}

#[test]
fn a_dead_job_that_is_popped_counts_no_more() {
    let mut queue = JobQueue::new();
    queue.push(0, "dead");
    queue.push(0, "alive");
    assert!(!queue.note_dead());
    assert_eq!(queue.alive(), 1);
    assert_eq!(queue.pop(), Some("dead"));
    queue.note_dead_popped();
    assert_eq!((queue.len(), queue.alive()), (1, 1));
}

proptest! {
    #[test]
    fn the_order_is_that_of_a_stable_sort(priorities in proptest::collection::vec(-3_i64..4, 0..50)) {
        let mut queue = JobQueue::new();
        for job in priorities.iter().copied().enumerate() {
            queue.push(job.1, job);
        }
        let mut expected: Vec<_> = priorities.into_iter().enumerate().collect();
        expected.sort_by_key(|job| job.1);
        prop_assert_eq!(queue.iter().count(), expected.len());
        prop_assert_eq!(queue.drain(), expected);
    }
}
