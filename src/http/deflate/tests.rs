//! Whatever is sent in whatever order, each batch can be read as soon as it is there.

use super::*;
use flate2::{Decompress, FlushDecompress, read::GzDecoder};
use proptest::prelude::*;
use std::{collections::BTreeMap, io::Read};

fn deflaters(contexts_max: usize) -> Arc<Deflaters> {
    Deflaters::new(&Limits {
        compressors_max: contexts_max,
        ..Limits::default()
    })
}

/// All that can be read once these pieces are there.
fn inflate(decompress: &mut Decompress, pieces: &[Bytes]) -> Vec<u8> {
    let input = pieces.concat();
    let mut out = Vec::with_capacity(64);
    let mut at = 0;
    loop {
        out.reserve(4096);
        let before = decompress.total_in();
        let status = decompress.decompress_vec(&input[at..], &mut out, FlushDecompress::None);
        assert_ne!(status.unwrap(), Status::StreamEnd, "the stream has no end");
        at += (decompress.total_in() - before) as usize;
        if at == input.len() && out.len() < out.capacity() {
            return out;
        }
    }
}

fn row(number: u32, bytes: usize) -> String {
    let noise: String = (0..bytes)
        .map(|at| char::from(b'a' + ((at as u32).wrapping_mul(number) % 17) as u8))
        .collect();
    format!(
        "{{\"type\":\"row\",\"request_id\":\"r\",\"row\":{{\"id\":{number},\"subject\":\"{noise}\"}}}}\n"
    )
}

fn change(number: u32, bytes: usize) -> String {
    row(number, bytes).replace("\"row\",\"request_id\":\"r\"", "\"change\"")
}

#[derive(Debug, Clone)]
enum Did {
    Rows(u32, usize, usize),
    Change(u32, usize),
    Done,
    Cooled,
}

fn did() -> impl Strategy<Value = Did> {
    prop_oneof![
        (any::<u32>(), 0..40_usize, 1..30_usize).prop_map(|(a, b, c)| Did::Rows(a, b, c)),
        (0..50_000_u32, 0..200_000_usize).prop_map(|(a, b)| Did::Change(a, b / (a as usize + 1))),
        Just(Did::Done),
        Just(Did::Cooled),
    ]
}

proptest! {
    #[test]
    fn every_batch_is_whole_as_soon_as_it_is_there(acts in prop::collection::vec(did(), 1..40), contexts in 0..2_usize) {
        let deflaters = deflaters(contexts);
        let mut readers: Vec<_> = (0..2).map(|_| (Deflate::new(deflaters.clone()), Decompress::new(false))).collect();
        for act in acts {
            let lines: Vec<Bytes> = match act {
                Did::Rows(first, bytes, count) => (0..count).map(|at| row(first.wrapping_add(at as u32), bytes).into()).collect(),
                Did::Change(number, bytes) => vec![change(number, bytes).into(), change(number, 0).into()],
                Did::Done => vec!["{\"type\":\"done\"}\n".into()],
                Did::Cooled => {
                    readers.iter_mut().for_each(|(deflate, _)| deflate.context = None);
                    continue;
                }
            };
            for (deflate, decompress) in &mut readers {
                let pieces = deflate.pieces(lines.iter());
                prop_assert_eq!(inflate(decompress, &pieces), lines.concat());
            }
        }
    }
}

#[test]
fn a_notice_is_compressed_once_for_all() {
    let deflaters = deflaters(0);
    let notice = Bytes::from(change(7, 900));
    let mut readers = [(); 3].map(|()| Deflate::new(deflaters.clone()));
    let pieces = readers
        .each_mut()
        .map(|it| it.pieces([&notice].into_iter()));
    assert!(
        pieces
            .iter()
            .all(|it| it[0].as_ptr() == pieces[0][0].as_ptr())
    );
    assert!(pieces[0][0].len() < notice.len() / 2);
    let other = Bytes::from(change(7, 900));
    assert_ne!(
        readers[0].pieces([&other].into_iter())[0].as_ptr(),
        pieces[0][0].as_ptr()
    );
    // What is remembered is bounded.
    for number in 0..100 {
        readers[0].pieces([&Bytes::from(change(number, 60_000))].into_iter());
    }
    let shared = deflaters.shared.lock().unwrap();
    assert!(shared.bytes <= REMEMBERED_BYTES_MAX && shared.pieces.len() <= REMEMBERED_MAX);
}

