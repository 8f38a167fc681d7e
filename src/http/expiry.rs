//! Until when the reader of a channel may read: its token's end, which a renewal moves.

use crate::{channel::ChannelId, identity::IdentityKey};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::{Instant, Sleep};

const NEVER: u64 = u64::MAX;
/// A timer is never set further ahead: clocks are adjusted, and a timer's reach is bounded.
const LOOK_AGAIN: Duration = Duration::from_secs(3600);
/// A warning comes at the latest after nine tenths of the time that the token had left.
const WARNING_PART: u32 = 10;

/// When a reader's token ends, in seconds since 1970.
#[derive(Debug)]
struct Expiry(AtomicU64);

/// The ends of all tokens with which somebody reads a channel now, so that a renewal by HTTP finds
/// the reader. An entry lives as long as its reader.
#[derive(Debug, Default)]
pub(super) struct Expiries(Mutex<HashMap<(IdentityKey, ChannelId), Weak<Expiry>>>);

impl Expiries {
    /// A clock for a new reader of the channel.
    pub(super) fn clock(
        &self,
        key: IdentityKey,
        channel: &ChannelId,
        expires_at: Option<u64>,
        warning: Duration,
    ) -> Clock {
        let expiry = Arc::new(Expiry(AtomicU64::new(expires_at.unwrap_or(NEVER))));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers that are gone are swept out when the map would grow anyway.
        if all.len() == all.capacity() {
            all.retain(|_, it| it.strong_count() > 0);
        }
        all.insert((key, channel.clone()), Arc::downgrade(&expiry));
        drop(all);
        Clock::new(expiry, warning)
    }

    /// Moves the end of a reader's token, if somebody reads the channel. Never to an earlier time:
    /// both tokens prove the same identity.
    pub(super) fn renew(&self, key: IdentityKey, channel: &ChannelId, expires_at: Option<u64>) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(expiry) = all.get(&(key, channel.clone())).and_then(Weak::upgrade) {
            expiry.0.fetch_max(expires_at.unwrap_or(NEVER), Relaxed);
        }
    }
}

/// What a clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The token ends soon; said once for each end.
    Warning,
    /// The token has ended.
    Expired,
}

/// Watches the end of one reader's token.
#[derive(Debug)]
pub(super) struct Clock {
    expiry: Arc<Expiry>,
    warning: Duration,
    /// The end that `ahead` was reckoned for.
    reckoned_for: u64,
    /// How long before the end the warning comes.
    ahead: Duration,
    warned: bool,
    /// Only where there is an end: tokens without one cost nothing.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    fn new(expiry: Arc<Expiry>, warning: Duration) -> Self {
        let ends = expiry.0.load(Relaxed) != NEVER;
        Self {
            expiry,
            warning,
            reckoned_for: NEVER,
            ahead: Duration::ZERO,
            warned: false,
            timer: ends.then(|| Box::pin(tokio::time::sleep(Duration::ZERO))),
        }
    }

    /// Waits for the next thing to say. Cancel-safe.
    pub(super) async fn due(&mut self) -> Due {
        let Some(timer) = &mut self.timer else {
            return std::future::pending().await;
        };
        loop {
            timer.as_mut().await;
            // A renewal does not wake anybody: its end is later, and is looked at when the time comes.
            let end = self.expiry.0.load(Relaxed);
            let left = time_left(end);
            if left.is_zero() {
                return Due::Expired;
            }
            if self.reckoned_for != end {
                self.reckoned_for = end;
                self.ahead = self.warning.min(left / WARNING_PART);
                self.warned = false;
            }
            let warn = !self.warned && left <= self.ahead;
            self.warned |= warn;
            let sleep = if self.warned { left } else { left - self.ahead };
            timer.as_mut().reset(Instant::now() + sleep.min(LOOK_AGAIN));
            if warn {
                return Due::Warning;
            }
        }
    }
}

fn time_left(end: u64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Duration::from_secs(end).saturating_sub(now.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now_s() -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap().as_secs()
    }

    #[tokio::test]
    async fn a_reader_is_warned_once_and_then_ends() {
        let expiries = Expiries::default();
        let channel = ChannelId::default();
        let key = IdentityKey([1; 32]);
        let warning = Duration::from_secs(60);
        let mut clock = expiries.clock(key, &channel, Some(now_s() + 2), warning);
        let began = Instant::now();
        assert_eq!(clock.due().await, Due::Warning);
        expiries.renew(IdentityKey([2; 32]), &channel, None);
        expiries.renew(key, &channel, Some(now_s() - 9));
        assert_eq!(clock.due().await, Due::Expired);
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it ended, and not by a later look"
        );
    }

    #[tokio::test]
    async fn a_renewal_moves_the_end_and_the_warning() {
        let expiries = Expiries::default();
        let channel = ChannelId::default();
        let key = IdentityKey([1; 32]);
        let warning = Duration::from_secs(60);
        let mut clock = expiries.clock(key, &channel, Some(now_s() + 2), warning);
        assert_eq!(clock.due().await, Due::Warning);
        expiries.renew(key, &channel, Some(now_s() + 100));
        let quiet = Duration::from_secs(3);
        assert!(tokio::time::timeout(quiet, clock.due()).await.is_err());
        let mut endless = expiries.clock(key, &channel, None, warning);
        let quiet = Duration::from_millis(10);
        assert!(tokio::time::timeout(quiet, endless.due()).await.is_err());
    }
}
