//! How often the feed looks whether anything is new: seldom while nobody reads a channel, and at once
//! when somebody does again. Told by the feed's own count of its looks.

use super::World;
use std::time::Duration;
use tokio::time::Instant;

const TABLE: &str = "create table t (id int primary key, organization_id int not null)";

/// The feed looks as often while nobody reads: `POLL_ALONE` in `src/feed/tail.rs`.
const ALONE: Duration = Duration::from_millis(250);

const POLL: Duration = Duration::from_millis(10);

/// Waits for so many looks; how long that took.
async fn looks(world: &World, count: u64) -> Duration {
    let began = Instant::now();
    let goal = world.feed().looks() + count;
    while world.feed().looks() < goal {
        assert!(
            began.elapsed() < super::listener::PATIENCE,
            "it looks no more"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

#[tokio::test]
async fn it_looks_seldom_while_nobody_reads_and_at_once_when_somebody_does() {
    let world = World::new(TABLE).await;
    // Something else than the time may have been the reason for a look at the beginning.
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        longest = longest.max(looks(&world, 3).await);
    }
    assert!(longest > 2 * ALONE, "{longest:?} for three looks");

    // Just after a look, the next is far away, unless attaching brings it about. On a machine that stands
    // still now and then, not each time is as quick as it should be.
    let mut quickest = ALONE;
    let mut between = ALONE;
    for number in 1..=5 {
        looks(&world, 1).await;
        let mut one = world.listener("1", "7", "postgres");
        let mut two = world.listener("2", "7", "postgres");
        quickest = quickest.min(looks(&world, 1).await);
        for _ in 0..10 {
            between = between.min(looks(&world, 1).await);
        }
        let insert = format!("insert into t values ({number}, 1)");
        world.psql(&insert).await;
        let told = format!(r#"insert t {number} {{"id":{number},"organization_id":1}}"#);
        assert_eq!(one.heard().await, [told]);
        assert!(two.heard().await.is_empty());
        drop((one, two));
        // And seldom again, beginning with the one that may be under way.
        looks(&world, 2).await;
        assert!(looks(&world, 2).await > ALONE);
    }
    assert!(
        quickest < ALONE / 2,
        "{quickest:?} from attaching to a look"
    );
    assert!(between < ALONE / 2, "{between:?} between two looks");
    // But not without end either.
    let one = world.listener("1", "7", "postgres");
    looks(&world, 1).await;
    assert!(looks(&world, 11).await >= 10 * (POLL / 4));
    drop(one);
    world.finish().await;
}
