//! Any order of steps keeps every promise of the model.

use super::model::World;
use proptest::{collection, prelude::*};
use std::collections::BTreeSet;

#[derive(Debug, Clone)]
enum Act {
    Batch(BTreeSet<(usize, u64, u8)>, usize),
    Open(u64),
    Snapshot(usize),
    Rows(usize, u64, usize),
    Retry(usize),
    End(usize),
    Cancel(usize),
    CancelLate(usize),
    Attach(From, bool),
    Detach,
    Read(usize, usize),
    Acknowledge(u64),
    AcknowledgeAll,
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum From {
    Unsaid,
    WhatItHas,
    Earlier(u64),
    Elsewhere(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let touched = collection::btree_set((0..2_usize, 0..8_u64, 0..3_u8), 1..6);
    let from = prop_oneof![
        2 => Just(From::Unsaid),
        4 => Just(From::WhatItHas),
        2 => (1..20_u64).prop_map(From::Earlier),
        1 => prop_oneof![0..990_u64, 100_000..100_010_u64].prop_map(From::Elsewhere),
    ];
    prop_oneof![
        6 => (touched, prop_oneof![0..100_usize, 0..3_000_usize]).prop_map(|(rows, text)| Act::Batch(rows, text)),
        2 => (0..8_u64).prop_map(Act::Open),
        2 => (0..4_usize).prop_map(Act::Snapshot),
        6 => (0..4_usize, 1..30_u64, prop_oneof![0..300_usize, 0..14_000_usize])
            .prop_map(|(which, count, text)| Act::Rows(which, count, text)),
        4 => (0..4_usize).prop_map(Act::Retry),
        2 => (0..4_usize).prop_map(Act::End),
        1 => (0..4_usize).prop_map(Act::Cancel),
        1 => (0..4_usize).prop_map(Act::CancelLate),
        2 => (from, any::<bool>()).prop_map(|(from, acknowledges)| Act::Attach(from, acknowledges)),
        1 => Just(Act::Detach),
        10 => (1..6_000_usize, prop_oneof![Just(usize::MAX), 1..9_usize])
            .prop_map(|(bytes, events)| Act::Read(bytes, events)),
        2 => (0..5_u64).prop_map(Act::Acknowledge),
        1 => Just(Act::AcknowledgeAll),
        1 => prop_oneof![0..1_000_u64, 0..70_000_u64].prop_map(Act::Wait),
    ]
}

fn run(filter: Option<&'static str>, acts: Vec<Act>) {
    let mut world = World::new(filter);
    for act in acts {
        match act {
            Act::Batch(touched, text) => world.batch(&touched, text),
            Act::Open(urgency) => world.open(urgency),
            Act::Snapshot(which) => world.snapshot(which),
            Act::Rows(which, count, text) => world.rows(which, count, text),
            Act::Retry(which) => world.retry(which),
            Act::End(which) => world.end(which),
            Act::Cancel(which) => world.cancel(which),
            Act::CancelLate(which) => world.cancel_late(which),
            Act::Attach(from, acknowledges) => {
                let after = match from {
                    From::Unsaid => None,
                    From::WhatItHas => Some(world.last),
                    From::Earlier(back) => Some(world.last.saturating_sub(back)),
                    From::Elsewhere(number) => Some(number),
                };
                world.attach(after, acknowledges);
            }
            Act::Detach => world.detach(),
            Act::Read(bytes, events) => {
                world.read(bytes, events);
            }
            Act::Acknowledge(back) => world.acknowledge(back),
            Act::AcknowledgeAll => world.acknowledge_all(),
            Act::Wait(ms) => world.wait(ms),
        }
    }
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_steps_keeps_the_promises(acts in collection::vec(act(), 1..120)) {
        run(None, acts);
    }

    #[test]
    fn a_filter_keeps_them_for_what_passes(acts in collection::vec(act(), 1..120)) {
        run(Some("a"), acts);
    }
}
