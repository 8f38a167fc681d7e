//! How urgent a request is, in the words of RFC 9218.

/// The urgency of who says nothing (RFC 9218 section 4.1).
const URGENCY_DEFAULT: u8 = 3;

/// The least urgent.
const URGENCY_MAX: u8 = 7;

/// How urgent a request is (RFC 9218 section 4). Every request shares its channel with the others,
/// so `incremental` changes nothing here; it is kept for whoever wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Priority {
    urgency: u8,
    incremental: bool,
}

impl Default for Priority {
    fn default() -> Self {
        Self {
            urgency: URGENCY_DEFAULT,
            incremental: false,
        }
    }
}

impl Priority {
    /// A priority of this urgency, 0 (first) to 7 (last); `None` beyond.
    pub fn of_urgency(urgency: u64) -> Option<Self> {
        Some(Self {
            urgency: u8::try_from(urgency).ok().filter(|it| *it <= URGENCY_MAX)?,
            incremental: false,
        })
    }

    /// Reads the `Priority` header. What it cannot read counts as absent, as RFC 9218 section 4 asks.
    pub fn parse(header: &str) -> Self {
        let mut priority = Self::default();
        for member in header.split(',') {
            // A parameter of a member (after `;`) says nothing about urgency.
            let member = member.split(';').next().unwrap_or_default().trim();
            match member.split_once('=').unwrap_or((member, "?1")) {
                ("u", value) => {
                    if let Some(read) = value.parse().ok().and_then(Self::of_urgency) {
                        priority.urgency = read.urgency;
                    }
                }
                ("i", "?1") => priority.incremental = true,
                ("i", "?0") => priority.incremental = false,
                _ => {}
            }
        }
        priority
    }

    /// 0 (first) to 7 (last).
    pub fn urgency(self) -> u8 {
        self.urgency
    }

    /// Whether the caller can use a part of the answer before the rest.
    pub fn incremental(self) -> bool {
        self.incremental
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read_and_nonsense_counts_as_absent() {
        let read = |text| {
            let it = Priority::parse(text);
            (it.urgency(), it.incremental())
        };
        assert_eq!(read("u=1"), (1, false));
        assert_eq!(read("u=0, i"), (0, true));
        assert_eq!(read("i=?1,u=7"), (7, true));
        assert_eq!(read("i, i=?0"), (3, false));
        assert_eq!(read("u=5;x=1"), (5, false));
        for nonsense in ["", "u=8", "u=-1", "u=x", "u", "U=1", "x=1", ",,;"] {
            assert_eq!(read(nonsense), (3, false), "{nonsense:?}");
        }
    }
}
