//! What fuzzing looks at of the WebSocket. Compiled for tests and for fuzzing only.

use super::codec::Decoder;

/// How large a message may be here; small, so that larger ones are soon found.
const MESSAGE_BYTES_MAX: usize = 64;

/// What a client sends is understood the same in whatever pieces it arrives; the first byte says how
/// large they are.
pub(crate) fn frames(input: &[u8]) {
    let Some((size, bytes)) = input.split_first() else {
        return;
    };
    let size = usize::from(*size).max(1);
    assert_eq!(decoded(bytes, size), decoded(bytes, bytes.len().max(1)));
}

fn decoded(bytes: &[u8], size: usize) -> Vec<String> {
    let mut decoder = Decoder::new(MESSAGE_BYTES_MAX);
    let mut messages = Vec::new();
    for mut piece in bytes.chunks(size) {
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(message)) => messages.push(format!("{message:?}")),
                Ok(None) => break,
                Err(violation) => {
                    messages.push(format!("{violation:?}"));
                    return messages;
                }
            }
        }
        assert!(piece.is_empty(), "bytes were left");
    }
    messages
}
