//! Every setting, limit and time-out, with units.
