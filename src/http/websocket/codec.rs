//! WebSocket frames (RFC 6455 section 5), the server's side of them: bytes in, messages out, and the
//! heads of the frames that we send.
//!
//! A state machine without I/O. It is our own because no library at hand skips a message that is too
//! large and goes on, or leaves an idle connection without a buffer; the library that the tests use
//! as a client is what it is checked against. Knows nothing of events and commands.

/// What the peer said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A text message, all fragments put together.
    Text(String),
    /// A binary message, whose content was dropped.
    Binary,
    /// A message over the limit, whose content was dropped.
    TooLarge,
    /// A ping, to be answered by a pong with the same content.
    Ping(Vec<u8>),
    /// The answer to a ping of ours, or an unasked one.
    Pong,
    /// The peer closes; the code it gave, to be repeated to it.
    Close(Option<u16>),
}

/// A breach of the protocol: the connection fails with this close code (RFC 6455 section 7.4.1).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: u16,
    pub(super) reason: &'static str,
}

const PROTOCOL_ERROR: u16 = 1002;
const NOT_UTF8: u16 = 1007;

/// Longest head of a frame from a client: 2 bytes, 8 of length, 4 of mask. Ours have no mask.
pub(super) const HEAD_BYTES_MAX: usize = 14;
/// Longest content of a control frame (RFC 6455 section 5.5).
const CONTROL_BYTES_MAX: u64 = 125;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Puts messages together from the bytes that arrive. Holds no memory between messages.
#[derive(Debug)]
pub(super) struct Decoder {
    message_bytes_max: usize,
    head: [u8; HEAD_BYTES_MAX],
    head_bytes: u8,
    frame: Option<Frame>,
    /// The message under construction: control frames may come between its fragments.
    message: Option<Partial>,
    control: Vec<u8>,
}

/// A frame whose head was read.
#[derive(Debug)]
struct Frame {
    opcode: u8,
    is_final: bool,
    mask: [u8; 4],
    /// Bytes of content read so far, of `length`.
    at: u64,
    length: u64,
}

#[derive(Debug)]
enum Partial {
    Text(Vec<u8>),
    Dropped(Dropped),
}

#[derive(Debug, Clone, Copy)]
enum Dropped {
    Binary,
    TooLarge,
}

impl Decoder {
    /// A decoder that drops messages of more than `message_bytes_max` bytes.
    pub(super) fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max,
            head: [0; HEAD_BYTES_MAX],
            head_bytes: 0,
            frame: None,
            message: None,
            control: Vec::new(),
        }
    }

    /// Takes bytes from the front of `bytes` until a message is complete or they are used up.
    pub(super) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Message>, Violation> {
        loop {
            if self.frame.is_none() && !self.read_head(bytes)? {
                return Ok(None);
            }
            if !self.read_content(bytes) {
                return Ok(None);
            }
            if let Some(message) = self.end_frame()? {
                return Ok(Some(message));
            }
        }
    }

    /// Whether a whole head has been read.
    fn read_head(&mut self, bytes: &mut &[u8]) -> Result<bool, Violation> {
        loop {
            let have = usize::from(self.head_bytes);
            let need = head_bytes(&self.head[..have]);
            if have == need {
                break;
            }
            let take = (need - have).min(bytes.len());
            if take == 0 {
                return Ok(false);
            }
            self.head[have..have + take].copy_from_slice(&bytes[..take]);
            self.head_bytes += take as u8;
            *bytes = &bytes[take..];
        }
        let length = usize::from(self.head_bytes);
        self.head_bytes = 0;
        let head = self.head;
        self.begin_frame(&head[..length])?;
        Ok(true)
    }

    fn begin_frame(&mut self, head: &[u8]) -> Result<(), Violation> {
        let violation = |reason| Violation {
            code: PROTOCOL_ERROR,
            reason,
        };
        let (first, second) = (head[0], head[1]);
        if first & 0x70 != 0 {
            return Err(violation("reserved bits are set"));
        }
        if second & 0x80 == 0 {
            return Err(violation("a client's frames have to be masked"));
        }
        let (extended, mask) = head[2..].split_at(head.len() - 6);
        let length = extended
            .iter()
            .fold(0, |length, byte| length << 8 | u64::from(*byte));
        let length = if extended.is_empty() {
            u64::from(second & 0x7f)
        } else {
            length
        };
        let (opcode, is_final) = (first & 0x0f, first & 0x80 != 0);
        match opcode {
            CONTINUATION if self.message.is_none() => {
                return Err(violation("there is no message to continue"));
            }
            TEXT | BINARY if self.message.is_some() => {
                return Err(violation("the message before is not complete"));
            }
            CONTINUATION => {}
            TEXT => self.message = Some(Partial::Text(Vec::new())),
            BINARY => self.message = Some(Partial::Dropped(Dropped::Binary)),
            CLOSE | PING | PONG if !is_final => {
                return Err(violation("a control frame cannot be fragmented"));
            }
            CLOSE | PING | PONG if length > CONTROL_BYTES_MAX => {
                return Err(violation("a control frame is too long"));
            }
            CLOSE | PING | PONG => self.control = Vec::new(),
            _ => return Err(violation("unknown opcode")),
        }
        if length > i64::MAX as u64 {
            return Err(violation("a frame is too long"));
        }
        self.frame = Some(Frame {
            opcode,
            is_final,
            mask: mask.try_into().expect("a mask has 4 bytes"),
            at: 0,
            length,
        });
        Ok(())
    }

    /// Whether the frame's whole content has been read.
    fn read_content(&mut self, bytes: &mut &[u8]) -> bool {
        let frame = self.frame.as_mut().expect("a head was read");
        let left = frame.length - frame.at;
        let take = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
        let (content, rest) = bytes.split_at(take);
        *bytes = rest;
        let mask = frame.mask;
        let start = frame.at;
        let unmasked = content
            .iter()
            .enumerate()
            .map(|(index, byte)| byte ^ mask[((start + index as u64) % 4) as usize]);
        if frame.opcode >= CLOSE {
            self.control.extend(unmasked);
        } else if let Some(Partial::Text(text)) = &mut self.message {
            // Known from the head already: nothing of a frame that is too long is ever kept.
            if text.len() as u64 + left > self.message_bytes_max as u64 {
                self.message = Some(Partial::Dropped(Dropped::TooLarge));
            } else {
                text.extend(unmasked);
            }
        }
        frame.at += take as u64;
        frame.at == frame.length
    }

    /// The message that the frame completes, if it does.
    fn end_frame(&mut self) -> Result<Option<Message>, Violation> {
        let frame = self.frame.take().expect("a frame was read");
        let message = match frame.opcode {
            PING => Message::Ping(std::mem::take(&mut self.control)),
            PONG => {
                self.control = Vec::new();
                Message::Pong
            }
            CLOSE => Message::Close(close_code(&std::mem::take(&mut self.control))?),
            _ if !frame.is_final => return Ok(None),
            _ => match self.message.take().expect("a data frame has a message") {
                Partial::Text(text) => {
                    Message::Text(String::from_utf8(text).map_err(|_| Violation {
                        code: NOT_UTF8,
                        reason: "a text message has to be UTF-8",
                    })?)
                }
                Partial::Dropped(Dropped::Binary) => Message::Binary,
                Partial::Dropped(Dropped::TooLarge) => Message::TooLarge,
            },
        };
        Ok(Some(message))
    }
}

