//! Who carries what is announced to the channels: here in memory, later between nodes.
