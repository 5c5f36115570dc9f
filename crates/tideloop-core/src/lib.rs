//! Tideloop's pure state: what a loop, a transport and an inbox remember, and the rules by which that changes.
//!
//! Nothing here knows Python, makes a system call or reads a clock: time is handed in as nanoseconds of the monotonic
//! clock. So everything can be tested without a kernel, and nothing here can run foreign code by accident. To keep the
//! latter true, **no method drops an item that the caller put in**: dropping one may run Python (DESIGN §4.1), so items
//! that leave a collection are handed back. Only dropping the collection itself drops what is left in it.

#![forbid(unsafe_code)]

pub mod approximate_counter;
pub mod both;
pub mod histogram;
pub mod inbox;
pub mod job_queue;
pub mod monitor;
pub mod parking;
pub mod read_buffer;
pub mod ready;
pub mod registrations;
pub mod separators;
pub mod snapshot_cell;
pub mod timers;
pub mod wait_graph;
pub mod wait_queue;
pub mod water_marks;
pub mod write_buffer;

mod atomics;
