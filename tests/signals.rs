//! Topics, signals and presence, end to end: what clients tell each other without the database.

mod delivery;
mod everywhere;
mod keys;
mod notices;
mod presence;
mod rights;
mod writes;

use crate::support::{Channel, Client, TestServer, Transport};
use serde_json::{Value, json};

/// A channel of the help desk that is open and has joined these topics.
async fn on(client: &Client, transport: Transport, id: &str, topics: &[&str]) -> Channel {
    let mut channel = client.channel(transport, id).await;
    channel.expect("open").await;
    for topic in topics {
        let joined = client.put(&format!("/channels/{id}/topics/{topic}"), json!({}));
        joined.expect(204).await;
        let hello = channel.expect("presence").await;
        assert_eq!(hello["topic"], *topic);
    }
    channel
}

/// Sends by HTTP, from a channel of its own.
async fn send(client: &Client, signal: Value) {
    let sent = client
        .post("/signals", signal)
        .header("channel-id", "sender");
    sent.expect(202).await;
}

/// The next signal, whoever comes and goes meanwhile.
async fn signal(channel: &mut Channel) -> Value {
    loop {
        let event = channel.next().await;
        match event["type"].as_str() {
            Some("signal") => return event,
            Some("presence" | "ping") => {}
            _ => panic!("expected a signal, got {event}"),
        }
    }
}

/// A private ticket that user 1 of organization 1 sees and user 2 does not, and one that both see.
async fn tickets(server: &TestServer) -> (String, String) {
    let client = server.client(1, 1);
    let id = async |filter: &str| {
        let rows = client.get(&format!("/tickets?{filter}&order=id&limit=1"));
        rows.expect(200).await.json()[0]["id"].to_string()
    };
    (id("private=eq.true").await, id("private=eq.false").await)
}
