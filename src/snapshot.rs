//! States of the database: the snapshot, the version that orders states, the position of the feed.
//!
//! Pure: knows neither PostgreSQL's protocol nor how a cursor is signed (that is [`crate::cursor`]).

use crate::error::{Error, Result};
use std::{fmt, str::FromStr, sync::Arc};

/// A transaction id with its epoch (`xid8`).
pub type Xid = u64;

/// An integer that orders all states of the database: the number of transactions finished by then.
///
/// `xmax − |xip|` of a snapshot never decreases, and two different states never share one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Version(pub u64);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What `pg_current_snapshot()` returns (PostgreSQL manual, "Transaction ID and Snapshot Information
/// Functions"): every transaction below `xmax` and not in `xip` is visible if it committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The lowest transaction id that was still active.
    pub xmin: Xid,
    /// One past the highest transaction id that had finished.
    pub xmax: Xid,
    /// The transactions in progress, ascending, all in `xmin..xmax`.
    pub xip: Vec<Xid>,
}

impl Snapshot {
    /// The version of the state that this snapshot sees.
    pub fn version(&self) -> Version {
        Version(self.xmax - self.xip.len() as u64)
    }
}

impl FromStr for Snapshot {
    type Err = Error;

    /// Reads PostgreSQL's text form, `xmin:xmax:xip,xip,…`.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = || Error::internal(format!("not a snapshot: {text:?}"));
        let mut parts = text.splitn(3, ':');
        let mut number = || {
            parts
                .next()
                .and_then(|part| part.parse().ok())
                .ok_or_else(malformed)
        };
        let (xmin, xmax) = (number()?, number()?);
        let mut xip: Vec<Xid> = parts
            .next()
            .ok_or_else(malformed)?
            .split(',')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().map_err(|_| malformed()))
            .collect::<Result<_>>()?;
        xip.sort_unstable();
        if xmin > xmax || xip.iter().any(|xid| *xid < xmin || *xid >= xmax) {
            return Err(malformed());
        }
        Ok(Self { xmin, xmax, xip })
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.xmin, self.xmax)?;
        for (index, xid) in self.xip.iter().enumerate() {
            write!(f, "{}{xid}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// A state of the database by its two names: the version, which orders, and the cursor, which resumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Orders this state among all others.
    pub version: Version,
    /// The opaque, authenticated name of this state.
    pub cursor: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_counts_finished_transactions() {
        let snapshot: Snapshot = "10:20:12,15".parse().expect("well formed");
        assert_eq!(snapshot.version(), Version(18));
        assert_eq!(snapshot.to_string(), "10:20:12,15");
        assert_eq!(
            "7:7:".parse::<Snapshot>().expect("well formed").version(),
            Version(7)
        );
    }

    #[test]
    fn malformed_snapshots_are_refused() {
        for text in ["", "1", "1:2", "2:1:", "1:5:7", "a:b:", "1:5:x"] {
            assert!(text.parse::<Snapshot>().is_err(), "{text:?}");
        }
    }
}
