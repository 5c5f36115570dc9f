//! The write buffer against the plain bytes it stands for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::io::IoSlice;

use proptest::prelude::*;
use tideloop_core::write_buffer::WriteBuffer;

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Advance(usize),
    Drain,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Push),
        10 => (0..60usize).prop_map(Step::Advance),
        1 => Just(Step::Drain),
    ];
    prop::collection::vec(step, 0..200)
}

fn unsent(buffer: &WriteBuffer<Vec<u8>>) -> Vec<u8> {
    let mut chunks = Vec::new();
    buffer.chunks(&mut chunks, usize::MAX);
    assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
    chunks.concat()
}

proptest! {
    #[test]
    fn it_behaves_as_one_long_string_of_bytes(steps in steps()) {
        let mut buffer = WriteBuffer::new();
        let mut bytes: Vec<u8> = Vec::new();
        let mut pushed: Vec<Vec<u8>> = Vec::new();
        let mut retired = Vec::new();
        for step in steps {
            match step {
                Step::Push(segment) => {
                    bytes.extend(&segment);
                    pushed.push(segment.clone());
                    buffer.push(segment);
                }
                Step::Advance(n) => {
                    bytes.drain(..n.min(bytes.len()));
                    buffer.advance(n, &mut retired);
                }
                Step::Drain => {
                    bytes.clear();
                    retired.extend(buffer.drain());
                }
            }
            prop_assert_eq!(buffer.len_bytes(), bytes.len());
            prop_assert_eq!(buffer.is_empty(), bytes.is_empty());
            prop_assert_eq!(&unsent(&buffer), &bytes);
            prop_assert_eq!(buffer.first_chunk().is_none(), bytes.is_empty());
            prop_assert_eq!(buffer.segment_count(), pushed.len() - retired.len());
        }
        // Every segment comes back, once and in order: none was dropped inside.
        retired.extend(buffer.drain());
        prop_assert_eq!(retired, pushed);
    }

    #[test]
    fn slices_for_the_kernel_are_the_first_chunks(
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 0..12),
        sent in 0..20usize,
        max in 0..8usize,
    ) {
        let mut buffer = WriteBuffer::new();
        segments.into_iter().for_each(|segment| buffer.push(segment));
        buffer.advance(sent, &mut Vec::new());
        let mut chunks = Vec::new();
        buffer.chunks(&mut chunks, max);
        prop_assert!(chunks.len() <= max);
        let mut slices = vec![IoSlice::new(&[]); max];
        let filled = buffer.io_slices(&mut slices);
        prop_assert!(slices[..filled].iter().map(|slice| &**slice).eq(chunks));
    }
}

#[test]
fn a_segment_is_retired_only_when_its_last_byte_is_sent() {
    let mut buffer = WriteBuffer::new();
    let mut retired = Vec::new();
    buffer.push("hello");
    buffer.push("world");
    buffer.advance(4, &mut retired);
    assert!(retired.is_empty());
    assert_eq!(buffer.first_chunk(), Some(&b"o"[..]));
    buffer.advance(3, &mut retired);
    assert_eq!(retired, ["hello"]);
    assert_eq!(buffer.first_chunk(), Some(&b"rld"[..]));
    buffer.advance(3, &mut retired);
    assert_eq!(retired, ["hello", "world"]);
    assert!(buffer.is_empty());
}

#[test]
fn an_emptied_buffer_owns_next_to_nothing() {
    let mut buffer = WriteBuffer::new();
    for _ in 0..10_000 {
        buffer.push("x");
    }
    buffer.advance(10_000, &mut Vec::new());
    assert!(buffer.capacity() <= 4, "room for {}", buffer.capacity());
}
