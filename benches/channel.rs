//! What channels cost: a batch to ten thousand readers, rows through a lane, a channel at rest.
//!
//! Plain timings, printed: `cargo bench --bench channel`.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use bytes::BytesMut;
use rowcast::{
    channel::{
        Attach, Attachment, Batch, BatchBuilder, Change, ChannelId, Delivery, Hub, Priority,
        RequestId,
    },
    config::Limits,
    identity::{Identity, IdentityKey},
    snapshot::{Position, Version},
    wire::{
        Events,
        event::{self, Actions, Done, Op},
    },
};
use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

const CHANNELS: usize = 10_000;
const BATCHES: u64 = 50;
const ROWS: u64 = 1_000_000;
const CHUNK_ROWS: u64 = 128;
const ROW_TEXT_BYTES: usize = 480;

/// Counts what is allocated.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[expect(
    unsafe_code,
    reason = "an allocator is unsafe by definition; this one only counts"
)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn at(version: u64) -> Position {
    Position {
        version: Version(version),
        cursor: format!("{version:0>120}").into(),
    }
}

fn identity(number: usize) -> Arc<Identity> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    Arc::new(Identity {
        key: IdentityKey(key),
        organization: "1".into(),
        user: "7".into(),
        role: "app".into(),
        claims: "{}".into(),
    })
}

fn batch(version: u64) -> Arc<Batch> {
    let mut builder = BatchBuilder::new(Version(version - 1), at(version));
    builder.change(Change {
        resource: "tickets".into(),
        key: "42".into(),
        op: Op::Update,
        version: Version(version),
        actions: Actions::None,
        row: Some(format!("{{\"id\":42,\"text\":\"{}\"}}", "x".repeat(400)).into()),
        transient: false,
    });
    builder.build()
}

fn per(time: Duration, count: u64) -> String {
    let nanos = time.as_nanos() as f64 / count as f64;
    format!("{nanos:.0} ns each, {:.2} M/s", 1_000.0 / nanos)
}

/// Channels of one organization, each read by a waiting attachment.
fn open(hub: &Arc<Hub>, per_identity: usize) -> Vec<Attachment> {
    let identities: Vec<_> = (0..CHANNELS / per_identity).map(identity).collect();
    (0..CHANNELS)
        .map(|number| {
            let id = ChannelId::parse(&format!("tab-{number}")).unwrap();
            let attach = Attach::default();
            hub.attach(&identities[number / per_identity], &id, attach)
                .unwrap()
        })
        .collect()
}

async fn at_rest() {
    let hub = Hub::new(&Limits::default(), at(1));
    let before = ALLOCATED.load(Relaxed);
    let mut readers = open(&hub, 1);
    for reader in &mut readers {
        // Each waits once, as a transport does.
        let waits = reader.next(64 << 10);
        tokio::select! { biased; _ = waits => unreachable!(), () = std::future::ready(()) => {} }
    }
    let after = ALLOCATED.load(Relaxed);
    let identities = CHANNELS * (size_of::<Identity>() + 64);
    let bytes = after - before - identities;
    println!(
        "at rest: {} bytes per channel with attachment, group and timer, identity not counted",
        bytes / CHANNELS
    );
    drop(readers);
}

/// The feed announces, and each reader takes what is there: no sockets, no tasks.
async fn fan_out(per_identity: usize) {
    let hub = Hub::new(&Limits::default(), at(1));
    let mut readers = open(&hub, per_identity);
    let (mut pushing, mut draining) = (Duration::ZERO, Duration::ZERO);
    let (mut bytes, mut events) = (0, 0);
    for version in 2..2 + BATCHES {
        let batch = batch(version);
        let begin = Instant::now();
        let audience = hub.advance(at(version));
        for group in audience.all() {
            group.push(&batch);
        }
        hub.settle(at(version));
        pushing += begin.elapsed();
        let begin = Instant::now();
        for reader in &mut readers {
            if let Delivery::Events(frames) = reader.next(64 << 10).await {
                for frame in frames.iter() {
                    bytes += black_box(frame.bytes()).len();
                    events += frame.events.count() as u64;
                }
            }
        }
        draining += begin.elapsed();
    }
    assert_eq!(events, BATCHES * CHANNELS as u64);
    println!(
        "fan-out to {CHANNELS} channels, {per_identity} per identity ({} bytes each)",
        bytes / events as usize
    );
    println!("  push:  {}", per(pushing, events));
    println!("  drain: {}", per(draining, events));
}

