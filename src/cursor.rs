//! Cursors: snapshots signed and bound to one database, opaque to callers.
