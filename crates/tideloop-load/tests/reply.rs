//! Replies, whole and in pieces, right and wrong.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use tideloop_load::{Checked, Progress, Reply, Wrong};

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";

fn exact(bytes: &[u8]) -> Reply {
    Reply::Exact(bytes.into())
}

fn http(body: &[u8]) -> Reply {
    Reply::Http(body.into())
}

/// Hand over bytes in pieces of this size; how many replies they were, and whether one is under way.
fn replies(reply: &Reply, bytes: &[u8], piece: usize) -> Result<(usize, bool), Wrong> {
    let (mut progress, mut whole, mut partial) = (Progress::default(), 0, false);
    for mut piece in bytes.chunks(piece) {
        while !piece.is_empty() {
            match reply.check(&mut progress, piece)? {
                Checked::Complete(used) => {
                    (whole, partial) = (whole + 1, false);
                    piece = &piece[used..];
                }
                Checked::Partial => {
                    partial = true;
                    break;
                }
            }
        }
    }
    Ok((whole, partial))
}

#[test]
fn replies_are_found_however_they_are_cut() {
    for reply in [(exact(b"abcabd"), &b"abcabd"[..]), (http(b"hello"), HELLO)] {
        let (reply, bytes) = reply;
        let stream = bytes.repeat(3);
        for piece in 1..=stream.len() {
            assert_eq!(replies(&reply, &stream, piece).unwrap(), (3, false), "in pieces of {piece}");
            let cut = &stream[..stream.len() - 1];
            assert_eq!(replies(&reply, cut, piece).unwrap(), (2, true), "in pieces of {piece}");
        }
    }
}

#[test]
fn a_reply_without_a_body_ends_with_its_head() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".repeat(2);
    for piece in 1..=bytes.len() {
        assert_eq!(replies(&http(b""), &bytes, piece).unwrap(), (2, false));
    }
}

#[test]
fn the_first_byte_that_differs_is_named() {
    let wrong = replies(&exact(b"abcdef"), b"abcdXf", 2).unwrap_err();
    assert_eq!(wrong.to_string(), "byte 4 of 6 differs: b\"Xf\" instead of b\"ef\"");
}

#[test]
fn bytes_of_another_reply_are_wrong() {
    assert!(replies(&exact(b"abc"), b"abcab_", 6).is_err());
}

#[test]
fn http_that_is_not_what_was_asked_for_is_wrong() {
    let wrong = |bytes: &[u8]| replies(&http(b"hello"), bytes, bytes.len()).unwrap_err().to_string();
    let cases: &[(&[u8], &str)] = &[
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 5\r\n\r\nhello", "status line"),
        (b"HTTP/1.1 2000\r\nContent-Length: 5\r\n\r\nhello", "status line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!", "the body has 5 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "0 headers content-length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", "2 headers"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "not framed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellO", "byte 4 of 5 differs"),
    ];
    for (bytes, what) in cases {
        assert!(wrong(bytes).contains(what), "{} lacks {what}", wrong(bytes));
    }
}

#[test]
fn a_head_without_an_end_is_wrong() {
    let endless = b"HTTP/1.1 200 OK\r\n".iter().copied().chain(std::iter::repeat_n(b'x', 100_000)).collect::<Vec<_>>();
    assert!(replies(&http(b"hello"), &endless, 1000).unwrap_err().to_string().contains("no end of the head"));
}