/// How many bytes the head has of which these are the first; too few to know counts as 2.
fn head_bytes(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else { return 2 };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    match second & 0x7f {
        126 => 4 + mask,
        127 => 10 + mask,
        _ => 2 + mask,
    }
}

fn close_code(content: &[u8]) -> Result<Option<u16>, Violation> {
    let violation = |reason| Violation {
        code: PROTOCOL_ERROR,
        reason,
    };
    let (code, reason) = match content {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        _ => return Err(violation("a close code has two bytes")),
    };
    // RFC 6455 section 7.4: 1004 to 1006 and 1015 never travel, 1016 to 2999 are unassigned but for
    // 1012 to 1014, which IANA has assigned.
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => {}
        _ => return Err(violation("the close code is not valid")),
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation {
            code: NOT_UTF8,
            reason: "a close reason has to be UTF-8",
        }),
    }
}

/// The head of an unfragmented text frame with a content of `length` bytes.
pub(super) fn text_head(length: usize) -> Head {
    head(TEXT, length)
}

/// The same of a binary frame.
pub(super) fn binary_head(length: usize) -> Head {
    head(BINARY, length)
}

/// The head of a frame that we send.
pub(super) struct Head {
    bytes: [u8; 10],
    length: usize,
}

impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn head(opcode: u8, length: usize) -> Head {
    let mut bytes = [0; 10];
    bytes[0] = 0x80 | opcode;
    let length = match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => {
            bytes[1] = short;
            2
        }
        (_, Ok(medium)) => {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        }
        _ => {
            bytes[1] = 127;
            bytes[2..].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    Head { bytes, length }
}

/// A whole ping frame without content.
pub(super) fn ping() -> Vec<u8> {
    head(PING, 0).as_ref().to_vec()
}

/// A whole pong frame that answers a ping with this content.
pub(super) fn pong(content: &[u8]) -> Vec<u8> {
    control(PONG, &[content])
}

/// A whole close frame. `reason` is cut to what a control frame can hold.
pub(super) fn close(code: u16, reason: &str) -> Vec<u8> {
    let room = CONTROL_BYTES_MAX as usize - 2;
    let reason = cut(reason, room);
    control(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()])
}

/// The longest beginning of a text that has at most so many bytes.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn control(opcode: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut frame = head(opcode, length).as_ref().to_vec();
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

#[cfg(test)]
mod tests;
