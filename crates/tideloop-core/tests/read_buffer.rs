//! The read buffer against the plain bytes it stands for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::read_buffer::ReadBuffer;

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Consume(usize),
    PutBack(Vec<u8>),
    Take,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => prop::collection::vec(any::<u8>(), 0..50).prop_map(Step::Push),
        20 => (0..80usize).prop_map(Step::Consume),
        1 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::PutBack),
        1 => Just(Step::Take),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn it_behaves_as_plain_bytes(steps in steps()) {
        let (mut buffer, mut spare, mut bytes) = (ReadBuffer::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Push(data) => {
                    buffer.push(&data, &mut spare);
                    bytes.extend(data);
                }
                Step::Consume(count) => {
                    buffer.consume(count, &mut spare);
                    bytes.drain(..count.min(bytes.len()));
                    prop_assert!(!bytes.is_empty() || buffer.capacity() == 0);
                }
                Step::PutBack(data) => {
                    buffer.put_back(data.clone());
                    bytes.splice(..0, data);
                }
                Step::Take => prop_assert_eq!(buffer.take(), std::mem::take(&mut bytes)),
            }
            prop_assert_eq!(buffer.as_slice(), &bytes);
            prop_assert_eq!(buffer.len(), bytes.len());
            prop_assert_eq!(buffer.is_empty(), bytes.is_empty());
        }
    }
}

#[test]
fn the_memory_of_an_emptied_buffer_serves_the_next_one() {
    let (mut first, mut second, mut spare) = (ReadBuffer::new(), ReadBuffer::new(), Vec::new());
    first.push(&[1; 1000], &mut spare);
    first.consume(1000, &mut spare);
    assert_eq!(first.capacity(), 0);
    assert!(spare.capacity() >= 1000);
    second.push(b"x", &mut spare);
    assert!(second.capacity() >= 1000);
    assert_eq!(spare.capacity(), 0);
    assert_eq!(second.as_slice(), b"x");
}

#[test]
fn a_large_buffer_keeps_no_memory_as_a_spare() {
    let (mut buffer, mut spare) = (ReadBuffer::new(), Vec::new());
    buffer.push(&vec![0; 10_000_000], &mut spare);
    buffer.consume(10_000_000, &mut spare);
    assert_eq!((buffer.capacity(), spare.capacity()), (0, 0));
}

#[test]
fn a_large_buffer_gives_memory_back_when_little_is_left() {
    let (mut buffer, mut spare) = (ReadBuffer::new(), Vec::new());
    buffer.push(&vec![7; 10_000_000], &mut spare);
    buffer.consume(9_999_000, &mut spare);
    assert!(buffer.capacity() < 2000);
    assert_eq!(buffer.as_slice(), [7; 1000]);
}

#[test]
fn a_buffer_that_is_never_empty_does_not_grow() {
    let (mut buffer, mut spare) = (ReadBuffer::new(), Vec::new());
    buffer.push(&[1; 100], &mut spare);
    for _ in 0..10_000 {
        buffer.push(&[2; 100], &mut spare);
        buffer.consume(100, &mut spare);
    }
    assert!(buffer.capacity() <= 1000, "{}", buffer.capacity());
}
