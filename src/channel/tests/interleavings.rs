//! Producers, the feed, readers, cancels and ends at once, in the interleavings that shuttle picks.
//! A wake-up that gets lost shows as a deadlock, which shuttle reports.

use super::*;
use crate::{
    channel::{Priority, RequestLane},
    error::Kind,
};
use shuttle::{check_pct, check_random, future::block_on, thread};
use std::collections::BTreeMap;

/// So little room that producers have to wait.
fn limits() -> Limits {
    Limits {
        queue_bytes_max: 3_000,
        requests_per_identity: 3,
        ..Limits::default()
    }
}

/// What a reader saw of each request.
#[derive(Debug, Default)]
struct Seen {
    rows: BTreeMap<String, u64>,
    ends: BTreeMap<String, usize>,
    changes: usize,
    last: u64,
}

impl Seen {
    fn hear(&mut self, delivery: Delivery) -> Option<u16> {
        for (number, event) in read(delivery) {
            let request = event["request_id"].as_str().unwrap_or_default().to_owned();
            match event["type"].as_str().unwrap() {
                "close" => return Some(event["code"].as_u64().unwrap() as u16),
                "ping" => continue,
                "row" => {
                    let rows = self.rows.entry(request).or_default();
                    assert_eq!(event["row"]["id"], *rows, "rows keep their order");
                    *rows += 1;
                }
                "done" | "error" => {
                    let rows = self.rows.get(&request).copied().unwrap_or(0);
                    assert_eq!(event["rows"], rows, "the end knows its rows");
                    *self.ends.entry(request).or_default() += 1;
                }
                "change" | "reset" => self.changes += 1,
                other => panic!("{other}"),
            }
            assert_eq!(number, self.last + 1, "numbers have no gaps");
            self.last = number;
        }
        None
    }

    fn ends(&self) -> usize {
        self.ends.values().sum()
    }
}

/// Sends rows in portions, each larger than what is free at once, and ends as request.rs does.
fn produce(channel: &Arc<Channel>, request: &str, finish: bool) {
    let lane = channel
        .open_request(name(request), Priority::default())
        .unwrap();
    produce_on(lane, request, finish);
}

fn produce_on(mut lane: RequestLane, request: &str, finish: bool) {
    lane.snapshot_taken(Version(10));
    block_on(async {
        for portion in 0..3 {
            let rows = rows(request, portion * 4..portion * 4 + 4, 200);
            if let Err(error) = lane.rows(rows).await {
                assert_ne!(error.kind(), Kind::RequestStalled);
                return lane.fail(&error);
            }
        }
        if finish {
            let told = lane.rows_told();
            lane.finish(done(request, told));
        }
    });
}

fn check(scenario: fn()) {
    check_random(scenario, 3_000);
    check_pct(scenario, 2_000, 3);
}

#[test]
fn requests_end_once_whatever_comes_in_between() {
    check(|| {
        let hub = hub(&limits());
        let channel = channel(&hub);
        let producers = [("r1", true), ("r2", false)].map(|(request, finish)| {
            let channel = channel.clone();
            thread::spawn(move || produce(&channel, request, finish))
        });
        let feed = {
            let hub = hub.clone();
            thread::spawn(move || {
                for version in 11..14 {
                    announce(&hub, &update(version, version));
                }
            })
        };
        let cancel = {
            let channel = channel.clone();
            thread::spawn(move || {
                channel.cancel(&name("r1"));
            })
        };

        let mut seen = Seen::default();
        let mut reader = attach(&channel);
        seen.last = reader.opened().sequence;
        block_on(async { seen.hear(reader.next(500).await) });
        // The next reader comes while the first one is there still.
        let mut second = channel
            .attach(Attach {
                after: Some(seen.last),
                ..Attach::default()
            })
            .unwrap();
        assert!(second.opened().resumed);
        let replaced = block_on(reader.next(500));
        assert!(matches!(replaced, Delivery::Close(close) if close.code == 4001));
        drop(reader);
        block_on(async {
            while seen.ends() < 2 || seen.changes < 3 {
                assert_eq!(seen.hear(second.next(500).await), None);
            }
        });
        assert_eq!(seen.ends.values().copied().collect::<Vec<_>>(), [1, 1]);
        for producer in producers {
            producer.join().unwrap();
        }
        feed.join().unwrap();
        cancel.join().unwrap();
        drop(second);
        let stats = hub.stats();
        assert_eq!(
            (stats.requests, stats.queued_bytes, stats.attachments),
            (0, 0, 0)
        );
        drop(channel);
        hub.clear();
        assert_eq!(hub.stats(), Default::default());
    });
}

#[test]
fn a_reader_that_waits_hears_of_everything() {
    check(|| {
        let hub = hub(&limits());
        let channel = channel(&hub);
        let mut reader = attach(&channel);
        let mut seen = Seen {
            last: reader.opened().sequence,
            ..Seen::default()
        };
        let producer = {
            let channel = channel.clone();
            thread::spawn(move || produce(&channel, "r1", true))
        };
        let feed = {
            let hub = hub.clone();
            thread::spawn(move || announce(&hub, &update(11, 1)))
        };
        block_on(async {
            while seen.ends() < 1 || seen.changes < 1 {
                assert_eq!(seen.hear(reader.next(300).await), None);
            }
        });
        producer.join().unwrap();
        feed.join().unwrap();
    });
}

