//! How much one channel may hold, and for how long: the configured limits, divided up once.

use crate::config::Limits;

/// How a channel's bytes are divided. A quarter is set apart for requests, an equal part for each
/// that its identity may have open, so that none can be shut out by the others. The rest is common to
/// changes and rows, rows taking at most half of all.
#[derive(Debug)]
pub(in crate::channel) struct Bounds {
    /// Rows of one request that are always taken.
    pub(super) lane_bytes: usize,
    /// Rows beyond that, over all requests.
    pub(super) rows_common_bytes_max: usize,
    /// Changes and rows beyond each request's own, together.
    pub(super) common_bytes_max: usize,
    /// Changes, while a row that needs much room waits for it.
    pub(super) changes_bytes_small: usize,
    /// What waits of a replay, in the place of changes.
    pub(super) replay_queue_bytes: usize,
    /// `error` events without a request.
    pub(super) asides_bytes_max: usize,
    /// Signals.
    pub(super) signals_bytes_max: usize,
    pub(super) replay_bytes_max: usize,
    pub(super) replay_ms: u64,
    pub(super) grace_ms: u64,
    pub(super) stall_ms: u64,
    pub(super) idle_ms: u64,
    /// How long a request that was just opened keeps less urgent rows waiting at most.
    pub(super) hold_ms: u64,
    pub(in crate::channel) ping_ms: u64,
    pub(in crate::channel) requests_per_identity: usize,
    pub(in crate::channel) channels_per_identity: usize,
}

/// What is set apart for the end of a request, out of its own part.
const TERMINAL_BYTES: usize = 4 << 10;

/// The part of a channel's bytes that asides may take: one in so many.
const ASIDES_PART: usize = 64;
/// The part that signals may take: one in so many.
const SIGNALS_PART: usize = 32;

/// A first screen's query has mostly ended by then; and where it has not, the line is idle no longer
/// than this.
const HOLD_MS: u64 = 250;

impl Bounds {
    pub(in crate::channel) fn new(limits: &Limits) -> Self {
        let asides = limits.queue_bytes_max / ASIDES_PART;
        let signals = limits.queue_bytes_max / SIGNALS_PART;
        let all = limits.queue_bytes_max - asides - signals;
        let lane = all / 4 / limits.requests_per_identity.max(1);
        Self {
            lane_bytes: lane - TERMINAL_BYTES.min(lane / 4),
            rows_common_bytes_max: all / 2,
            common_bytes_max: all / 4 * 3,
            changes_bytes_small: all / 2,
            replay_queue_bytes: all / 8,
            asides_bytes_max: asides,
            signals_bytes_max: signals,
            replay_bytes_max: limits.replay_bytes_max,
            replay_ms: limits.replay_ms,
            grace_ms: limits.request_grace_ms,
            stall_ms: limits.request_stall_ms,
            idle_ms: limits.channel_idle_ms,
            hold_ms: HOLD_MS,
            ping_ms: limits.ping_ms,
            requests_per_identity: limits.requests_per_identity,
            channels_per_identity: limits.channels_per_identity,
        }
    }

    /// How often to look for what is too old, so that no limit is exceeded by more than a quarter.
    pub(in crate::channel) fn sweep_ms(&self) -> u64 {
        (self.idle_ms.min(self.replay_ms) / 4).max(1)
    }
}
