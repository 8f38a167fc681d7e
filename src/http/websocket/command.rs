//! The commands of a WebSocket, each the twin of an HTTP request.

use crate::{
    channel::{Channel, Priority, RequestId},
    error::{Error, Kind, Result},
    http::{asynchronous::Asynchronous, channels::Renewal, reply::log_refused, signals::Sent},
    signal::Signals,
    wire::{event::Close, problem},
};
use serde::{Deserialize, de::Error as _};
use serde_json::value::RawValue;
use std::{borrow::Cow, sync::Arc};

/// Carries out the commands of one socket.
pub(in crate::http) struct Commands {
    pub(in crate::http) asynchronous: Arc<Asynchronous>,
    pub(in crate::http) renewal: Renewal,
    pub(in crate::http) signals: Arc<Signals>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Command {
    Get {
        request_id: String,
        path: String,
        priority: Option<u64>,
    },
    Cancel {
        request_id: String,
    },
    Ack {
        sequence: u64,
    },
    Auth {
        token: String,
    },
    Leave {
        topic: String,
    },
    #[serde(skip)]
    Join(Join),
    #[serde(skip)]
    Signal(Sent),
}

/// The two that carry JSON which is passed on as it is: serde keeps no raw value inside of a tagged
/// enum.
#[derive(Deserialize)]
struct Join {
    topic: String,
    state: Option<Box<RawValue>>,
}

impl Command {
    /// Every `type` there is, in the order of docs/PROTOCOL.md.
    const TYPES: &'static [&'static str] =
        &["get", "cancel", "ack", "join", "leave", "signal", "auth"];

    fn read(text: &str) -> serde_json::Result<Self> {
        #[derive(Deserialize)]
        #[serde(expecting = "an object with a `type`")]
        struct Tag<'a> {
            #[serde(rename = "type", borrow)]
            tag: Option<Cow<'a, str>>,
        }
        let tag = serde_json::from_str::<Tag<'_>>(text)?.tag;
        match tag.as_deref() {
            Some("join") => serde_json::from_str(text).map(Self::Join),
            Some("signal") => serde_json::from_str(text).map(Self::Signal),
            Some(other) if !Self::TYPES.contains(&other) => {
                Err(serde_json::Error::unknown_variant(other, Self::TYPES))
            }
            _ => serde_json::from_str(text),
        }
    }
}

/// A read that is asked for with the attaching itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct First {
    request_id: String,
    path: String,
    priority: Option<u64>,
}

/// What becomes of the socket.
pub(super) enum Outcome {
    Done,
    Close(Close),
}

impl Commands {
    /// Carries out a command. What it asks for, and what is wrong with it, comes as events of the
    /// channel.
    pub(super) async fn run(&self, text: &str, channel: &Arc<Channel>) -> Outcome {
        let command = match Command::read(text) {
            Ok(command) => command,
            Err(error) => return self.refuse(channel, &malformed(error), None),
        };
        match self.carry_out(&command, channel).await {
            Ok(outcome) => outcome,
            Err(error) => self.refuse(channel, &error, command.request_id()),
        }
    }

    /// Begins the reads that came along with the attaching; as with commands, what is wrong with one
    /// comes as an event.
    pub(in crate::http) async fn begin(&self, reads: Vec<First>, channel: &Arc<Channel>) {
        for first in reads {
            let command = Command::Get {
                request_id: first.request_id,
                path: first.path,
                priority: first.priority,
            };
            if let Err(error) = self.carry_out(&command, channel).await {
                self.refuse(channel, &error, command.request_id());
            }
        }
    }

    /// Tells the channel that a command failed; closes where so many errors wait already that
    /// nobody seems to listen.
    pub(super) fn refuse(&self, channel: &Channel, error: &Error, of: Option<&str>) -> Outcome {
        log_refused(error, "a command failed");
        match channel.error(&problem::document(error, of)) {
            true => Outcome::Done,
            false => Outcome::Close(Close::LIMITS),
        }
    }

    async fn carry_out(&self, command: &Command, channel: &Arc<Channel>) -> Result<Outcome> {
        match command {
            Command::Get {
                request_id,
                path,
                priority,
            } => {
                let id = RequestId::parse(request_id)?;
                let priority = match priority.map(Priority::of_urgency) {
                    None => Priority::default(),
                    Some(Some(priority)) => priority,
                    Some(None) => return Err(malformed("a priority is 0 to 7")),
                };
                self.asynchronous.get(channel, id, priority, path).await?;
            }
            Command::Cancel { request_id } => {
                let id = RequestId::parse(request_id)?;
                if channel.request(&id).is_none() {
                    let detail = format!("There is no request {request_id:?} on this channel.");
                    return Err(Error::new(Kind::RequestUnknown, detail));
                }
                channel.cancel(&id);
            }
            Command::Ack { sequence } => channel.acknowledge(*sequence)?,
            Command::Auth { token } => {
                if let Some(reason) = self.renewal.renew(channel, token, &self.signals)? {
                    return Ok(Outcome::Close(reason));
                }
            }
            Command::Join(join) => {
                let state = join.state.as_deref();
                self.signals.join(channel, &join.topic, state).await?;
            }
            Command::Leave { topic } => self.signals.leave(channel, topic)?,
            Command::Signal(signal) => self.signals.send(channel, &signal.message()?).await?,
        }
        Ok(Outcome::Done)
    }
}

impl Command {
    fn request_id(&self) -> Option<&str> {
        match self {
            Command::Get { request_id, .. } | Command::Cancel { request_id } => Some(request_id),
            _ => None,
        }
    }
}

fn malformed(cause: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::CommandMalformed,
        format!("The command cannot be read: {cause}."),
    )
    .with_hint("A command is a JSON object, such as {\"type\":\"ack\",\"sequence\":91}.")
}

#[cfg(test)]
mod tests {
    use super::Command;

    #[test]
    fn an_unknown_type_is_told_which_there_are() {
        let refused = Command::read(r#"{"type":"nope"}"#).err().expect("refused");
        for name in Command::TYPES {
            assert!(refused.to_string().contains(name), "{refused}");
            // A type that is named is known: what it then misses is another field.
            let read = Command::read(&format!(r#"{{"type":"{name}"}}"#)).err();
            let told = read.expect("nothing is given along").to_string();
            assert!(told.contains("missing field"), "{told}");
        }
    }
}
