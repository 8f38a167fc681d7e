//! The JSON of signals and of presence, each event one line that ends with a line feed.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// A `signal` event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "signal")]
pub struct Signal<'a> {
    /// What it is about.
    pub topic: &'a str,
    /// What it says, a word of the clients'.
    pub name: &'a str,
    /// Who sent it.
    pub from: Sender<'a>,
    /// The write that it announces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<&'a str>,
    /// Whatever else the clients say to each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

/// Who sent a signal.
#[derive(Debug, Serialize)]
pub struct Sender<'a> {
    /// The user.
    pub user: &'a str,
    /// The channel.
    pub channel: &'a str,
}

/// A `void` event: the write that a signal announced did not happen.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "void")]
pub struct Void<'a> {
    /// The write.
    pub action_id: &'a str,
}

/// A `key` event: the key of a row that was in force is not any more.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "key")]
pub struct KeyEvent<'a> {
    /// Of which row.
    pub topic: &'a str,
}

/// A `presence` event.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "presence")]
pub struct PresenceEvent<'a> {
    /// Where.
    pub topic: &'a str,
    /// Who came, or has another state or number of devices.
    pub joined: &'a [Person],
    /// Who went.
    pub left: Vec<Absent<'a>>,
    /// How many are present, where there are too many to list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<usize>,
}

/// The answer of `GET /topics/{topic}/presence`.
#[derive(Debug, Serialize)]
pub struct PresenceList<'a> {
    /// Where.
    pub topic: &'a str,
    /// How many are present.
    pub count: usize,
    /// Who is, as far as they are listed.
    pub present: Vec<Person>,
}

/// Somebody who is present.
#[derive(Debug, Clone, Serialize)]
pub struct Person {
    /// The user.
    pub user: Arc<str>,
    /// How many channels of the user's are there.
    pub devices: usize,
    /// What the user says about themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Arc<RawValue>>,
}

impl PartialEq for Person {
    fn eq(&self, other: &Self) -> bool {
        let state = |it: &Self| it.state.as_ref().map(|it| it.get().to_owned());
        self.user == other.user && self.devices == other.devices && state(self) == state(other)
    }
}

/// Somebody who is not present any more.
#[derive(Debug, Serialize)]
pub struct Absent<'a> {
    /// The user.
    pub user: &'a str,
}

/// The event as a line. Line breaks between the tokens of a raw value would end it early.
///
/// # Panics
/// Never: these shapes always have a JSON form.
pub fn line(event: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(event).expect("an event has a JSON form");
    for byte in &mut line {
        // Inside of JSON strings these are always escaped.
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    line.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn events_are_as_the_protocol_shows_them() {
        let data = RawValue::from_string("{\n \"a\": \"b\\n\"}".to_owned()).unwrap();
        let signal = Signal {
            topic: "tickets/42",
            name: "typing",
            from: Sender {
                user: "7",
                channel: "tab-1",
            },
            action_id: Some("a1"),
            data: Some(&data),
        };
        let line_of = |line: Bytes| {
            assert_eq!(line.iter().filter(|it| **it == b'\n').count(), 1);
            serde_json::from_slice::<Value>(&line).unwrap()
        };
        assert_eq!(
            line_of(line(&signal)),
            json!({"type": "signal", "topic": "tickets/42", "name": "typing",
                   "from": {"user": "7", "channel": "tab-1"}, "action_id": "a1",
                   "data": {"a": "b\n"}})
        );
        assert_eq!(
            line_of(line(&Void { action_id: "a1" })),
            json!({"type": "void", "action_id": "a1"})
        );
        let event = PresenceEvent {
            topic: "organization",
            joined: &[Person {
                user: "7".into(),
                devices: 2,
                state: None,
            }],
            left: vec![Absent { user: "8" }],
            count: None,
        };
        assert_eq!(
            line_of(line(&event)),
            json!({"type": "presence", "topic": "organization",
                   "joined": [{"user": "7", "devices": 2}], "left": [{"user": "8"}]})
        );
    }
}
