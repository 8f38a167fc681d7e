//! Encoded events as one shared buffer of lines: counted, cut and shared without copying.
//!
//! Knows nothing of what the events say.

use bytes::Bytes;
use std::{iter, sync::Arc};

/// Encoded events, each one line that ends with a line feed, in one shared buffer.
///
/// Cloning and cutting copy nothing. A part keeps its whole buffer alive, so a producer hands over
/// buffers of the size of what is in them, some 64 KiB at most.
#[derive(Debug, Clone, Default)]
pub struct Events {
    bytes: Bytes,
    ends: Ends,
}

/// Where events end. Most buffers hold one event, which needs no table.
#[derive(Debug, Clone, Default)]
enum Ends {
    #[default]
    None,
    One,
    /// Events `first..first + count` of the table, whose offsets are those of the uncut buffer.
    Many {
        table: Arc<[u32]>,
        first: u32,
        count: u32,
    },
}

impl Events {
    /// One event.
    pub fn one(line: impl Into<Bytes>) -> Self {
        let bytes = line.into();
        debug_assert_eq!(bytes.last(), Some(&b'\n'), "an event is a line");
        Self {
            bytes,
            ends: Ends::One,
        }
    }

    /// Events that end at these offsets, ascending, the last one being the buffer's length.
    pub fn new(bytes: impl Into<Bytes>, ends: &[u32]) -> Self {
        let bytes = bytes.into();
        debug_assert_eq!(
            bytes.len(),
            ends.last().map_or(0, |it| *it as usize),
            "the last event ends where the buffer does"
        );
        debug_assert!(ends.is_sorted_by(|a, b| a < b), "events are not empty");
        let ends = match ends.len() {
            0 => Ends::None,
            1 => Ends::One,
            count => Ends::Many {
                table: ends.into(),
                first: 0,
                count: u32::try_from(count).expect("a buffer of fewer than 4 GiB"),
            },
        };
        Self { bytes, ends }
    }

    /// The lines, one after the other.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The lines, one after the other.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// How many events.
    pub fn count(&self) -> usize {
        match &self.ends {
            Ends::None => 0,
            Ends::One => 1,
            Ends::Many { count, .. } => *count as usize,
        }
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        matches!(self.ends, Ends::None)
    }

    /// The bytes of the first `count` events.
    pub fn bytes_of(&self, count: usize) -> usize {
        match (&self.ends, count) {
            (_, 0) | (Ends::None, _) => 0,
            (Ends::One, _) => self.bytes.len(),
            (
                Ends::Many {
                    table,
                    first,
                    count: all,
                },
                _,
            ) => {
                let base = start(table, *first);
                let last = *first as usize + count.min(*all as usize) - 1;
                (table[last] - base) as usize
            }
        }
    }

    /// How many events from the first on have together at most so many bytes.
    pub fn fitting(&self, bytes_max: usize) -> usize {
        match &self.ends {
            Ends::None => 0,
            Ends::One => usize::from(self.bytes.len() <= bytes_max),
            Ends::Many {
                table,
                first,
                count,
            } => {
                let base = start(table, *first) as usize;
                table[*first as usize..][..*count as usize]
                    .partition_point(|end| *end as usize - base <= bytes_max)
            }
        }
    }

    /// Takes the first `count` events away and returns them; all of them if there are not as many.
    pub fn split_to(&mut self, count: usize) -> Events {
        if count >= self.count() {
            return std::mem::take(self);
        }
        let at = self.bytes_of(count);
        let Ends::Many {
            table,
            first,
            count: all,
        } = &self.ends
        else {
            return Events::default();
        };
        let part = |first: u32, count: u32| match count {
            0 => Ends::None,
            1 => Ends::One,
            _ => Ends::Many {
                table: table.clone(),
                first,
                count,
            },
        };
        let taken = u32::try_from(count).expect("fewer than there are");
        let (head, tail) = (part(*first, taken), part(first + taken, all - taken));
        let bytes = self.bytes.split_to(at);
        self.ends = tail;
        Events { bytes, ends: head }
    }

    /// The events one by one, each with its line feed.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut index = 0;
        iter::from_fn(move || {
            if index == self.count() {
                return None;
            }
            let from = self.bytes_of(index);
            index += 1;
            Some(&self.bytes[from..self.bytes_of(index)])
        })
    }
}

/// Where event `first` of a table starts.
fn start(table: &[u32], first: u32) -> u32 {
    match first {
        0 => 0,
        first => table[first as usize - 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Events {
        Events::new(&b"a\nbb\nccc\n"[..], &[2, 5, 9])
    }

    fn lines(events: &Events) -> Vec<&str> {
        let text = |it| std::str::from_utf8(it).unwrap();
        events.iter().map(text).collect()
    }

    #[test]
    fn events_are_counted_and_listed() {
        assert_eq!(lines(&three()), ["a\n", "bb\n", "ccc\n"]);
        assert_eq!(lines(&Events::one(&b"x\n"[..])), ["x\n"]);
        assert!(Events::new(Bytes::new(), &[]).is_empty());
        assert_eq!(lines(&Events::default()), [""; 0]);
    }

    #[test]
    fn a_cut_falls_between_events() {
        for cut in 0..=4 {
            let mut tail = three();
            let head = tail.split_to(cut);
            let both: Vec<_> = lines(&head).into_iter().chain(lines(&tail)).collect();
            assert_eq!(both, ["a\n", "bb\n", "ccc\n"]);
            assert_eq!(head.count(), cut.min(3));
            let whole: Vec<u8> = [&head.bytes()[..], &tail.bytes()[..]].concat();
            assert_eq!(whole, b"a\nbb\nccc\n");
        }
    }

    #[test]
    fn what_fits_is_whole_events_also_after_a_cut() {
        let mut events = three();
        let fits = |events: &Events| [0, 1, 2, 4, 5, 8, 9, 99].map(|max| events.fitting(max));
        assert_eq!(fits(&events), [0, 0, 1, 1, 2, 2, 3, 3]);
        events.split_to(1);
        assert_eq!(fits(&events), [0, 0, 0, 1, 1, 2, 2, 2]);
        assert_eq!(events.bytes_of(1), 3);
        assert_eq!(events.bytes_of(9), 7);
        events.split_to(1);
        assert_eq!(fits(&events), [0, 0, 0, 1, 1, 1, 1, 1]);
    }
}
