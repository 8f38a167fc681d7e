//! The WebSocket transport of a channel: the handshake, the socket taken over, its commands.

mod codec;
mod socket;
