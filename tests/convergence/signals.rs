//! Signals between readers that nobody disturbs: each reader sends as well, some of it announcing
//! writes that are made, refused, or never made. Then everything is compared: who heard what in which
//! order, how each announced write ended, and every store with the database. The same once more for
//! each kind of harm, which has to be found under its name.

use super::{
    company::Member,
    drill::end,
    ears::{Fate, Roster, Sent, row_topic},
    invariants::{Findings, Invariant},
    plan::Random,
    proxy::{Proxy, Rewriter, Upstream},
    readers::Reader,
    rounds::{self, Rounds, assert_found, assert_nothing},
    schema,
    wire::{Tamper, Wire},
};
use crate::support::{Client, Database, Transport, server::SECRET, token_of};
use rowcast::server::{Running, Server};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{net::TcpListener, time::Instant};

/// How long an announced write may take before it is taken back.
const ACTION: Duration = Duration::from_secs(3);

/// How long readers may take to come to rest: with nothing in their way as long as they need on a busy
/// machine, and with harm as long as it takes to see that something is missing.
const PATIENCE: [Duration; 2] = [Duration::from_secs(40), Duration::from_secs(8)];

/// Signals that each reader sends.
const SIGNALS: u64 = 18;

/// What can be done to signals on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    /// One goes to another organization as well.
    Misdirected,
    /// One does not come.
    Dropped,
    /// Two of one sender on one topic are swapped.
    Swapped,
    /// Nobody is told that a write does not come.
    VoidLost,
    /// One comes back to whoever sent it.
    Echoed,
}

impl Harm {
    const ALL: [(Self, Invariant); 5] = [
        (Self::Misdirected, Invariant::Isolation),
        (Self::Dropped, Invariant::SignalsReach),
        (Self::Swapped, Invariant::SignalsInOrder),
        (Self::VoidLost, Invariant::AnnouncedEnds),
        (Self::Echoed, Invariant::SignalsAddressed),
    ];
}

/// Does one kind of harm to what the server sends.
struct Harmful {
    harm: Option<Harm>,
    /// A signal that waits: for a line of another organization, or for the next one on its line.
    waiting: Option<(u64, Value)>,
    done: u64,
    /// The readers' channels, by the number of their line.
    channels: Vec<String>,
}

impl Tamper for Harmful {
    fn tamper(&mut self, line: u64, event: &str) -> Vec<String> {
        let unharmed = vec![event.to_owned()];
        let Some(harm) = self.harm else {
            return unharmed;
        };
        let parsed: Value = serde_json::from_str(event).expect("an event is JSON");
        let number = parsed["data"]["n"].as_u64();
        let harmed = match (harm, parsed["type"].as_str()) {
            (Harm::VoidLost, Some("void")) => Vec::new(),
            (Harm::Dropped, Some("signal")) if number == Some(3) => Vec::new(),
            (Harm::Echoed, Some("signal")) if number == Some(3) => {
                let mut echo = parsed.clone();
                echo["from"]["channel"] = json!(self.channels[line as usize]);
                vec![event.to_owned(), echo.to_string()]
            }
            (Harm::Misdirected, Some("signal")) => match self.waiting.take() {
                Some((_, stray))
                    if stray["data"]["organization_id"] != parsed["data"]["organization_id"] =>
                {
                    vec![event.to_owned(), stray.to_string()]
                }
                _ => {
                    self.waiting = Some((line, parsed));
                    return unharmed;
                }
            },
            (Harm::Swapped, Some("signal")) if number == Some(3) && self.waiting.is_none() => {
                self.waiting = Some((line, parsed));
                return Vec::new();
            }
            (Harm::Swapped, Some("signal")) => match self.waiting.take() {
                Some((of, first))
                    if of == line
                        && first["from"] == parsed["from"]
                        && first["topic"] == parsed["topic"] =>
                {
                    vec![event.to_owned(), first.to_string()]
                }
                waiting => {
                    self.waiting = waiting;
                    return unharmed;
                }
            },
            _ => return unharmed,
        };
        self.done += 1;
        harmed
    }
}

/// One run: these organizations, each with readers on these transports.
struct Run {
    harm: Option<(Harm, Invariant)>,
    organizations: Vec<i64>,
    transports: Vec<Transport>,
}

