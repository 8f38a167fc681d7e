//! The readers: each one identity on one transport, with a store of its own. In work they ask at
//! random moments and misbehave; at rest they read on until they are told everything, and compare
//! themselves with PostgreSQL and with a plain GET.

mod comparison;
mod mischief;

use super::{
    book::{Beginning, Book, foreign_value},
    company::{Company, Member, Phase},
    ears::row_topic,
    invariants::Invariant,
    plan::Random,
    proxy::Proxy,
    schema::RESOURCES,
};
use crate::support::{Channel, Client, Refused, Transport};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// How long an answer may take while the server is ill-treated.
const ANSWER: Duration = Duration::from_secs(8);

/// Longer than a poll waits.
const POLL: Duration = Duration::from_millis(700);

pub(super) struct Reader {
    member: Member,
    who: String,
    client: Client,
    company: Company,
    /// Its own connections, where it has some that can be broken.
    line: Option<Arc<Proxy>>,
    random: Random,
    book: Book,
    channel: Option<Channel>,
    /// Counts the channels that it has had.
    life: u32,
    /// The last event that was taken.
    sequence: u64,
    since: Option<Since>,
    /// How the channel that is read was attached to.
    began: Beginning,
    /// Whether a poll of it was answered.
    polled: bool,
    asked: u64,
    /// Whether it has joined the topics that it wants to be on.
    joined: bool,
}

/// What a channel is resumed from.
#[derive(Debug, Clone)]
struct Since {
    cursor: String,
    /// Its version, if it is a cursor that counts.
    version: Option<u64>,
}

impl Reader {
    pub(super) fn new(
        member: Member,
        client: Client,
        company: &Company,
        line: Option<Arc<Proxy>>,
        random: Random,
    ) -> Self {
        let who = format!(
            "{:?}-{}-{}",
            member.transport, member.organization, member.user
        );
        Self {
            book: Book::new(
                &who,
                member.organization,
                &company.findings,
                company.peaceful,
                company.roster.clone(),
            ),
            who,
            member,
            client,
            company: company.clone(),
            line,
            random,
            channel: None,
            life: 0,
            sequence: 0,
            since: None,
            began: Beginning::default(),
            polled: false,
            asked: 0,
            joined: false,
        }
    }

    /// Reads until the end of the run.
    pub(super) async fn run(mut self) {
        let mut compared = None;
        let mut deadline = None;
        loop {
            let phase = self.company.phase.borrow().clone();
            match phase {
                Phase::Work => {
                    deadline = None;
                    if !self.company.peaceful {
                        self.misbehave().await;
                    }
                    self.live(self.company.curious).await;
                }
                Phase::Rest { mark, version } => {
                    if compared == Some(mark) {
                        self.live(false).await;
                        continue;
                    }
                    let by = *deadline.get_or_insert(Instant::now() + self.company.patience);
                    let settled = self.joined && self.book.is_settled(mark, version);
                    if !settled && Instant::now() < by {
                        self.live(false).await;
                        continue;
                    }
                    if settled {
                        self.compare().await;
                    } else {
                        let what = format!(
                            "mark {mark}, version {version}: {}, attached {}",
                            self.book.standing(),
                            self.channel.is_some()
                        );
                        self.book.finds(Invariant::CatchesUp, what);
                    }
                    self.book.ears.judge();
                    if !self.company.peaceful {
                        self.book.judge_announced();
                    }
                    compared = Some(mark);
                    let _ = self.company.rested.send(self.who.clone()).await;
                }
                Phase::End => break,
            }
        }
        self.company.tally.read(&self.book);
        if let Some(channel) = self.channel.take() {
            drop(channel);
        }
        let path = format!("/channels/{}", self.channel_id());
        let _ = self.client.delete(&path).try_send(ANSWER).await;
    }

    fn channel_id(&self) -> String {
        format!("{}-{}", self.who, self.life)
    }

