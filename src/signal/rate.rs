//! How much somebody may send: a bucket that fills with time.

use std::time::{Duration, Instant};

/// A token bucket (ITU-T I.371's virtual scheduling): holds what may be sent at once, and fills at a
/// steady rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    /// When it will be full again.
    full_at: Option<Instant>,
}

/// How much a bucket holds, and how fast it fills.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// `per_second` steadily, `burst` at once after a pause; both at least 1.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: per_second.max(1),
            burst: burst.max(1),
        }
    }

    fn time(self, count: u32) -> Duration {
        Duration::from_secs(1) * count / self.per_second
    }
}

impl Bucket {
    pub(super) fn full() -> Self {
        Self { full_at: None }
    }

    /// Takes `count`, or says after what time it would go. More than a bucket holds is let through
    /// when the bucket is full, so that nothing is too large for ever.
    pub(super) fn take(&mut self, rate: Rate, count: u32, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.map_or(now, |it| it.max(now));
        let count = count.min(rate.burst);
        let after = full_at + rate.time(count);
        let latest = now + rate.time(rate.burst);
        if after > latest {
            return Err(after - latest);
        }
        self.full_at = Some(after);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_goes_at_once_and_then_so_many_a_second() {
        let rate = Rate::new(10, 30);
        let mut bucket = Bucket::full();
        let start = Instant::now();
        for _ in 0..30 {
            bucket.take(rate, 1, start).unwrap();
        }
        let wait = bucket.take(rate, 1, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        bucket.take(rate, 1, start + wait).unwrap();
        bucket.take(rate, 1, start + wait).unwrap_err();
        let later = start + Duration::from_secs(60);
        for _ in 0..30 {
            bucket.take(rate, 1, later).unwrap();
        }
        bucket.take(rate, 1, later).unwrap_err();
        let much_later = later + Duration::from_secs(60);
        bucket.take(rate, 1_000, much_later).unwrap();
        bucket.take(rate, 1, much_later).unwrap_err();
    }
}
