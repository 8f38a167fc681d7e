//! Long-poll: a GET that waits until there is something to say, and answers a JSON array.
//!
//! A poll that resumes (`after`) answers what follows. Any other one answers at once and begins its
//! array with `open`, so that the caller learns where it stands. One that waits in vain answers a
//! `ping`, whose cursor is the channel's.

use super::{
    channels::number,
    deflate::Gzip,
    reader::Reader,
    reply::{self, Response, SEQUENCE, put_no_store},
};
use crate::{
    channel::Delivery,
    config::Limits,
    error::{Error, Kind, Result},
    wire::{answer, event},
};
use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, VARY},
};
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of events in one answer. An answer that is lost on its way has to be in the replay window
/// still when the caller asks again.
const ANSWER_BYTES: usize = 256 << 10;
/// Answers smaller than this do not fit into fewer packets when they are compressed.
const COMPRESS_FROM_BYTES: usize = 1 << 10;

/// What polls may ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PollLimits {
    wait: Duration,
    wait_max: Duration,
    bytes_max: usize,
}

impl From<&Limits> for PollLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            wait: Duration::from_millis(limits.poll_wait_ms),
            wait_max: Duration::from_millis(limits.poll_wait_ms_max),
            bytes_max: ANSWER_BYTES.min(limits.replay_bytes_max / 2),
        }
    }
}

impl PollLimits {
    /// What this poll gets of what it asks for.
    pub(super) fn poll(&self, asked: &Poll) -> Granted {
        Granted {
            wait: asked.wait.unwrap_or(self.wait).min(self.wait_max),
            events_max: asked.events_max,
            bytes_max: self.bytes_max,
        }
    }
}

/// What a poll asks for.
#[derive(Debug, PartialEq)]
pub(super) struct Poll {
    wait: Option<Duration>,
    events_max: usize,
}

/// What a poll gets.
#[derive(Debug)]
pub(super) struct Granted {
    wait: Duration,
    events_max: usize,
    bytes_max: usize,
}

impl Poll {
    /// Reads the parameters `wait` (seconds) and `max_events`.
    ///
    /// # Errors
    /// `QueryMalformed`.
    pub(super) fn read(wait: Option<&str>, max_events: Option<&str>) -> Result<Self> {
        let malformed = |detail| Error::new(Kind::QueryMalformed, detail);
        let seconds = |text: &str| {
            let seconds: f64 = text.parse().ok()?;
            Duration::try_from_secs_f64(seconds).ok()
        };
        let wait = wait.map(|it| {
            seconds(it).ok_or_else(|| malformed("wait is a number of seconds, 0 or more."))
        });
        let events_max = match max_events.map(|it| number("max_events", it)).transpose()? {
            Some(0) => return Err(malformed("max_events is at least 1.")),
            Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
            None => usize::MAX,
        };
        Ok(Self {
            wait: wait.transpose()?,
            events_max,
        })
    }
}

/// How a poll's caller begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begins {
    /// Without a word about what it has.
    Anew,
    /// After an event that it has.
    Again,
    /// With a state that it holds, so that it is told what it missed.
    Replay,
}

/// Waits and answers, compressed like the channel's streams if there is much to say and the caller
/// takes it. Dropped when the caller goes away, which detaches the reader.
pub(super) async fn answer(
    mut reader: Reader,
    granted: Granted,
    begins: Begins,
    gzip: Option<Gzip>,
) -> Response {
    let opened = reader.opened().clone();
    let resumes = begins == Begins::Again && opened.resumed;
    let wait = match resumes || begins == Begins::Replay {
        true => granted.wait,
        false => Duration::ZERO,
    };
    let mut lines: Vec<Bytes> = Vec::from_iter((!resumes).then(|| reader.open_event()));
    let mut sequence = opened.sequence;
    let mut position = opened.position;
    let deadline = Instant::now() + wait;
    let delivery = loop {
        let next = reader.next(granted.bytes_max, granted.events_max);
        match tokio::time::timeout_at(deadline, next).await {
            // That nothing was missed is an answer.
            Ok(Delivery::Ping(later)) if begins == Begins::Replay => {
                lines.push(event::ping(&later));
                break None;
            }
            // Quiet so far is no answer while there is time.
            Ok(Delivery::Ping(later)) => position = later,
            Ok(delivery) => break Some(delivery),
            Err(_) => break None,
        }
    };
    let body = match &delivery {
        Some(Delivery::Events(frames)) => {
            sequence = frames.last().map_or(sequence, |it| it.last_sequence());
            let events = frames.iter().flat_map(|it| it.events.iter());
            answer::events(lines.iter().map(|it| &**it).chain(events))
        }
        other => {
            match other {
                Some(Delivery::Close(close)) => lines.push(close.encode()),
                _ if lines.is_empty() => lines.push(event::ping(&position)),
                _ => {}
            }
            answer::events(lines.iter().map(|it| &**it))
        }
    };
    let gzip = gzip.filter(|_| body.len() >= COMPRESS_FROM_BYTES);
    let is_compressed = gzip.is_some();
    let body = match gzip {
        Some(gzip) => gzip.whole(&body).await,
        None => body,
    };
    let mut response = reply::json(StatusCode::OK, body);
    let headers = response.headers_mut();
    if is_compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(VARY, ACCEPT_ENCODING.into());
    }
    headers.insert(SEQUENCE, HeaderValue::from(sequence));
    put_no_store(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_asks_within_reason() {
        let read = |wait, events| Poll::read(wait, events).map_err(|it| it.kind());
        let poll = read(Some("0.5"), Some("3")).unwrap();
        assert_eq!(poll.wait, Some(Duration::from_millis(500)));
        assert_eq!(poll.events_max, 3);
        let limits = PollLimits::from(&Limits::default());
        let granted = |wait| limits.poll(&read(wait, None).unwrap()).wait;
        assert_eq!(granted(None), Duration::from_secs(25));
        assert_eq!(granted(Some("0")), Duration::ZERO);
        assert_eq!(granted(Some("3600")), Duration::from_secs(60));
        for wait in ["-1", "x", "", "nan", "inf", "1e300"] {
            assert_eq!(read(Some(wait), None), Err(Kind::QueryMalformed), "{wait}");
        }
        assert_eq!(read(None, Some("0")), Err(Kind::QueryMalformed));
    }
}
