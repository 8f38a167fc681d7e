//! Compressed streams of events, of pieces that each end where a batch does.
//!
//! Owns the compressors, and how long one is worth keeping. Knows no transport, and of events only
//! which of them many readers get.
//!
//! A stream of raw deflate (RFC 1951) may be put together from pieces that were made apart, as long as
//! each ends on a byte and refers to nothing before itself. So there are three kinds of pieces:
//! - of a *context*, the compressor of one reader, which refers to what that reader got before: the
//!   ratio of one compressor over the whole result, with a flush after each batch. It takes some
//!   300 KB, and is dropped a moment after its last piece; the next one begins without a past.
//! - *shared*: notices, compressed once for all who get them.
//! - *stored*: what is too small to be worth it, as it is, behind a head of five bytes.
//!
//! A reader that is idle has none of this but a pointer.

mod gzip;

pub(super) use gzip::Gzip;

use crate::config::Limits;
use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress, Status};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

/// How long after its last piece a context is kept: a burst has pauses.
const CONTEXT_IDLE: Duration = Duration::from_millis(250);
/// The same after the end of a request, when there may be no more to come. A thousand readers a second
/// who fetch their first screen then have some 25 contexts between them, and not 250.
const CONTEXT_IDLE_AT_END: Duration = Duration::from_millis(25);
/// Compressors that are kept while nobody needs one: some 10 MB.
const SPARE_AT_REST: usize = 32;
/// Bytes of one batch for which a context is made.
const CONTEXT_FROM_BYTES: usize = 1 << 10;
/// Bytes of a notice for which compressing it alone is worth it.
const SHARED_FROM_BYTES: usize = 192;
/// Notices that were compressed are remembered up to so many, and so many bytes, the newest first:
/// those who get one get it at about the same time.
const REMEMBERED_MAX: usize = 32;
const REMEMBERED_BYTES_MAX: usize = 1 << 20;
/// What a stored block holds at most (RFC 1951 section 3.2.4).
const STORED_BYTES_MAX: usize = 0xffff;
/// How hard is compressed, of 1 to 9: as much as zlib does where nobody says anything.
const LEVEL: u32 = 6;

/// What all compressed streams of a server share.
#[derive(Debug)]
pub(super) struct Deflaters {
    contexts: AtomicUsize,
    contexts_max: usize,
    /// Compressors of contexts that are gone, for the next ones. Made anew for each reader and freed
    /// between smaller things that stay, they would leave holes that nothing fits into, and an idle
    /// reader would cost a third of a compressor after all. With the contexts no more than
    /// `contexts_max`.
    spare: Mutex<Vec<Compress>>,
    shared: Mutex<Shared>,
}

impl Deflaters {
    pub(super) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            contexts: AtomicUsize::new(0),
            contexts_max: limits.compressors_max,
            spare: Mutex::default(),
            shared: Mutex::new(Shared {
                compress: None,
                pieces: VecDeque::new(),
                bytes: 0,
            }),
        })
    }

    /// A compressor without a past, unless there are too many. To be given back.
    fn lend(&self) -> Option<Compress> {
        if self.contexts.fetch_add(1, Relaxed) >= self.contexts_max {
            self.contexts.fetch_sub(1, Relaxed);
            return None;
        }
        let spare = self.spare().pop();
        Some(spare.unwrap_or_else(compressor))
    }

    fn give_back(&self, mut compress: Compress) {
        compress.reset();
        self.spare().push(compress);
        // When the burst is over, most of them go.
        if self.contexts.fetch_sub(1, Relaxed) == 1 {
            self.spare().truncate(SPARE_AT_REST);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Compress>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A compressed piece that refers to nothing but itself; made once for all who ask within a short
    /// while.
    fn shared(&self, lines: &Bytes) -> Bytes {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.piece(lines)
    }

    /// The same for what only one reader gets.
    fn once<'a>(&self, lines: impl Iterator<Item = &'a Bytes>) -> Bytes {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.press(lines)
    }
}

#[derive(Debug)]
struct Shared {
    compress: Option<Compress>,
    /// Notices with their pieces, the newest last. A notice is kept, so that its address stays its own.
    pieces: VecDeque<(Bytes, Bytes)>,
    bytes: usize,
}

impl Shared {
    fn piece(&mut self, lines: &Bytes) -> Bytes {
        let same =
            |it: &&(Bytes, Bytes)| it.0.as_ptr() == lines.as_ptr() && it.0.len() == lines.len();
        if let Some((_, piece)) = self.pieces.iter().rev().find(same) {
            return piece.clone();
        }
        let piece = self.press(std::iter::once(lines));
        self.bytes += lines.len() + piece.len();
        self.pieces.push_back((lines.clone(), piece.clone()));
        while self.pieces.len() > REMEMBERED_MAX || self.bytes > REMEMBERED_BYTES_MAX {
            let Some((lines, piece)) = self.pieces.pop_front() else {
                break;
            };
            self.bytes -= lines.len() + piece.len();
        }
        piece
    }

    fn press<'a>(&mut self, lines: impl Iterator<Item = &'a Bytes>) -> Bytes {
        let compress = self.compress.get_or_insert_with(compressor);
        compress.reset();
        press(compress, lines)
    }
}

/// The compressor of one reader while there is much to say to it.
#[derive(Debug)]
struct Context {
    /// There until it is given back.
    compress: Option<Compress>,
    cools_at: Instant,
    deflaters: Arc<Deflaters>,
}

