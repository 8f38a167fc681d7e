//! What is told of a list beside its rows: where the next page begins, and how many rows there are.
//!
//! Knows neither queries' SQL nor transactions: it looks at rows that others read.

use crate::error::{Error, Result};
use tokio_postgres::Row;

/// Watches the rows of a page go by. One row more than the page has is read, to know whether there is
/// a next page.
#[derive(Debug)]
pub(super) struct Pager {
    limit: u64,
    seen: u64,
    /// How many texts, behind the encoder's columns, are the values of the order.
    width: usize,
    last: Option<Vec<Option<String>>>,
    more: bool,
}

impl Pager {
    /// For a page of so many rows, in an order of so many values.
    pub(super) fn new(limit: u64, width: usize) -> Self {
        Self {
            limit,
            seen: 0,
            width,
            last: None,
            more: false,
        }
    }

    /// Whether a row is one of the page's; `from` is the column at which the order's values begin.
    pub(super) fn takes(&mut self, row: &Row, from: usize) -> Result<bool> {
        if self.seen == self.limit {
            self.more = true;
            return Ok(false);
        }
        self.seen += 1;
        if self.seen == self.limit {
            let texts = (from..from + self.width).map(|index| row.try_get(index));
            let texts: Result<Vec<Option<String>>, _> = texts.collect();
            self.last = Some(texts.map_err(|error| {
                Error::internal("a row lacks the values of its order").with_source(error)
            })?);
        }
        Ok(true)
    }

    /// The values of the row at which the page ends, if there is a next page.
    pub(super) fn end(&self) -> Option<&[Option<String>]> {
        self.last.as_deref().filter(|_| self.more)
    }
}

/// How many rows PostgreSQL's planner promises, in the first line of its explanation.
pub(super) fn promised(line: &str) -> Option<u64> {
    let (_, behind) = line.split_once("rows=")?;
    let digits = behind.find(|it: char| !it.is_ascii_digit());
    behind[..digits.unwrap_or(behind.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_is_read() {
        let line = "Seq Scan on books t  (cost=0.00..1.04 rows=42 width=4)";
        assert_eq!(promised(line), Some(42));
        assert_eq!(promised("Result"), None);
    }
}
