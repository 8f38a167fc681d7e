//! What one reader hears of signals, and what was sent: who may hear what, in which order, and how
//! announced writes end. Knows nothing of transports and rows.

use super::invariants::{Findings, Invariant};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex},
};

/// How a write ended that a signal announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was committed in time.
    Committed,
    /// It was refused, or never made.
    Withheld,
    /// It was made, but perhaps too late.
    Doubtful,
}

/// A signal that the server took.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) organization: i64,
    pub(super) topic: String,
    /// The channel that it was sent from.
    pub(super) sender: String,
    /// Counts the sender's signals on the topic.
    pub(super) number: u64,
}

/// Everything that was sent in a run in which nobody goes away.
#[derive(Debug, Default)]
pub(super) struct Roster(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    sent: Vec<Sent>,
    fates: HashMap<String, Fate>,
}

impl Roster {
    pub(super) fn sends(&self, sent: Sent) {
        self.0.lock().unwrap().sent.push(sent);
    }

    pub(super) fn ends(&self, action: &str, fate: Fate) {
        self.0.lock().unwrap().fates.insert(action.to_owned(), fate);
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().sent.len()
    }
}

/// The topic of a row that all readers of an organization with an even number are on.
pub(super) fn row_topic(organization: i64) -> String {
    format!("tickets/{}", 900_000 + organization)
}

/// What one reader hears.
#[derive(Debug)]
pub(super) struct Ears {
    who: String,
    organization: i64,
    /// Its own channel, once it has one.
    channel: String,
    /// Row topics that it is on.
    topics: BTreeSet<String>,
    findings: Findings,
    roster: Option<Arc<Roster>>,
    /// Of each sender and topic, what came, in order.
    heard: HashMap<(String, String), Vec<u64>>,
    /// Announced writes that it has heard of.
    announced: BTreeSet<String>,
    /// Those that are drawn and neither confirmed nor taken back, with what is to be written, where the
    /// signal says that.
    drawn: BTreeMap<String, Option<String>>,
    /// How writes ended here: whether in a change, and in how many voids.
    ended: BTreeMap<String, (bool, u32)>,
    pub(super) count: u64,
    pub(super) voids: u64,
}

impl Ears {
    pub(super) fn new(
        who: &str,
        organization: i64,
        findings: &Findings,
        roster: Option<Arc<Roster>>,
    ) -> Self {
        Self {
            who: who.to_owned(),
            organization,
            channel: String::new(),
            topics: BTreeSet::new(),
            findings: findings.clone(),
            roster,
            heard: HashMap::new(),
            announced: BTreeSet::new(),
            drawn: BTreeMap::new(),
            ended: BTreeMap::new(),
            count: 0,
            voids: 0,
        }
    }

    /// The reader reads this channel, and is on this row's topic from now on.
    pub(super) fn sits(&mut self, channel: &str, topic: Option<String>) {
        self.channel = channel.to_owned();
        self.topics.extend(topic);
    }

    /// What was told may be told again, or never more.
    pub(super) fn forget(&mut self) {
        self.heard.clear();
        self.announced.clear();
        self.drawn.clear();
        self.ended.clear();
    }

    /// The channel lost what it was told, or may have, and perhaps what would have ended it: whatever was
    /// announced and has not ended is not shown any more.
    pub(super) fn takes_back(&mut self) {
        self.drawn.clear();
    }

    /// What is shown still though it has ended neither in a change nor in a `void`. What was announced
    /// after it had been stored (`is_stored`, by what was to be written) ends by the client's own clock,
    /// which is not waited for here: nobody else can know that it comes too late.
    pub(super) fn unended(&self, is_stored: impl Fn(&str) -> bool) -> Vec<&String> {
        let known = |text: &Option<String>| text.as_deref().is_some_and(&is_stored);
        let drawn = self.drawn.iter().filter(|it| !known(it.1));
        drawn.map(|it| it.0).collect()
    }

    fn finds(&self, invariant: Invariant, what: impl std::fmt::Display) {
        self.findings.add(invariant, &self.who, what);
    }

    /// Takes a `signal`, `void` or `presence` in.
    pub(super) fn take(&mut self, kind: &str, event: &Value) {
        match kind {
            "signal" => self.signal(event),
            "void" => self.void(event),
            _ => self.presence(event),
        }
    }

