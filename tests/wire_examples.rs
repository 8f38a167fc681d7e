//! The examples in tests/wire, which the client's tests read as well, so that the two cannot drift
//! apart: events are encoded exactly so, and commands are taken.

use crate::support::{TestServer, Transport, server::SECRET, token_of};
use bytes::{Bytes, BytesMut};
use rowcast::{
    snapshot::{Position, Version},
    wire::{
        event::{self, Actions, Change, Close, Done, Op, Open},
        signal::{self, Absent, KeyEvent, Person, PresenceEvent, Sender, Signal, Void},
    },
};
use serde_json::{Value, json};
use std::path::Path;

fn examples(file: &str) -> serde_json::Map<String, Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/wire")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    match serde_json::from_str(&text).unwrap() {
        Value::Object(examples) => examples,
        other => panic!("not an object: {other}"),
    }
}

fn position(version: u64, cursor: &str) -> Position {
    Position {
        version: Version(version),
        cursor: cursor.into(),
    }
}

fn written(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    out.freeze()
}

fn row(partial: bool, row: &Value) -> Bytes {
    let mut line = event::row_prefix("r1", "tickets", Version(752), partial);
    line.extend_from_slice(row.to_string().as_bytes());
    line.extend_from_slice(event::ROW_SUFFIX);
    line.into()
}

struct Told<'a> {
    op: Op,
    resource: &'a str,
    key: &'a str,
    version: u64,
    actions: Actions,
    row: Option<Value>,
    cursor: Option<&'a str>,
}

impl Told<'_> {
    fn encode(&self) -> Bytes {
        let row = self.row.as_ref().map(Value::to_string);
        let change = Change {
            op: self.op,
            resource: self.resource,
            key: self.key,
            version: Version(self.version),
            actions: &self.actions,
            row: row.as_deref().map(str::as_bytes),
            cursor: self.cursor,
        };
        written(|out| change.write(out))
    }
}

fn told<'a>(op: Op, resource: &'a str, key: &'a str, version: u64) -> Told<'a> {
    Told {
        op,
        resource,
        key,
        version,
        actions: Actions::None,
        row: None,
        cursor: None,
    }
}

fn raw(value: &Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(value).unwrap()
}

fn signalled() -> Bytes {
    signal::line(&Signal {
        topic: "tickets/42",
        name: "comment",
        from: Sender {
            user: "7",
            channel: "tab-1",
        },
        action_id: Some("a1"),
        data: Some(&raw(&json!({"body": "Soon"}))),
    })
}

fn present() -> Bytes {
    signal::line(&PresenceEvent {
        topic: "tickets/42",
        joined: &[Person {
            user: "7".into(),
            devices: 2,
            state: Some(raw(&json!({"typing": true})).into()),
        }],
        left: vec![Absent { user: "8" }],
        count: None,
    })
}

/// Every example, as the server encodes it.
fn encoded() -> Vec<(&'static str, Bytes)> {
    let open = Open {
        channel_id: "tab-1",
        sequence: 1_795_365_552_939_358,
        resumed: true,
        position: &position(752, "c1"),
        ping_seconds: 25,
    };
    let done = Done {
        request_id: "r1",
        rows: 25,
        position: &position(752, "c1"),
        next: Some("n1"),
        count: Some(1600),
    };
    let stalled = json!({"type": "request-stalled", "title": "Nobody read", "status": 408});
    let malformed = json!({"type": "command-malformed", "title": "Not a command", "status": 400});
    let whole = json!({"id": 42, "subject": "Where is my \"parcel\"?", "assignee_id": null});
    let insert = Told {
        actions: Actions::One("a1".into()),
        row: Some(json!({"id": 43, "subject": "New"})),
        ..told(Op::Insert, "tickets", "43", 760)
    };
    let update = Told {
        actions: Actions::Several(["a1".into(), "a2".into()].into()),
        row: Some(json!({"id": 42, "subject": "Here it is"})),
        cursor: Some("c2"),
        ..told(Op::Update, "tickets", "42", 760)
    };
    let delete = Told {
        cursor: Some("c3"),
        ..told(Op::Delete, "ticket_labels", "[42,3]", 761)
    };
    let gone = Told {
        cursor: Some("c4"),
        ..told(Op::Gone, "tickets", "44", 762)
    };
    let at = position(771, "c5");
    vec![
        ("open", open.encode()),
        ("row", row(false, &whole)),
        ("partial row", row(true, &json!({"id": 42}))),
        ("done", done.encode()),
        (
            "error of a request",
            event::error(Some(("r1", 12)), stalled.to_string().as_bytes()),
        ),
        (
            "error of a command",
            event::error(None, malformed.to_string().as_bytes()),
        ),
        ("insert", insert.encode()),
        ("update by several", update.encode()),
        ("key alone", told(Op::Update, "notes", "7", 760).encode()),
        ("delete of a composite key", delete.encode()),
        ("gone", gone.encode()),
        (
            "reset of a resource",
            written(|out| event::reset(out, Some("tickets"), "lagged", &[], &at)),
        ),
        (
            "reset of everything",
            written(|out| event::reset(out, None, "cursor", &[], &at)),
        ),
        ("signal", signalled()),
        ("void", signal::line(&Void { action_id: "a1" })),
        ("presence", present()),
        (
            "key",
            signal::line(&KeyEvent {
                topic: "tickets/42",
            }),
        ),
        ("ping", event::ping(&position(772, "c6"))),
        ("close for good", Close::REPLACED.encode()),
        ("close for a while", Close::SHUTTING_DOWN.encode()),
    ]
}