impl Run {
    /// Runs it; what was found, how often harm was done, and how many signals there were.
    async fn run(self, database: &Database, upstream: Upstream) -> (Findings, u64, usize) {
        let roster = Arc::<Roster>::default();
        let patience = PATIENCE[usize::from(self.harm.is_some())];
        let (mut rounds, company) = Rounds::begin(database, patience, Some(roster.clone()));
        let harmful = Arc::new(Mutex::new(Harmful {
            harm: None,
            waiting: None,
            done: 0,
            channels: Vec::new(),
        }));
        let (mut lines, mut members) = (Vec::new(), Vec::new());
        for organization in &self.organizations {
            for (at, transport) in self.transports.iter().enumerate() {
                let member = Member {
                    organization: *organization,
                    user: organization * 10 + at as i64,
                    transport: *transport,
                };
                let number = lines.len() as u64;
                let tamper: Arc<Mutex<dyn Tamper>> = harmful.clone();
                let rewriter: Rewriter =
                    Arc::new(move || Box::new(Wire::new(number, tamper.clone())));
                let line = Proxy::start(upstream.clone(), Some(rewriter)).await;
                let client = Client::new(line.address, Some(token_of(SECRET, member.claims())));
                let random = Random(*organization as u64).fork(number);
                let channel = format!("{transport:?}-{organization}-{}-0", member.user);
                harmful.lock().unwrap().channels.push(channel.clone());
                let reader = Reader::new(member, client.clone(), &company, None, random);
                rounds.enter(reader);
                members.push((member, client, channel));
                lines.push(line);
            }
        }
        let organizations: Vec<String> = self.organizations.iter().map(i64::to_string).collect();
        let wanted = format!("organization_id in ({})", organizations.join(", "));
        // Everybody is there, and on their topics, before anything is sent.
        rounds.rest(database, 1, &wanted).await;
        rounds.work();
        harmful.lock().unwrap().harm = self.harm.map(|it| it.0);
        let speakers = members.into_iter().map(|(member, client, channel)| {
            tokio::spawn(speak(member, client, channel, roster.clone()))
        });
        for speaker in speakers.collect::<Vec<_>>() {
            speaker.await.unwrap();
        }
        rounds.rest(database, 2, &wanted).await;
        rounds.end().await;
        let done = harmful.lock().unwrap().done;
        (company.findings, done, roster.count())
    }
}

/// Sends signals from a reader's channel, and makes most of the writes that they announce.
async fn speak(member: Member, client: Client, channel: String, roster: Arc<Roster>) {
    let o = member.organization;
    let topics = ["organization".to_owned(), row_topic(o)];
    let mut numbers = [0, 0];
    for round in 0..SIGNALS {
        let on = (round % 2) as usize;
        numbers[on] += 1;
        let action = (round % 3 == 0).then(|| format!("{channel}-act-{round}"));
        let mut signal = json!({
            "topic": topics[on], "name": "says",
            "data": { "n": numbers[on], "organization_id": o, "text": format!("org-{o} says") },
        });
        if let Some(action) = &action {
            signal["action_id"] = json!(action);
        }
        let begun = Instant::now();
        let call = client.post("/signals", signal);
        call.header("channel-id", &channel).expect(202).await;
        roster.sends(Sent {
            organization: o,
            topic: topics[on].clone(),
            sender: channel.clone(),
            number: numbers[on],
        });
        let Some(action) = action else { continue };
        let write = async |body: Value| {
            let call = client.post("/entries", body);
            call.header("action-id", &action)
                .send()
                .await
                .status
                .as_u16()
        };
        let fate = match round / 3 % 3 {
            0 => {
                let text = format!("org-{o} {action}");
                let status = write(json!({ "organization_id": o, "body": text })).await;
                assert_eq!(status, 201);
                match begun.elapsed() < ACTION / 2 {
                    true => Fate::Committed,
                    false => Fate::Doubtful,
                }
            }
            1 => {
                let status = write(json!({ "organization_id": o, "body": null })).await;
                assert_eq!(status, 400);
                Fate::Withheld
            }
            _ => Fate::Withheld,
        };
        roster.ends(&action, fate);
    }
}

/// A row for each organization's topic, and its mark.
fn rows(organizations: &[i64]) -> String {
    let rows = organizations.iter().map(|o| {
        format!(
            "insert into tickets (id, organization_id, subject) values ({}, {o}, 'org-{o} topic');
             insert into marks values ({o}, 0, 'org-{o} mark') on conflict do nothing;",
            900_000 + o
        )
    });
    rows.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_whom_they_should_and_announced_writes_end() {
    let database = Database::with(schema::SQL).await;
    let mut config = rounds::config(&database);
    config.limits.signal_action_ms = ACTION.as_millis() as u64;
    config.limits.signals_burst = 100;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running: Running = Server::start(config, listener).await.unwrap();
    // In peace on all transports; with harm, two organizations each of their own.
    let mut runs = vec![Run {
        harm: None,
        organizations: vec![1, 2, 3],
        transports: Transport::ALL.to_vec(),
    }];
    for (at, harm) in Harm::ALL.into_iter().enumerate() {
        let first = 10 + 2 * at as i64;
        runs.push(Run {
            harm: Some(harm),
            organizations: vec![first, first + 1],
            // A poll whose answer is taken away asks for it again and again.
            transports: vec![Transport::ALL[at % 3], Transport::ALL[(at + 1) % 3]],
        });
    }
    let organizations = runs.iter().flat_map(|it| &it.organizations);
    let organizations: Vec<i64> = organizations.copied().collect();
    database.execute(&rows(&organizations)).await;
    let upstream = Upstream::Tcp(running.address());
    let sent = AtomicU64::new(0);
    let each = runs.into_iter().map(async |run| {
        let harm = run.harm;
        let (findings, done, signals) = run.run(&database, upstream.clone()).await;
        sent.fetch_add(signals as u64, Ordering::Relaxed);
        let Some((harm, expected)) = harm else {
            assert_nothing(&findings);
            return;
        };
        assert_found(format!("{harm:?}"), done, expected, &findings);
    });
    futures_util::future::join_all(each).await;
    assert_eq!(
        sent.into_inner(),
        SIGNALS * (12 + 4 * Harm::ALL.len() as u64)
    );
    end(running, database).await;
}
