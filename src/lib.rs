//! rowcast: a server in front of PostgreSQL that answers a GET at once, streams its rows to the
//! caller's own channel, and announces every committed change to those who may see it.
