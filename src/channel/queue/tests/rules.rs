//! What depends on time, and what a reader is told when it begins.