/// Time stands still here, so whoever waits for what is more urgent hears of its end or never.
#[test]
fn who_waits_for_what_is_more_urgent_hears_of_its_end() {
    for cancelled in [false, true] {
        let scenario = move || {
            let hub = hub(&limits());
            let channel = channel(&hub);
            let mut reader = attach(&channel);
            let mut seen = Seen {
                last: reader.opened().sequence,
                ..Seen::default()
            };
            let first = Priority::of_urgency(0).unwrap();
            let urgent = channel.open_request(name("urgent"), first).unwrap();
            let bulk = {
                let channel = channel.clone();
                thread::spawn(move || produce(&channel, "bulk", true))
            };
            let urgent = thread::spawn(move || produce_on(urgent, "urgent", true));
            if cancelled {
                channel.cancel(&name("urgent"));
            }
            block_on(async {
                while seen.ends() < 2 {
                    assert_eq!(seen.hear(reader.next(300).await), None);
                }
            });
            bulk.join().unwrap();
            urgent.join().unwrap();
        };
        check_random(scenario, 3_000);
        check_pct(scenario, 2_000, 3);
    }
}

#[test]
fn an_end_in_the_middle_frees_everybody() {
    for shut_down in [false, true] {
        let scenario = move || {
            let hub = hub(&limits());
            let channel = channel(&hub);
            let producers = ["r1", "r2"].map(|request| {
                let channel = channel.clone();
                thread::spawn(move || {
                    match channel.open_request(name(request), Priority::default()) {
                        Ok(lane) => {
                            drop(lane);
                        }
                        Err(error) => assert!(matches!(
                            error.kind(),
                            Kind::ChannelEnded | Kind::ShuttingDown
                        )),
                    }
                })
            });
            let mut waiting = channel.open_request(name("r3"), Priority::default());
            let ender = {
                let hub = hub.clone();
                thread::spawn(move || match shut_down {
                    true => hub.shut_down(),
                    false => assert!(hub.end(&identity(1).key, &ChannelId::default())),
                })
            };
            let reader = channel.attach(Attach::default());
            if let Ok(lane) = &mut waiting {
                // It hears of the end, whether it waits for room or for the database.
                let error = block_on(lane.cancelled());
                let kind = match shut_down {
                    true => Kind::ShuttingDown,
                    false => Kind::ChannelEnded,
                };
                assert_eq!(error.kind(), kind);
                let error = block_on(lane.rows(rows("r3", 0..1, 10))).unwrap_err();
                assert_eq!(error.kind(), kind);
            }
            drop(waiting);
            if let Ok(mut reader) = reader {
                let expected = if shut_down { 4100 } else { 4002 };
                block_on(async {
                    loop {
                        match reader.next(10_000).await {
                            Delivery::Close(close) => break assert_eq!(close.code, expected),
                            Delivery::Events(_) => {}
                            Delivery::Ping(_) => unreachable!("time stands still"),
                        }
                    }
                });
            }
            for producer in producers {
                producer.join().unwrap();
            }
            ender.join().unwrap();
            hub.clear();
            assert_eq!(channel.group().requests(), 0);
            drop(channel);
            assert_eq!(hub.stats(), Default::default());
        };
        check_random(scenario, 3_000);
        check_pct(scenario, 2_000, 3);
    }
}

#[test]
fn a_ping_never_runs_ahead_of_what_is_held() {
    check(|| {
        let hub = hub(&limits());
        let channel = channel(&hub);
        let group = hub.groups().remove(0);
        let feed = {
            let hub = hub.clone();
            thread::spawn(move || {
                let audience = hub.advance(at(11));
                let hold = audience.all().remove(0).hold();
                hub.settle(at(11));
                hold.complete(&update(11, 1));
            })
        };
        // Where the group stands may be told only once the batch is on the channel.
        let position = group.position().position;
        let queued = channel.bytes().0 > 0;
        assert!(position.version < Version(11) || queued);
        feed.join().unwrap();
        assert_eq!(group.position().position, at(11));
    });
}

#[test]
fn a_reader_that_waits_hears_that_it_was_replaced_or_closed() {
    check(|| {
        let hub = hub(&limits());
        let channel = channel(&hub);
        let mut first = attach(&channel);
        let waits = thread::spawn(move || match block_on(first.next(100)) {
            Delivery::Close(close) => assert_eq!(close.code, 4001),
            other => panic!("{other:?}"),
        });
        let mut second = attach(&channel);
        let stuck = {
            let channel = channel.clone();
            thread::spawn(move || channel.close(event::Close::TOKEN_EXPIRED))
        };
        assert_eq!(block_on(second.closed()).code, 4003);
        assert!(matches!(block_on(second.next(100)), Delivery::Close(close) if close.code == 4003));
        waits.join().unwrap();
        stuck.join().unwrap();
    });
}
