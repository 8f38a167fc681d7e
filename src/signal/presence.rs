//! Who is there: the people on one topic, and what those who watch it have yet to hear.
//!
//! Pure. Several channels of one user are one person with several devices.

use crate::{identity::UserId, wire::signal::Person};
use serde_json::value::RawValue;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// People that an event lists; where more are present, it only counts.
pub(super) const LISTED_MAX: usize = 100;

/// The people on one topic.
#[derive(Debug, Default)]
pub(super) struct Presence {
    people: BTreeMap<UserId, Present>,
    /// Who has something about them that was not told: `true` if they were there at the last telling.
    untold: BTreeMap<UserId, bool>,
    /// Whether a count was told last, so that nobody knows who is there.
    counted: bool,
}

#[derive(Debug, Default)]
struct Present {
    devices: usize,
    state: Option<Arc<RawValue>>,
}

/// What those who watch a topic are told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct News {
    pub(super) joined: Vec<Person>,
    pub(super) left: Vec<UserId>,
    /// How many are present, where that is all that is told.
    pub(super) count: Option<usize>,
}

impl Presence {
    /// One more device of this person.
    pub(super) fn enter(&mut self, user: &UserId, state: Option<Arc<RawValue>>) {
        let was_there = self.people.contains_key(user);
        self.untold.entry(user.clone()).or_insert(was_there);
        let present = self.people.entry(user.clone()).or_default();
        present.devices += 1;
        if state.is_some() {
            present.state = state;
        }
    }

    /// What a person says about themselves, from whichever device last.
    pub(super) fn state(&mut self, user: &UserId, state: Option<Arc<RawValue>>) {
        if let Some(present) = self.people.get_mut(user) {
            present.state = state;
            self.untold.entry(user.clone()).or_insert(true);
        }
    }

    /// One device fewer.
    pub(super) fn leave(&mut self, user: &UserId) {
        let Some(present) = self.people.get_mut(user) else {
            return;
        };
        self.untold.entry(user.clone()).or_insert(true);
        present.devices -= 1;
        if present.devices == 0 {
            self.people.remove(user);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.people.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Whether there is something to tell.
    pub(super) fn is_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Who is there, for somebody who begins to watch.
    pub(super) fn everybody(&self) -> News {
        match self.people.len() > LISTED_MAX {
            true => self.counted(),
            false => News {
                joined: self.list(LISTED_MAX),
                ..News::default()
            },
        }
    }

    /// The first so many who are there.
    pub(super) fn list(&self, most: usize) -> Vec<Person> {
        let people = self.people.iter().take(most);
        people.map(|(user, it)| it.person(user)).collect()
    }

    /// What happened since the last call; `None` if it comes to nothing.
    pub(super) fn news(&mut self) -> Option<News> {
        let untold = std::mem::take(&mut self.untold);
        if self.people.len() > LISTED_MAX {
            self.counted = true;
            return (!untold.is_empty()).then(|| self.counted());
        }
        if std::mem::take(&mut self.counted) {
            return Some(self.everybody());
        }
        let mut news = News::default();
        let mut gone = BTreeSet::new();
        for (user, was_there) in untold {
            match self.people.get(&user) {
                Some(present) => news.joined.push(present.person(&user)),
                None if was_there => {
                    gone.insert(user);
                }
                // Came and went.
                None => {}
            }
        }
        news.left = gone.into_iter().collect();
        (!news.joined.is_empty() || !news.left.is_empty()).then_some(news)
    }

    fn counted(&self) -> News {
        News {
            count: Some(self.people.len()),
            ..News::default()
        }
    }
}

impl Present {
    fn person(&self, user: &UserId) -> Person {
        Person {
            user: user.0.clone(),
            devices: self.devices,
            state: self.state.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(news: &News) -> (Vec<(&str, usize)>, Vec<&str>) {
        let joined = news.joined.iter().map(|it| (&*it.user, it.devices));
        (
            joined.collect(),
            news.left.iter().map(|it| &*it.0).collect(),
        )
    }

    #[test]
    fn several_devices_are_one_person() {
        let mut presence = Presence::default();
        presence.enter(&"7".into(), None);
        presence.enter(&"7".into(), None);
        assert_eq!(users(&presence.news().unwrap()), (vec![("7", 2)], vec![]));
        presence.leave(&"7".into());
        assert_eq!(users(&presence.news().unwrap()), (vec![("7", 1)], vec![]));
        presence.leave(&"7".into());
        assert_eq!(users(&presence.news().unwrap()), (vec![], vec!["7"]));
        assert_eq!(presence.news(), None);
        assert!(presence.is_empty());
    }

    #[test]
    fn who_came_and_went_between_two_tellings_is_not_told() {
        let mut presence = Presence::default();
        presence.enter(&"7".into(), None);
        presence.leave(&"7".into());
        assert_eq!(presence.news(), None);
        presence.enter(&"7".into(), None);
        presence.news();
        presence.leave(&"7".into());
        presence.enter(&"7".into(), None);
        assert_eq!(users(&presence.news().unwrap()), (vec![("7", 1)], vec![]));
    }

    #[test]
    fn a_crowd_is_counted() {
        let mut presence = Presence::default();
        for user in 0..=LISTED_MAX {
            presence.enter(&user.to_string().as_str().into(), None);
        }
        let news = presence.news().unwrap();
        assert_eq!(news.count, Some(LISTED_MAX + 1));
        assert!(news.joined.is_empty());
        assert_eq!(presence.everybody(), news);
        // Nobody knows whom the count counted, so who is left is told.
        presence.leave(&"0".into());
        let news = presence.news().unwrap();
        assert_eq!((news.joined.len(), news.count), (LISTED_MAX, None));
        presence.leave(&"1".into());
        assert_eq!(users(&presence.news().unwrap()), (vec![], vec!["1"]));
    }
}