#[tokio::test(start_paused = true)]
async fn a_context_lives_as_long_as_its_burst() {
    let deflaters = deflaters(1);
    let rows = Bytes::from((0..50).map(|at| row(at, 60)).collect::<String>());
    let mut reader = Deflate::new(deflaters.clone());
    let first = reader.pieces([&rows].into_iter()).concat().len();
    let second = reader.pieces([&rows].into_iter()).concat().len();
    assert!(
        second * 5 < first,
        "the second refers to the first: {second} after {first} bytes"
    );
    // There is no room for another one, which is compressed without a past.
    let mut other = Deflate::new(deflaters.clone());
    assert!(other.pieces([&rows].into_iter()).concat().len() < rows.len() / 2);
    assert!(other.cools_at().is_none());
    reader.cool();
    assert!(reader.cools_at().is_some(), "it was used just now");
    tokio::time::advance(CONTEXT_IDLE_AT_END).await;
    reader.cool();
    assert!(reader.cools_at().is_some(), "the burst may have a pause");
    tokio::time::advance(CONTEXT_IDLE - CONTEXT_IDLE_AT_END).await;
    reader.cool();
    assert!(reader.cools_at().is_none());
    assert_eq!(deflaters.contexts.load(Relaxed), 0);
    other.pieces([&rows].into_iter());
    assert!(other.cools_at().is_some());
    drop(other);
    assert_eq!(deflaters.contexts.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_context_does_not_wait_long_behind_the_end_of_a_request() {
    let deflaters = deflaters(1);
    let rows: String = (0..50).map(|at| row(at, 60)).collect();
    let done = "{\"type\":\"done\",\"rows\":50}";
    // As messages and lines, and as Server-Sent Events.
    for (batch, ends) in [
        (
            vec![rows.clone(), format!("{done}\n"), "\n".to_owned()],
            true,
        ),
        (vec![format!("{rows}id: 51\ndata: {done}\n\n")], true),
        (vec![rows.replace("\"row\"", "\"error\"")], true),
        (vec![format!("{done}\n"), rows.clone()], false),
        (
            vec![rows.replace("subject", "{\\\"type\\\":\\\"done\\\"")],
            false,
        ),
    ] {
        let batch: Vec<Bytes> = batch.into_iter().map(Bytes::from).collect();
        let mut reader = Deflate::new(deflaters.clone());
        reader.pieces(batch.iter());
        tokio::time::advance(CONTEXT_IDLE_AT_END).await;
        reader.cool();
        assert_eq!(reader.cools_at().is_none(), ends, "{batch:?}");
    }
}

#[test]
fn a_compressor_is_used_again_without_its_past() {
    let deflaters = deflaters(40);
    let rows = Bytes::from((0..50).map(|at| row(at, 60)).collect::<String>());
    let mut lengths = Vec::new();
    // Readers that come one after the other need one compressor.
    for _ in 0..5 {
        let mut reader = Deflate::new(deflaters.clone());
        let pieces = reader.pieces([&rows].into_iter());
        assert_eq!(inflate(&mut Decompress::new(false), &pieces), rows);
        lengths.push(pieces.concat().len());
        drop(reader);
        assert_eq!(deflaters.spare().len(), 1);
    }
    assert!(lengths.iter().all(|it| *it == lengths[0]), "{lengths:?}");
    // Those that come at once need more, of which some are kept.
    let mut readers = [(); 50].map(|()| Deflate::new(deflaters.clone()));
    for reader in &mut readers {
        reader.pieces([&rows].into_iter());
    }
    assert_eq!(deflaters.contexts.load(Relaxed), 40);
    assert!(deflaters.spare().is_empty());
    drop(readers);
    assert_eq!(deflaters.contexts.load(Relaxed), 0);
    assert_eq!(deflaters.spare().len(), SPARE_AT_REST);
}

#[test]
fn an_idle_reader_costs_two_pointers() {
    assert!(size_of::<Option<Deflate>>() <= 16);
    assert!(size_of::<Option<Gzip>>() <= 40);
}

#[test]
fn gzip_is_whole() {
    let deflaters = deflaters(1);
    let mut gzip = Gzip {
        deflate: Deflate::new(deflaters),
        crc: flate2::Crc::new(),
        began: false,
    };
    let batches = [
        "{\"type\":\"open\"}\n".to_owned(),
        (0..90).map(|at| row(at, 100)).collect(),
        change(3, 500),
    ];
    let mut out: Vec<Bytes> = batches
        .iter()
        .flat_map(|it| gzip.pieces(&Bytes::from(it.clone())))
        .collect();
    out.push(gzip.end());
    let mut text = String::new();
    GzDecoder::new(&*out.concat())
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, batches.concat());
}

/// The examples that the client's tests unpack too: what is sent so is read so, and what this side
/// makes of the same lines says the same.
#[test]
fn the_examples_are_read_and_written() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire/deflate.json");
    let text = std::fs::read_to_string(path).unwrap();
    let examples: BTreeMap<String, Example> = serde_json::from_str(&text).unwrap();
    assert!(examples.values().any(|it| it.broken) && examples.len() > 4);
    for (name, example) in examples {
        let mut decompress = Decompress::new(false);
        let mut broke = false;
        for (message, lines) in example.messages.iter().zip(&example.lines) {
            let message: Vec<u8> = (0..message.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&message[at..at + 2], 16).unwrap())
                .collect();
            if example.broken && lines.is_empty() {
                let out = &mut Vec::with_capacity(1 << 16);
                let read = decompress.decompress_vec(&message, out, FlushDecompress::None);
                broke = read.is_err();
                break;
            }
            let read = inflate(&mut decompress, &[message.into()]);
            assert_eq!(String::from_utf8(read).unwrap(), said(lines), "{name}");
        }
        assert_eq!(broke, example.broken, "{name}");

        for contexts_max in [0, 1] {
            let mut deflate = Deflate::new(deflaters(contexts_max));
            let mut decompress = Decompress::new(false);
            for (message, lines) in example.messages.iter().zip(&example.lines) {
                let end = Bytes::from_static(b"\n");
                let own: Vec<_> = lines.iter().map(|it| format!("{it}\n").into()).collect();
                let pieces = deflate.pieces(own.iter().chain([&end]));
                if name == "small ones as they are" {
                    let hex = |it: &u8| format!("{it:02x}");
                    let written: String = pieces.concat().iter().map(hex).collect();
                    assert_eq!(written, *message, "{name}");
                }
                let read = inflate(&mut decompress, &pieces);
                assert_eq!(String::from_utf8(read).unwrap(), said(lines), "{name}");
            }
        }
    }
}

/// The messages of one stream, in hexadecimal digits, with the lines of each. One without lines is
/// broken.
#[derive(serde::Deserialize)]
struct Example {
    messages: Vec<String>,
    lines: Vec<Vec<String>>,
    #[serde(default)]
    broken: bool,
}

/// What a message of these lines says, with the empty line that ends it.
fn said(lines: &[String]) -> String {
    lines.iter().map(|it| format!("{it}\n")).collect::<String>() + "\n"
}
