//! What a run did: counts by name, and the text that is printed at the end.

use super::{book::Book, invariants::Findings};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Counts, shared by everybody.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    begun: Instant,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Tally {
    pub(super) fn start() -> Self {
        Self {
            begun: Instant::now(),
            counts: Arc::default(),
        }
    }

    pub(super) fn count(&self, what: &str) {
        self.add(what, 1);
    }

    pub(super) fn add(&self, what: &str, many: u64) {
        let mut counts = self.counts.lock().unwrap();
        match counts.get_mut(what) {
            Some(count) => *count += many,
            None => {
                counts.insert(what.to_owned(), many);
            }
        }
    }

    pub(super) fn frame(&self, bytes: usize) {
        self.add("frames looked through", 1);
        self.add("bytes of frames", bytes as u64);
    }

    /// Takes over what a reader counted.
    pub(super) fn read(&self, book: &Book) {
        self.add("events", book.events);
        self.add("signals", book.ears.count);
        self.add("signals taken back", book.ears.voids);
        for (reason, count) in &book.resets {
            self.add(&format!("resets: {reason}"), *count);
        }
        for (code, count) in &book.errors {
            self.add(&format!("requests ended by {code}"), *count);
        }
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        let counts = self.counts.lock().unwrap();
        counts.get(what).copied().unwrap_or(0)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The whole run as text.
    pub(super) fn report(&self, title: &str, findings: &Findings) -> String {
        let mut out = format!("{title}: {:.0} s\n", self.elapsed().as_secs_f64());
        for (what, count) in &*self.counts.lock().unwrap() {
            let _ = writeln!(out, "  {count:>9}  {what}");
        }
        match findings.is_empty() {
            true => out += "  every invariant held\n",
            false => {
                let _ = write!(out, "FOUND\n{findings}");
            }
        }
        out
    }
}