#[test]
fn events_are_encoded_as_the_examples_have_them() {
    let mut examples = examples("events.json");
    for (name, line) in encoded() {
        let expected = examples.remove(name);
        // The client looks at the beginning of a line before it reads the rest.
        assert!(line.starts_with(b"{\"type\":\""), "{name}");
        assert_eq!(line.last(), Some(&b'\n'), "{name}");
        let event: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(Some(event), expected, "{name}");
    }
    assert!(examples.is_empty(), "not encoded: {examples:?}");
}

/// The server knows nothing of what clients encrypt; that the examples are what the protocol says is
/// looked at here, with another library than the client's.
#[test]
fn encrypted_signals_are_what_the_protocol_says() {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let bytes = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap();
    for (name, example) in examples("encrypted.json") {
        let (signal, key) = (&example["signal"], bytes(&example["key"]));
        let authenticated = json!([
            "rowcast signal",
            1,
            signal["data"]["key_id"],
            signal["topic"],
            signal["name"],
            signal["from"]["user"],
            signal["from"]["channel"],
            signal["action_id"],
        ]);
        let authenticated = authenticated.to_string();
        assert_eq!(authenticated, example["authenticated"].as_str().unwrap());
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
        let opened = |authenticated: &str| {
            let nonce = bytes(&signal["data"]["nonce"]);
            let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
            let mut text = bytes(&signal["data"]["cipher"]);
            let plain = key.open_in_place(nonce, Aad::from(authenticated.as_bytes()), &mut text);
            plain.map(|it| String::from_utf8(it.to_vec()).unwrap()).ok()
        };
        let plain = opened(&authenticated).unwrap_or_else(|| panic!("{name}: not decrypted"));
        assert_eq!(plain, example["data_text"].as_str().unwrap(), "{name}");
        assert_eq!(opened(&format!("{authenticated} ")), None, "{name}");
    }
}

#[tokio::test]
async fn commands_are_taken_as_the_examples_have_them() {
    let server = TestServer::helpdesk().await;
    let client = server.client(1, 1);
    let mut channel = client.channel(Transport::WebSocket, "tab-1").await;
    let open = channel.expect("open").await;
    let mut examples = examples("commands.json");
    let mut take = |name: &str| examples.remove(name).unwrap_or_else(|| panic!("no {name}"));

    channel.command(take("get")).await;
    let (rows, done) = channel.until("done").await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(done["request_id"], "r1");
    let mut ack = take("ack");
    ack["sequence"] = (open["sequence"].as_u64().unwrap() + 4).into();
    channel.command(ack).await;
    let mut auth = take("auth");
    auth["token"] = token_of(SECRET, json!({ "org": 1, "sub": 1 })).into();
    channel.command(auth).await;
    // The request has ended, so that there is nothing to cancel: it is understood all the same.
    channel.command(take("cancel")).await;
    let refusal = channel.expect("error").await;
    assert_eq!(refusal["problem"]["type"], "request-unknown", "{refusal}");
    assert!(examples.is_empty(), "not tried: {examples:?}");
    channel.leave().await;
    server.finish().await;
}
