//! What is told of states that the reader has already: by a replay, or since the channel came there.

use super::{
    super::*,
    channel::{Channel, channel},
    model::at,
};
use crate::{
    channel::{Attach, BatchBuilder, Change, Since},
    wire::event::{Actions, Op},
};

/// Pushes a batch that changes a row of one resource and resets another.
fn push(channel: &mut Channel, version: u64) {
    let mut builder = BatchBuilder::new(Version(version - 1), at(version));
    builder.reset(Some("hidden".into()), "schema");
    builder.change(Change {
        resource: "plain".into(),
        key: "1".into(),
        op: Op::Update,
        version: Version(version),
        actions: Actions::None,
        row: Some("{}".into()),
        transient: false,
    });
    let (bounds, effects) = (&channel.bounds, &mut channel.effects);
    let queue = &mut channel.queue;
    queue.push(&builder.build(), 0, true, 0, bounds, effects);
}

#[test]
fn of_what_a_replay_has_told_only_resets_are_told_again() {
    let mut channel = channel();
    let attach = Attach {
        since: Some(Since::State(at(5))),
        ..Attach::default()
    };
    channel.attach_at(attach, 10, 0);
    let replay = channel.queue.replay().unwrap();
    push(&mut channel, 11);
    let end = (at(12), false);
    let effects = &mut channel.effects;
    channel
        .queue
        .finish_replay(replay, Events::default(), end, 0, effects);
    // The feed comes to the state that was read later.
    push(&mut channel, 12);
    push(&mut channel, 13);
    let mut told = Vec::new();
    for _ in 0..10 {
        let events = channel.read(10_000, 0);
        told.extend(events.iter().filter(|it| !it.starts_with("ping")).cloned());
    }
    let words = told.iter().map(|it| it.split_once(' ').unwrap().1);
    let resets = ["reset hidden schema"; 3];
    let expected = [&resets[..], &["change plain"]].concat();
    assert_eq!(words.collect::<Vec<_>>(), expected);
}

#[test]
fn of_the_state_that_a_channel_came_at_resets_are_told() {
    let mut channel = channel();
    channel.attach(None, false);
    push(&mut channel, 9);
    push(&mut channel, 10);
    assert_eq!(channel.read(10_000, 0), ["101 reset hidden schema"]);
    assert!(channel.read(10_000, 0).is_empty());
}

#[test]
fn a_replay_leaves_in_place_what_only_the_feed_can_know() {
    let mut channel = channel();
    channel.attach(None, false);
    push(&mut channel, 11);
    let attach = Attach {
        since: Some(Since::State(at(11))),
        ..Attach::default()
    };
    channel.attach_at(attach, 11, 0);
    let replay = channel.queue.replay().unwrap();
    let end = (at(11), false);
    let effects = &mut channel.effects;
    channel
        .queue
        .finish_replay(replay, Events::default(), end, 0, effects);
    assert_eq!(channel.read(10_000, 0), ["102 reset hidden schema"]);
}

#[test]
fn what_a_replay_may_have_shown_is_reset() {
    // It came after 11, was there when the replay looked, at 12, and was gone at 14.
    let passed = || {
        let mut builder = BatchBuilder::new(Version(11), at(14));
        builder.transient_reset("plain".into(), "visibility");
        builder.build()
    };
    let since = || Attach {
        since: Some(Since::State(at(5))),
        ..Attach::default()
    };
    for pushed_before_its_end in [true, false] {
        let mut channel = channel();
        channel.attach_at(since(), 10, 0);
        let replay = channel.queue.replay().unwrap();
        let push = |channel: &mut Channel| {
            let (bounds, effects) = (&channel.bounds, &mut channel.effects);
            let queue = &mut channel.queue;
            queue.push(&passed(), 0, true, 0, bounds, effects);
        };
        if pushed_before_its_end {
            push(&mut channel);
        }
        let end = (at(12), false);
        let effects = &mut channel.effects;
        let queue = &mut channel.queue;
        queue.finish_replay(replay, Events::default(), end, 0, effects);
        if !pushed_before_its_end {
            push(&mut channel);
        }
        let told = channel.read(10_000, 0);
        assert!(
            told.iter().any(|it| it.ends_with("reset plain visibility")),
            "{told:?}"
        );
    }
    // Nobody looked at a channel without one, unless at a plain answer.
    for shown in [None, Some(Version(11)), Some(Version(12))] {
        let mut channel = channel();
        channel.attach(None, false);
        if let Some(version) = shown {
            channel.queue.has_shown(version);
        }
        let (bounds, effects) = (&channel.bounds, &mut channel.effects);
        channel.queue.push(&passed(), 0, true, 0, bounds, effects);
        let told = channel.read(10_000, 0);
        assert_eq!(
            told.iter().any(|it| it.ends_with("reset plain visibility")),
            shown == Some(Version(12)),
            "{told:?}"
        );
    }
}
