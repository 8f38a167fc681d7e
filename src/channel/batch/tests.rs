//! What a batch says, to whom.

use super::*;
use serde_json::Value;

const ALL: Variant = Variant {
    transients: false,
    cursor: true,
};

fn change(resource: &str, key: &str, transient: bool) -> Change {
    Change {
        resource: resource.into(),
        key: key.into(),
        op: if transient { Op::Delete } else { Op::Insert },
        version: Version(9),
        actions: Actions::None,
        row: (!transient).then(|| Bytes::from_static(b"{}")),
        transient,
    }
}

fn batch() -> Arc<Batch> {
    let position = Position {
        version: Version(9),
        cursor: "c9".into(),
    };
    let mut builder = BatchBuilder::new(Version(5), position);
    builder
        .change(change("a", "1", false))
        .change(change("b", "2", false))
        .change(change("a", "3", true))
        .reset(Some("c".into()), "truncated");
    builder.build()
}

/// Resource, key and whether the cursor is there, of each event.
fn told(events: &Events) -> Vec<(String, String, bool)> {
    let read = |line| {
        let it: Value = serde_json::from_slice(line).unwrap();
        let cursor = it["type"] == "change" && it["cursor"] == "c9";
        (
            it["resource"].as_str().unwrap().to_owned(),
            it["id"].to_string(),
            cursor,
        )
    };
    events.iter().map(read).collect()
}

fn expect(list: &[(&str, &str, bool)]) -> Vec<(String, String, bool)> {
    let own = |it: &(&str, &str, bool)| (it.0.into(), it.1.into(), it.2);
    list.iter().map(own).collect()
}

#[test]
fn the_cursor_stands_on_the_last_change_of_what_is_told() {
    let batch = batch();
    assert_eq!(
        told(batch.events(ALL)),
        expect(&[
            ("c", "null", false),
            ("a", "1", false),
            ("b", "2", false),
            ("a", "3", true)
        ])
    );
    let silent = Variant {
        cursor: false,
        ..ALL
    };
    assert!(told(batch.events(silent)).iter().all(|it| !it.2));
}

#[test]
fn a_filter_moves_the_cursor_to_the_last_change_that_passes() {
    let batch = batch();
    let filter = |names: &[&str]| Filter::new(names.iter().map(|it| (*it).into()).collect());
    assert_eq!(
        told(&batch.filtered(ALL, &filter(&["a"]))),
        expect(&[("a", "1", false), ("a", "3", true)])
    );
    assert_eq!(
        told(&batch.filtered(ALL, &filter(&["c"]))),
        expect(&[("c", "null", false)])
    );
    assert_eq!(batch.matching(&filter(&[])), Matching::None);
    assert_eq!(batch.matching(&filter(&["b", "x"])), Matching::Some);
    assert_eq!(batch.matching(&filter(&["a", "b", "c"])), Matching::All);
}

#[test]
fn a_transient_reset_is_told_to_those_who_may_have_seen() {
    let position = Position {
        version: Version(9),
        cursor: "c9".into(),
    };
    let mut builder = BatchBuilder::new(Version(5), position);
    builder.transient_reset("t".into(), "visibility");
    let batch = builder.build();
    assert_eq!(batch.events(ALL).count(), 0);
    let transients = Variant {
        transients: true,
        ..ALL
    };
    assert_eq!(batch.events(transients).count(), 1);
}

#[test]
fn all_channels_share_one_encoding() {
    let batch = batch();
    let (one, two) = (batch.events(ALL).bytes(), batch.events(ALL).bytes());
    assert_eq!(one.as_ptr(), two.as_ptr());
}
