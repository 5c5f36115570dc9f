//! Separators against the plain definition: of all places where one ends, the first; there, the shortest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use proptest::prelude::*;
use tideloop_core::separators::{Found, Separators};

fn letters(lengths: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"aaaab\n".to_vec()), lengths)
}

fn first_end(separators: &[Vec<u8>], bytes: &[u8], from: usize) -> Option<Found> {
    (from..=bytes.len()).find_map(|end| {
        let here = separators.iter().filter(|one| bytes[from..end].ends_with(one));
        here.map(Vec::len).min().map(|len| Found { start: end - len, end })
    })
}

proptest! {
    #[test]
    fn the_first_end_is_found(
        separators in prop::collection::vec(letters(1..7), 1..4), bytes in letters(0..2000), from in 0..10usize,
    ) {
        let slices: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
        let found = Separators::several(&slices).unwrap().find(&bytes, from);
        let expected = if from > bytes.len() { None } else { first_end(&separators, &bytes, from) };
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_rare_separator_is_found_beside_a_common_one(at in 0..5000usize, common_at in 0..5000usize) {
        let mut bytes = vec![b'.'; 5100];
        bytes[at..at + 6].copy_from_slice(b"SEPAR!");
        bytes[common_at] = b'!';
        let separators = [b"SEPAR!".to_vec(), b"AR!".to_vec()];
        let slices: Vec<&[u8]> = separators.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(
            Separators::several(&slices).unwrap().find(&bytes, 0), first_end(&separators, &bytes, 0)
        );
    }
}

#[test]
fn the_shortest_and_longest_are_known() {
    let separators = Separators::several(&[b"four", b"a", b"two"]).unwrap();
    assert_eq!((separators.len_min(), separators.len_max()), (1, 4));
    assert_eq!((Separators::NEWLINE.len_min(), Separators::NEWLINE.len_max()), (1, 1));
}

#[test]
fn an_empty_separator_is_none() {
    assert!(Separators::one(b"").is_none());
    assert!(Separators::several(&[]).is_none());
    assert!(Separators::several(&[b"a", b""]).is_none());
}