    /// Attached, with everything asked for that is needed, reads for a moment.
    async fn live(&mut self, ask: bool) {
        if self.channel.is_none() && !self.attach().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return;
        }
        if let Some(resource) = self.book.next_need()
            && self.book.open_requests() < 8
        {
            self.ask(resource, "", false).await;
        } else if ask && self.random.one_in(40) {
            self.take_plain().await;
        } else if ask && self.random.one_in(40) && self.book.open_requests() < 4 {
            let resource = self.random.pick(&RESOURCES);
            let query = self
                .random
                .pick(&["", "?limit=20", "?order=organization_id&limit=7", ""]);
            self.ask(resource, query, false).await;
        }
        self.read(Duration::from_millis(25)).await;
        if !self.joined && self.sequence > 0 {
            self.join().await;
        }
    }

    /// Takes part in the topic of its organization's row, if it is one of those who do.
    async fn join(&mut self) {
        let id = self.channel_id();
        let topic = (self.member.user % 2 == 0).then(|| row_topic(self.member.organization));
        let topic = topic.filter(|_| self.company.roster.is_some());
        if let Some(topic) = &topic {
            let path = format!("/channels/{id}/topics/{topic}");
            let joined = self.client.put(&path, json!({})).try_send(ANSWER).await;
            if !joined.is_ok_and(|it| it.status == 204) {
                return;
            }
        }
        self.book.ears.sits(&id, topic);
        self.joined = true;
    }

    async fn attach(&mut self) -> bool {
        // Whoever comes back with both goes on from the number, and from the cursor if that is too old.
        let resumes = self.sequence > 0 && self.since.is_none();
        let since = match self.since.clone() {
            None if resumes && self.random.one_in(2) => self.last_cursor(),
            since => since,
        };
        self.began = Beginning {
            after: resumes.then_some(self.sequence),
            since: since.as_ref().map(|it| it.version),
            // A poll asks for nothing meanwhile.
            asked: (self.member.transport != Transport::LongPoll).then(|| self.book.requests()),
        };
        let after = self.began.after.map(|it| format!("after={it}"));
        let since = since.map(|it| format!("since={}", it.cursor));
        let mut query = [after, since]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("&");
        if self.member.transport == Transport::LongPoll {
            query += "&wait=0.4";
        }
        let id = self.channel_id();
        self.book.did(format!("attaches to {id}?{query}"));
        let attached = self
            .client
            .try_channel(self.member.transport, &id, &query, ANSWER);
        match attached.await {
            Ok(mut channel) => {
                self.company.tally.count("attachments");
                let (findings, who) = (self.company.findings.clone(), self.who.clone());
                let organization = self.member.organization;
                let tally = self.company.tally.clone();
                channel.tap(Box::new(move |frame| {
                    tally.frame(frame.len());
                    if let Some(value) = foreign_value(frame, organization) {
                        findings.add(Invariant::Isolation, &who, value);
                    }
                }));
                self.channel = Some(channel);
                self.polled = false;
                true
            }
            Err(Refused::Answered(status, text)) => {
                self.company
                    .tally
                    .count(&format!("attachments refused with {status}"));
                if status < 500 && status != 429 {
                    let what = format!("{query}: {status}: {text}");
                    self.book.finds(Invariant::CatchesUp, what);
                }
                false
            }
            Err(Refused::Unreachable(_)) => {
                self.company.tally.count("attachments that failed");
                false
            }
        }
    }

    /// Asks for rows; the id, if the server took it.
    async fn ask(&mut self, resource: &'static str, query: &str, collect: bool) -> Option<String> {
        self.asked += 1;
        let id = format!("r{}", self.asked);
        self.book.asks(&id, resource, query.is_empty(), collect);
        let call = self
            .client
            .get(&format!("/{resource}{query}"))
            .header("request-id", &id)
            .header("channel-id", &self.channel_id());
        self.company.tally.count("asynchronous GETs");
        self.book.did(format!("asks {id} for {resource}{query}"));
        let accepted = match call.try_send(ANSWER).await {
            Ok(answer) => Some(answer.status == 202),
            Err(_) => None,
        };
        self.book.answered(&id, accepted);
        accepted.unwrap_or(false).then_some(id)
    }

    /// Asks for rows at once and keeps them, as whoever has a channel may.
    async fn take_plain(&mut self) {
        // What was answered before the channel began is not its to correct.
        if self.sequence == 0 {
            return;
        }
        let resource = self.random.pick(&RESOURCES);
        let query = self
            .random
            .pick(&["", "?limit=20", "?order=id.desc&limit=5"]);
        let query = if resource == "marks" { "" } else { query };
        self.book.did(format!("asks at once for {resource}{query}"));
        let call = self.client.get(&format!("/{resource}{query}"));
        let Ok(answer) = call.try_send(ANSWER).await else {
            return;
        };
        if answer.status == 200 {
            self.company.tally.count("plain GETs kept");
            self.book.shown(resource, answer.version(), &answer.json());
        }
    }

    /// Takes in what comes within this time.
    async fn read(&mut self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while let Some(channel) = &mut self.channel {
            let left = deadline.saturating_duration_since(Instant::now());
            // A poll that is given up before its time is never told that nothing happens.
            let left = match self.member.transport {
                Transport::LongPoll if !left.is_zero() => left.max(POLL),
                _ => left,
            };
            let Some(event) = channel.next_within(left).await else {
                if channel.has_ended() {
                    self.channel = None;
                }
                return;
            };
            let told = channel.told_sequence;
            let counted = channel.sequence;
            if event["type"] == "open" {
                // A poll that goes on says what it has.
                let again = self.polled.then_some(self.sequence);
                self.began.after = self.began.after.or(again);
                let began = self.began.clone();
                self.since = None;
                self.book.opened(&event, &began);
            } else {
                self.book.take(&event);
            }
            self.sequence = counted;
            self.polled = self.member.transport == Transport::LongPoll;
            if told.is_some_and(|it| it != counted) {
                let what = format!("counted {counted}, told {told:?}: {event}");
                self.book.finds(Invariant::SequenceUnbroken, what);
            }
            if event["type"] == "close" {
                self.company
                    .tally
                    .count(&format!("close {}", event["code"]));
                if event["code"].as_u64() == Some(4002) {
                    self.begin_anew().await;
                }
                self.channel = None;
            }
        }
    }
}
