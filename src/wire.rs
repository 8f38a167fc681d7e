//! Every JSON shape and header a caller sees; the only place that encodes for callers.
