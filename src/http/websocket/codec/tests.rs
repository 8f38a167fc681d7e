//! The codec against tungstenite, which plays the client.

use super::*;
use proptest::prelude::*;
use std::io::{Cursor, Read, Write};
use tokio_tungstenite::tungstenite::{
    self, WebSocket,
    protocol::{
        CloseFrame, Role,
        frame::{
            Frame as TheirFrame,
            coding::{Data, OpCode},
        },
    },
};

/// What the client wrote, and what it is to read.
#[derive(Default)]
struct Wire {
    written: Vec<u8>,
    readable: Cursor<Vec<u8>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.readable.read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.written.write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn client(readable: Vec<u8>) -> WebSocket<Wire> {
    let wire = Wire {
        written: Vec::new(),
        readable: Cursor::new(readable),
    };
    WebSocket::from_raw_socket(wire, Role::Client, None)
}

/// The bytes that a client sends for these messages.
fn sent(messages: impl IntoIterator<Item = tungstenite::Message>) -> Vec<u8> {
    let mut client = client(Vec::new());
    for message in messages {
        client.send(message).unwrap();
    }
    std::mem::take(&mut client.get_mut().written)
}

/// Everything that a decoder makes of `bytes` when they arrive in chunks of this size.
fn decoded(bytes: &[u8], chunk: usize, limit: usize) -> Result<Vec<Message>, Violation> {
    let mut decoder = Decoder::new(limit);
    let mut messages = Vec::new();
    for mut chunk in bytes.chunks(chunk) {
        while let Some(message) = decoder.next(&mut chunk)? {
            messages.push(message);
        }
        assert!(chunk.is_empty(), "all bytes are taken");
    }
    Ok(messages)
}

fn fragment(opcode: Data, content: &str, is_final: bool) -> tungstenite::Message {
    let content = content.as_bytes().to_vec();
    tungstenite::Message::Frame(TheirFrame::message(content, OpCode::Data(opcode), is_final))
}

proptest! {
    #[test]
    fn reads_what_a_client_sends(
        texts in prop::collection::vec("\\PC{0,300}", 0..6),
        chunk in 1_usize..400,
    ) {
        let bytes = sent(texts.iter().map(tungstenite::Message::text));
        let expected: Vec<_> = texts.into_iter().map(Message::Text).collect();
        prop_assert_eq!(decoded(&bytes, chunk, 1 << 20).unwrap(), expected);
    }

    #[test]
    fn puts_fragments_together_around_control_frames(
        parts in prop::collection::vec("\\PC{0,40}", 1..6),
        chunk in 1_usize..60,
    ) {
        let last = parts.len() - 1;
        let messages = parts.iter().enumerate().flat_map(|(index, part)| {
            let opcode = if index == 0 { Data::Text } else { Data::Continue };
            [fragment(opcode, part, index == last), tungstenite::Message::Ping("x".into())]
        });
        let found = decoded(&sent(messages), chunk, 1 << 20).unwrap();
        let (pings, texts): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|it| matches!(it, Message::Ping(_)));
        prop_assert_eq!(pings.len(), parts.len());
        prop_assert_eq!(texts, vec![Message::Text(parts.concat())]);
    }

    #[test]
    fn never_fails_otherwise_than_by_a_violation(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        chunk in 1_usize..50,
    ) {
        let _ = decoded(&bytes, chunk, 100);
    }

    #[test]
    fn a_client_reads_what_is_sent(length in prop_oneof![0_usize..300, 65_000_usize..66_000]) {
        let content = "ä".repeat(length / 2) + &"x".repeat(length % 2);
        let mut bytes = text_head(content.len()).as_ref().to_vec();
        bytes.extend_from_slice(content.as_bytes());
        bytes.extend(ping());
        bytes.extend(close(4108, &"too slow ".repeat(40)));
        let mut client = client(bytes);
        prop_assert_eq!(client.read().unwrap(), tungstenite::Message::text(content));
        prop_assert!(client.read().unwrap().is_ping());
        let tungstenite::Message::Close(Some(CloseFrame { code, .. })) = client.read().unwrap()
        else {
            return Err(TestCaseError::fail("no close frame"));
        };
        prop_assert_eq!(u16::from(code), 4108);
    }
}

#[test]
fn a_message_that_is_too_large_or_binary_is_skipped_and_the_next_is_read() {
    let bytes = sent([
        tungstenite::Message::text("x".repeat(101)),
        tungstenite::Message::binary(vec![0xff; 300]),
        fragment(Data::Text, &"x".repeat(60), false),
        fragment(Data::Continue, &"x".repeat(60), true),
        tungstenite::Message::text("x".repeat(100)),
    ]);
    let expected = vec![
        Message::TooLarge,
        Message::Binary,
        Message::TooLarge,
        Message::Text("x".repeat(100)),
    ];
    assert_eq!(decoded(&bytes, 7, 100).unwrap(), expected);
}

#[test]
fn a_close_gives_its_code() {
    let code = |code: u16| {
        let frame = CloseFrame {
            code: code.into(),
            reason: "bye".into(),
        };
        decoded(&sent([tungstenite::Message::Close(Some(frame))]), 1, 100)
    };
    assert_eq!(code(1000).unwrap(), [Message::Close(Some(1000))]);
    assert_eq!(code(4000).unwrap(), [Message::Close(Some(4000))]);
    assert_eq!(code(1005).unwrap_err().code, 1002);
    let bare = decoded(&sent([tungstenite::Message::Close(None)]), 1, 100);
    assert_eq!(bare.unwrap(), [Message::Close(None)]);
}

#[test]
fn breaches_of_the_protocol_fail_the_connection() {
    let masked = |first: u8, content: &[u8]| {
        let mut frame = vec![first, 0x80 | content.len() as u8, 0, 0, 0, 0];
        frame.extend_from_slice(content);
        frame
    };
    let code = |bytes: &[u8]| decoded(bytes, 3, 100).unwrap_err().code;
    assert_eq!(code(&[0x81, 0x01, b'x']), 1002, "unmasked");
    assert_eq!(code(&masked(0xc1, b"x")), 1002, "a reserved bit");
    assert_eq!(code(&masked(0x83, b"x")), 1002, "an unknown opcode");
    assert_eq!(code(&masked(0x80, b"x")), 1002, "nothing to continue");
    assert_eq!(code(&masked(0x09, b"x")), 1002, "a fragmented ping");
    let long_ping = [&[0x89, 0x80 | 126, 0, 126, 0, 0, 0, 0][..], &[0; 126]].concat();
    assert_eq!(code(&long_ping), 1002, "a long ping");
    assert_eq!(code(&masked(0x88, b"x")), 1002, "half a close code");
    assert_eq!(code(&masked(0x81, &[0xff])), 1007, "not UTF-8");
    let unfinished = [masked(0x01, b"x"), masked(0x81, b"y")].concat();
    assert_eq!(code(&unfinished), 1002, "a message inside a message");
}