    fn signal(&mut self, event: &Value) {
        self.count += 1;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (topic, sender) = (text(&event["topic"]), text(&event["from"]["channel"]));
        let Some(number) = event["data"]["n"].as_u64() else {
            return self.finds(Invariant::WellFormed, event);
        };
        if topic != "organization" && !self.topics.contains(&topic) {
            self.finds(Invariant::SignalsAddressed, format!("not on it: {event}"));
        }
        if sender == self.channel {
            self.finds(Invariant::SignalsAddressed, format!("its own: {event}"));
        }
        if event["data"]["organization_id"] != self.organization {
            self.finds(Invariant::Isolation, event);
        }
        let numbers = self.heard.entry((sender, topic)).or_default();
        let before = numbers.last().copied();
        numbers.push(number);
        if before.is_some_and(|it| it >= number) {
            self.finds(
                Invariant::SignalsInOrder,
                format!("after {before:?}: {event}"),
            );
        }
        let Some(action) = event["action_id"].as_str() else {
            return;
        };
        self.announced.insert(action.to_owned());
        // Whoever has been told the change already has nothing to draw.
        if !self.ended.contains_key(action) {
            let text = event["data"]["body"].as_str().map(str::to_owned);
            self.drawn.insert(action.to_owned(), text);
        }
    }

    fn void(&mut self, event: &Value) {
        self.voids += 1;
        let action = event["action_id"].as_str().unwrap_or_default().to_owned();
        self.drawn.remove(&action);
        self.ended.entry(action).or_default().1 += 1;
    }

    /// A change that this action made.
    pub(super) fn acts(&mut self, action: &str) {
        self.drawn.remove(action);
        self.ended.entry(action.to_owned()).or_default().0 = true;
    }

    fn presence(&self, event: &Value) {
        let people = [&event["joined"], &event["left"]].map(Value::as_array);
        let [Some(joined), Some(left)] = people else {
            return self.finds(Invariant::WellFormed, event);
        };
        for person in joined.iter().chain(left) {
            let user: Option<i64> = person["user"].as_str().and_then(|it| it.parse().ok());
            if user.is_some_and(|it| it / 10 != self.organization) {
                self.finds(Invariant::Isolation, event);
            }
        }
    }

    /// What it should have heard and has not, or `None` if that is everything, and all that it has
    /// drawn was confirmed or taken back.
    pub(super) fn misses(&self) -> Option<String> {
        let said = self.roster.as_ref()?.0.lock().unwrap();
        let mut missing = String::new();
        for (place, numbers) in self.expected(&said.sent) {
            let heard = self.heard.get(&place).map_or(&[][..], |it| it);
            let lacks: Vec<_> = numbers.iter().filter(|it| !heard.contains(it)).collect();
            if !lacks.is_empty() {
                let _ = write!(missing, "{place:?}: {lacks:?}; ");
            }
        }
        let open = self.open(&said.fates);
        if !open.is_empty() {
            let _ = write!(missing, "drawn still: {open:?}");
        }
        (!missing.is_empty()).then_some(missing)
    }

    /// At rest: whether it heard what it should have, and nothing else.
    pub(super) fn judge(&self) {
        let Some(roster) = &self.roster else {
            return;
        };
        let said = roster.0.lock().unwrap();
        let expected = self.expected(&said.sent);
        for (place, numbers) in &expected {
            let mut heard = self.heard.get(place).cloned().unwrap_or_default();
            heard.sort_unstable();
            if heard != *numbers {
                let what = format!("{place:?}: heard {heard:?} of {numbers:?}");
                self.finds(Invariant::SignalsReach, what);
            }
        }
        for place in self.heard.keys().filter(|it| !expected.contains_key(*it)) {
            let what = format!("{place:?}: nobody sent that to it");
            self.finds(Invariant::SignalsAddressed, what);
        }
        for action in self.open(&said.fates) {
            let what = format!("{action} ended neither in a change nor in a void");
            self.finds(Invariant::AnnouncedEnds, what);
        }
        for (action, (changed, voids)) in &self.ended {
            let fits = match said.fates.get(action) {
                Some(Fate::Committed) => *voids == 0,
                Some(Fate::Withheld) => !changed && *voids == 1,
                Some(Fate::Doubtful) | None => *voids <= 1,
            };
            if !fits || (*voids > 0 && !self.announced.contains(action)) {
                let what = format!("{action}: a change {changed}, {voids} voids");
                self.finds(Invariant::AnnouncedEnds, what);
            }
        }
    }

    fn open(&self, fates: &HashMap<String, Fate>) -> Vec<&String> {
        let doubtful = |it: &&String| fates.get(*it) != Some(&Fate::Doubtful);
        self.drawn.keys().filter(doubtful).collect()
    }

    /// By sender and topic, the numbers that others sent to where it is.
    fn expected(&self, sent: &[Sent]) -> BTreeMap<(String, String), Vec<u64>> {
        let mut expected: BTreeMap<(String, String), Vec<u64>> = BTreeMap::new();
        let ours = sent.iter().filter(|it| {
            let on_it = it.topic == "organization" || self.topics.contains(&it.topic);
            it.organization == self.organization && it.sender != self.channel && on_it
        });
        for it in ours {
            let place = (it.sender.clone(), it.topic.clone());
            expected.entry(place).or_default().push(it.number);
        }
        expected
    }
}