/// As many readers as tasks, woken by each push.
async fn fan_out_to_tasks() {
    let hub = Hub::new(&Limits::default(), at(1));
    let arrived = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = open(&hub, 1)
        .into_iter()
        .map(|mut reader| {
            let arrived = arrived.clone();
            tokio::spawn(async move {
                for _ in 0..BATCHES {
                    if let Delivery::Events(frames) = reader.next(1).await {
                        black_box(frames);
                        arrived.fetch_add(1, Relaxed);
                    }
                }
            })
        })
        .collect();
    tokio::task::yield_now().await;
    let begin = Instant::now();
    for version in 2..2 + BATCHES {
        let batch = batch(version);
        for group in hub.advance(at(version)).all() {
            group.push(&batch);
        }
        hub.settle(at(version));
        let all = (version - 1) as usize * CHANNELS;
        while arrived.load(Relaxed) < all {
            tokio::task::yield_now().await;
        }
    }
    let events = BATCHES * CHANNELS as u64;
    println!("fan-out to {CHANNELS} waiting tasks, one batch in flight");
    println!("  push, wake, take: {}", per(begin.elapsed(), events));
    for task in tasks {
        task.await.unwrap();
    }
}

fn chunk() -> (Vec<u8>, Vec<u32>) {
    let prefix = event::row_prefix("r", "tickets", Version(1), false);
    let (mut out, mut ends) = (BytesMut::new(), Vec::new());
    for id in 0..CHUNK_ROWS {
        out.extend_from_slice(&prefix);
        let text = "x".repeat(ROW_TEXT_BYTES);
        out.extend_from_slice(format!("{{\"id\":{id},\"text\":\"{text}\"}}").as_bytes());
        out.extend_from_slice(event::ROW_SUFFIX);
        ends.push(out.len() as u32);
    }
    (out.to_vec(), ends)
}

/// A producer and a reader, each a task of its own.
async fn rows(lanes: u64) {
    let hub = Hub::new(&Limits::default(), at(1));
    let channel = hub.open(&identity(0), &ChannelId::default()).unwrap();
    let mut reader = channel.attach(Attach::default()).unwrap();
    let (bytes, ends) = chunk();
    let bytes = bytes::Bytes::from(bytes);
    let begin = Instant::now();
    let producers: Vec<_> = (0..lanes)
        .map(|number| {
            let id = RequestId::parse(&format!("r{number}")).unwrap();
            let mut lane = channel.open_request(id, Priority::default()).unwrap();
            let (bytes, ends) = (bytes.clone(), ends.clone());
            tokio::spawn(async move {
                let mut told = 0;
                while told < ROWS / lanes {
                    lane.rows(Events::new(bytes.clone(), &ends)).await.unwrap();
                    told += CHUNK_ROWS;
                }
                let done = Done {
                    request_id: lane.request_id().as_str(),
                    rows: told,
                    position: &at(1),
                    next: None,
                    count: None,
                };
                let done = done.encode();
                lane.finish(done);
            })
        })
        .collect();
    let (mut events, mut frames_taken) = (0, 0_u64);
    while events < ROWS / CHUNK_ROWS / lanes * CHUNK_ROWS * lanes {
        if let Delivery::Events(frames) = reader.next(64 << 10).await {
            frames_taken += frames.len() as u64;
            events += frames
                .iter()
                .map(|it| it.events.count() as u64)
                .sum::<u64>();
        }
    }
    println!(
        "rows of {} bytes through {lanes} lane(s), {} rows per frame",
        bytes.len() as u64 / CHUNK_ROWS,
        events / frames_taken
    );
    println!("  {}", per(begin.elapsed(), events));
    for producer in producers {
        producer.await.unwrap();
    }
}

/// A whole small request: opened, 25 rows, ended, read, acknowledged.
async fn small_requests() {
    let hub = Hub::new(&Limits::default(), at(1));
    let channel = hub.open(&identity(0), &ChannelId::default()).unwrap();
    let mut reader = channel.attach(Attach::default()).unwrap();
    let (bytes, ends) = chunk();
    let bytes = bytes::Bytes::from(bytes).slice(..ends[24] as usize);
    const REQUESTS: u64 = 200_000;
    let begin = Instant::now();
    for number in 0..REQUESTS {
        let id = RequestId::parse(&number.to_string()).unwrap();
        let mut lane = channel.open_request(id, Priority::default()).unwrap();
        lane.snapshot_taken(Version(1));
        lane.rows(Events::new(bytes.clone(), &ends[..25]))
            .await
            .unwrap();
        lane.finish(bytes::Bytes::from_static(b"{\"type\":\"done\"}\n"));
        let mut last = 0;
        while let Some(Delivery::Events(frames)) = Some(reader.next(64 << 10).await) {
            last = frames.last().unwrap().last_sequence();
            if frames.last().unwrap().events.count() == 1 {
                break;
            }
        }
        channel.acknowledge(last).unwrap();
    }
    println!("requests of 25 rows, from open to acknowledged");
    println!("  {}", per(begin.elapsed(), REQUESTS));
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        at_rest().await;
        fan_out(1).await;
        fan_out(50).await;
        fan_out_to_tasks().await;
        rows(1).await;
        rows(10).await;
        small_requests().await;
    });
}
