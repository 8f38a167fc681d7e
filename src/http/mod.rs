//! The table of routes. The only user of warp.

mod websocket;