impl Drop for Context {
    fn drop(&mut self) {
        if let Some(compress) = self.compress.take() {
            self.deflaters.give_back(compress);
        }
    }
}

/// One reader's stream.
#[derive(Debug)]
pub(super) struct Deflate {
    deflaters: Arc<Deflaters>,
    context: Option<Box<Context>>,
}

impl Deflate {
    pub(super) fn new(deflaters: Arc<Deflaters>) -> Self {
        Self {
            deflaters,
            context: None,
        }
    }

    /// The next pieces of the stream: a batch of lines. Whoever has them can read the whole batch.
    pub(super) fn pieces<'a>(
        &mut self,
        lines: impl Iterator<Item = &'a Bytes> + Clone,
    ) -> Vec<Bytes> {
        let own = || lines.clone().filter(|it| !is_shared(it));
        let own_bytes: usize = own().map(Bytes::len).sum();
        if own_bytes >= CONTEXT_FROM_BYTES && self.context.is_none() {
            self.warm();
        }
        // While there is a context everything passes it, or it would not know what the reader has.
        if let Some(context) = &mut self.context
            && let Some(compress) = &mut context.compress
        {
            let idle = match ends_a_request(lines.clone()) {
                true => CONTEXT_IDLE_AT_END,
                false => CONTEXT_IDLE,
            };
            context.cools_at = Instant::now() + idle;
            return vec![press(compress, lines)];
        }
        let mut pieces = Vec::new();
        if own_bytes >= CONTEXT_FROM_BYTES {
            pieces.push(self.deflaters.once(lines));
            return pieces;
        }
        for each in lines {
            if each.len() >= SHARED_FROM_BYTES && is_shared(each) {
                pieces.push(self.deflaters.shared(each));
            } else {
                store(each, &mut pieces);
            }
        }
        pieces
    }

    /// When [`Deflate::cool`] has something to do.
    pub(super) fn cools_at(&self) -> Option<Instant> {
        self.context.as_ref().map(|it| it.cools_at)
    }

    /// Drops the context if it has not been used for a moment.
    pub(super) fn cool(&mut self) {
        if self.cools_at().is_some_and(|it| it <= Instant::now()) {
            self.context = None;
        }
    }

    fn warm(&mut self) {
        if let Some(compress) = self.deflaters.lend() {
            self.context = Some(Box::new(Context {
                compress: Some(compress),
                cools_at: Instant::now() + CONTEXT_IDLE,
                deflaters: self.deflaters.clone(),
            }));
        }
    }
}

/// Whether these lines are the same bytes for everybody who gets them. The type stands first in every
/// event, and a buffer has events of one type. (Behind the numbers of Server-Sent Events no two
/// readers' lines are the same.)
fn is_shared(lines: &[u8]) -> bool {
    const SHARED: [&[u8]; 4] = [
        b"{\"type\":\"change\"",
        b"{\"type\":\"reset\"",
        b"{\"type\":\"signal\"",
        b"{\"type\":\"presence\"",
    ];
    SHARED.iter().any(|it| lines.starts_with(it))
}

/// Whether the last of these lines ends a request.
fn ends_a_request<'a>(lines: impl Iterator<Item = &'a Bytes>) -> bool {
    const ENDS: [&[u8]; 2] = [b"{\"type\":\"done\"", b"{\"type\":\"error\""];
    let lines = lines.map(|it| it.trim_ascii_end());
    let Some(last) = lines.filter(|it| !it.is_empty()).last() else {
        return false;
    };
    let line = &last[memchr::memrchr(b'\n', last).map_or(0, |it| it + 1)..];
    let event = line.strip_prefix(b"data: ").unwrap_or(line);
    ENDS.iter().any(|it| event.starts_with(it))
}

fn compressor() -> Compress {
    Compress::new(Compression::new(LEVEL), false)
}

/// Compresses, and flushes up to a byte, so that the receiver can read it all.
fn press<'a>(compress: &mut Compress, lines: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut out = Vec::new();
    for each in lines {
        feed(compress, each, FlushCompress::None, &mut out);
    }
    feed(compress, &[], FlushCompress::Sync, &mut out);
    out.into()
}

fn feed(compress: &mut Compress, mut rest: &[u8], flush: FlushCompress, out: &mut Vec<u8>) {
    loop {
        out.reserve(rest.len() / 8 + 64);
        let before = compress.total_in();
        let status = compress
            .compress_vec(rest, out, flush)
            .expect("a compressor that is never finished takes everything");
        let taken = usize::try_from(compress.total_in() - before).expect("no more than there was");
        rest = &rest[taken..];
        // Room that is left means that nothing is held back which was to be flushed.
        if rest.is_empty() && (out.len() < out.capacity() || status == Status::BufError) {
            return;
        }
    }
}

/// Appends stored blocks, none of them the last. Nothing is copied but their heads.
fn store(lines: &Bytes, pieces: &mut Vec<Bytes>) {
    for start in (0..lines.len()).step_by(STORED_BYTES_MAX) {
        let part = lines.slice(start..lines.len().min(start + STORED_BYTES_MAX));
        let length = u16::try_from(part.len()).expect("no more than a block holds");
        let [[a, b], [c, d]] = [length.to_le_bytes(), (!length).to_le_bytes()];
        pieces.push(Bytes::copy_from_slice(&[0, a, b, c, d]));
        pieces.push(part);
    }
}

#[cfg(test)]
mod tests;
