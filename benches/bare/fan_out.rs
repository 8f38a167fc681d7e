//! How a bare program says one thing to many: loopback connections, each with a task of its own that
//! is woken and writes a frame which is ready. No HTTP, no queue, no reading. What it costs is what the
//! kernel's TCP and the runtime cost, the receiver's half of the kernel's work included, which over
//! loopback is done in the sender's turn.

use bytes::Bytes;
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, tcp::OwnedWriteHalf},
    sync::Notify,
};

/// What the bench is called with to be this program; the address follows.
pub(crate) const ARGUMENT: &str = "--bare-fan-out";

/// Listens, and at whatever comes in from one connection writes `text` as a WebSocket message to all
/// others.
pub(crate) async fn run(text: &str) {
    let address = std::env::args().next_back().unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let length = u8::try_from(text.len()).unwrap();
    assert!(length < 126, "the head of the frame has two bytes");
    let frame = Bytes::from([&[0x81, length], text.as_bytes()].concat());
    let readers: Arc<Mutex<Vec<Arc<Notify>>>> = Arc::default();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut incoming, outgoing) = stream.into_split();
        let wake = Arc::new(Notify::new());
        readers.lock().unwrap().push(wake.clone());
        tokio::spawn(write(outgoing, wake.clone(), frame.clone()));
        let readers = readers.clone();
        tokio::spawn(async move {
            let mut space = [0; 512];
            while incoming.read(&mut space).await.is_ok_and(|it| it > 0) {
                let readers = readers.lock().unwrap();
                let others = readers.iter().filter(|it| !Arc::ptr_eq(it, &wake));
                others.for_each(|it| it.notify_one());
            }
        });
    }
}

async fn write(mut outgoing: OwnedWriteHalf, wake: Arc<Notify>, frame: Bytes) {
    loop {
        wake.notified().await;
        if outgoing.write_all(&frame).await.is_err() {
            return;
        }
    }
}
