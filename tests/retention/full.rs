//! A log on a disk that is full: writes fail loudly until there is room, and nothing is lost or made anew.

use super::{TABLE, kept, number};
use crate::{
    feed::World,
    support::{
        Client, TestServer,
        breakable::{Breakable, account},
        server::SECRET,
        token_of,
    },
};
use rowcast::postgres::changelog::{Health, Keeper};
use serde_json::json;
use std::{io::Write, path::PathBuf, process::Command, time::Duration};

/// More rows than fit.
const ROWS: i32 = 100_000;

/// A small file system of its own, which ends with it.
struct Disk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Disk {
    /// `None` where nothing may be mounted.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir_in("/tmp").expect("a folder");
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m,mode=755", "tmpfs"]);
        if !mount
            .arg(&path)
            .output()
            .is_ok_and(|it| it.status.success())
        {
            return None;
        }
        let user = account();
        // PostgreSQL goes through the folder to what is its own.
        nix::unistd::chown(folder.path(), Some(user.uid), Some(user.gid)).expect("handed over");
        nix::unistd::chown(&path, Some(user.uid), Some(user.gid)).expect("handed over");
        Some(Self {
            _folder: folder,
            path,
        })
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.path.join("filler")).expect("a file");
        while file.write_all(&[1; 4096]).is_ok() {}
    }

    fn empty(&self) {
        std::fs::remove_file(self.path.join("filler")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also while PostgreSQL has files open there: they end with it.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[tokio::test]
async fn a_full_disk_fails_writes_and_loses_nothing() {
    let Some(disk) = Disk::mount() else {
        eprintln!("skipped: no file system may be mounted here");
        return;
    };
    let cluster = Breakable::start("", TABLE).await;
    let world = World::over(cluster.app(), |_| ()).await;
    let mut one = world.listener("1", "7", "postgres");
    let mut two = world.listener("2", "7", "postgres");
    let path = disk.path.display();
    world
        .database
        .execute(&format!("create tablespace small location '{path}'"))
        .await;
    let slot = number(&world.database, "select rowcast.current_slot()").await;
    for of in [
        format!("table rowcast.changes_{slot}"),
        format!("index rowcast.changes_{slot}_by_transaction"),
    ] {
        world
            .database
            .execute(&format!("alter {of} set tablespace small"))
            .await;
    }
    world.psql("insert into t values (0, 1)").await;
    assert_eq!(one.heard().await.len(), 1);

    disk.fill();
    let writer = world.database.connect().await;
    let insert = writer.prepare("insert into t values ($1, 1)").await;
    let insert = insert.unwrap();
    let mut written = 0;
    // What has room on the last page is still logged.
    let refusal = loop {
        assert!(written < ROWS, "the disk is full");
        match writer.execute(&insert, &[&(written + 1)]).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    let refusal = refusal.as_db_error().expect("the connection goes on");
    assert_eq!(refusal.code().code(), "53100", "{refusal:?}");
    let place = refusal.where_().unwrap_or_default();
    assert!(place.contains("rowcast.log_insert_"), "{place}");
    // All of a transaction or nothing of it.
    let many = format!(
        "begin; delete from t; insert into t select i, 1 from generate_series(1, {ROWS}) i"
    );
    assert!(writer.batch_execute(&many).await.is_err());
    writer.batch_execute("rollback").await.unwrap();
    let rows = number(&world.database, "select count(*) from t").await;
    assert_eq!(rows, i64::from(written) + 1);

    // Room will come again: the log is not made anew, which would reset everybody.
    let whole_from = number(
        &world.database,
        "select last_value from rowcast.kept_version",
    )
    .await;
    let mut keeper = Keeper::open(&world.server).await.unwrap();
    let state = keeper.retain(kept(Duration::from_secs(3600))).await;
    assert!(
        !matches!(&state, Ok(Some(log)) if log.health == Health::Renewed),
        "{state:?}"
    );
    drop(keeper);
    let still = number(
        &world.database,
        "select last_value from rowcast.kept_version",
    )
    .await;
    assert_eq!(still, whole_from);

    disk.empty();
    for id in written + 1..=written + 100 {
        writer.execute(&insert, &[&id]).await.unwrap();
    }
    let mut told = one.heard().await;
    told.sort();
    let mut expected: Vec<String> = (1..=written + 100)
        .map(|id| format!(r#"insert t {id} {{"id":{id},"organization_id":1,"v":0}}"#))
        .collect();
    expected.sort();
    assert_eq!(told, expected, "what was committed, and nothing else");
    assert!(two.heard().await.is_empty());

    // What a caller is told who writes by HTTP.
    let server = TestServer::serve(&world.database, |_| ()).await;
    let token = token_of(SECRET, json!({ "org": 1, "sub": "7" }));
    let client = Client::new(server.address(), Some(token));
    disk.fill();
    let mut id = ROWS;
    let refused = loop {
        id += 1;
        assert!(id < 2 * ROWS, "the disk is full");
        let answer = client.post("/t", json!({ "id": id })).send().await;
        if answer.status != 201 {
            break answer;
        }
    };
    assert_eq!(refused.status, 503, "{}", refused.text());
    let problem = refused.problem();
    let told = (&problem["code"], &problem["retryable"]);
    assert_eq!(told, (&json!("53100"), &json!(true)));
    assert!(!refused.text().contains("rowcast."), "{problem}");
    disk.empty();
    client.post("/t", json!({ "id": id })).expect(201).await;
    drop(client);
    server.shutdown().await;
    drop((one, two, writer));
    world.stop().await;
    drop(cluster);
    drop(disk);
}
