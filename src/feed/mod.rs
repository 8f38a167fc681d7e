//! The change feed: from the change log to batches, from batches through the broker to channels.
//! The only place that announces changes.
