//! The managed PostgreSQL: found, kept, cleaned up after, and never run twice on the same data.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rowcast::{
    error::{Error, Kind},
    postgres::local::{LocalServer, Options, Profile},
};
use tokio_postgres::NoTls;

use crate::support::until;

/// A folder that the server's user can get to, also when we are root.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn start(folder: &Path) -> Result<LocalServer, Error> {
    LocalServer::start(Options::durable(folder)).await
}

async fn ask(server: &LocalServer, database: &str, sql: &str) -> String {
    let (client, connection) = tokio_postgres::connect(&server.url(database), NoTls)
        .await
        .expect("the server answers");
    tokio::spawn(connection);
    let rows = client.simple_query(sql).await.expect("a query");
    rows.iter()
        .find_map(|it| match it {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .unwrap_or_default()
}

fn server_pid(data: &Path) -> Pid {
    let text = fs::read_to_string(data.join("postmaster.pid")).expect("a running server");
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn data_are_kept_until_told_otherwise_and_one_owner_at_a_time() {
    let folder = folder();
    let server = start(folder.path()).await.unwrap();
    assert!(server.ensure_database("desk").await.unwrap());
    assert!(!server.ensure_database("desk").await.unwrap());
    ask(&server, "desk", "create table t as select 7 as n").await;
    assert_eq!(ask(&server, "desk", "show listen_addresses").await, "");
    assert_eq!(ask(&server, "desk", "show fsync").await, "on");
    let mode = fs::metadata(server.data_folder())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o077, 0, "the socket is for its owner only");

    let second = start(folder.path()).await.unwrap_err();
    assert_eq!(second.kind(), Kind::CommandFailed);
    let us = std::process::id().to_string();
    assert!(second.detail().contains(&us), "{second}");

    let data = server.data_folder().to_owned();
    server.stop().await.unwrap();
    assert!(
        !data.join("postmaster.pid").exists(),
        "stop waits until the server is down"
    );

    let server = start(folder.path()).await.unwrap();
    assert_eq!(ask(&server, "desk", "select n from t").await, "7");
    // Dropping stops as well.
    drop(server);
    assert!(!data.join("postmaster.pid").exists());

    // A lock file whose id some other program has by now, as after a restart of the machine.
    fs::write(data.join("postmaster.pid"), format!("{us}\n/x\n1\n5432\n")).unwrap();
    fs::write(
        data.join(".s.PGSQL.5432.lock"),
        format!("{us}\n/x\n1\n5432\n"),
    )
    .unwrap();
    let server = start(folder.path()).await.unwrap();
    assert_eq!(ask(&server, "desk", "select n from t").await, "7");

    // A server that was killed recovers.
    kill(server_pid(&data), Signal::SIGKILL).unwrap();
    drop(server);
    let server = start(folder.path()).await.unwrap();
    assert_eq!(ask(&server, "desk", "select n from t").await, "7");
    server.stop().await.unwrap();

    // Data of another major version are left alone.
    let version = data.join("PG_VERSION");
    let ours = fs::read_to_string(&version).unwrap();
    fs::write(&version, "9\n").unwrap();
    let other = start(folder.path()).await.unwrap_err();
    assert!(other.detail().contains("PostgreSQL 9"), "{other}");
    assert!(other.hint().unwrap().contains("--fresh"));
    fs::write(&version, ours).unwrap();

    let fresh = Options {
        fresh: true,
        ..Options::durable(folder.path())
    };
    let server = LocalServer::start(fresh).await.unwrap();
    let known = "select count(*) from pg_database where datname = 'desk'";
    assert_eq!(ask(&server, "postgres", known).await, "0");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_long_path_gets_its_socket_elsewhere() {
    let folder = folder();
    let long = folder.path().join("a".repeat(60)).join("b c".repeat(20));
    fs::create_dir_all(&long).unwrap();
    let options = Options {
        profile: Profile::Throwaway,
        ..Options::durable(&long)
    };
    let server = LocalServer::start(options).await.unwrap();
    assert_eq!(ask(&server, "postgres", "select 1").await, "1");
    assert_eq!(ask(&server, "postgres", "show fsync").await, "off");
    server.stop().await.unwrap();
    assert!(!long.exists(), "a throwaway server takes its folder along");
}

#[tokio::test]
async fn what_is_not_ours_is_not_touched() {
    let folder = folder();
    let file = folder.path().join("postgres").join("thesis.txt");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, "years of work").unwrap();
    for fresh in [false, true] {
        let options = Options {
            fresh,
            ..Options::durable(folder.path())
        };
        let refused = LocalServer::start(options).await.unwrap_err();
        assert!(
            refused.detail().contains("not a PostgreSQL data folder"),
            "{refused}"
        );
    }
    assert!(file.exists());
}

#[tokio::test]
async fn root_puts_data_elsewhere_when_the_folder_is_closed_to_others() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let closed = folder();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let folder = closed.path().join("inside");
    let server = start(&folder).await.unwrap();
    let data = server.data_folder().to_owned();
    assert!(data.starts_with("/var/lib/rowcast"), "{}", data.display());
    server.ensure_database("desk").await.unwrap();
    server.stop().await.unwrap();
    // The same place the next time.
    let server = start(&folder).await.unwrap();
    assert!(!server.ensure_database("desk").await.unwrap());
    server.stop().await.unwrap();
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

/// Not a test by itself: what the next one runs in a process of its own, to kill it.
#[tokio::test]
#[ignore = "runs until it is killed"]
async fn owner_to_be_killed() {
    let Some(folder) = std::env::var_os("ROWCAST_TEST_FOLDER") else {
        return;
    };
    let mut options = Options::durable(&folder);
    if std::env::var_os("ROWCAST_TEST_THROWAWAY").is_some() {
        options.profile = Profile::Throwaway;
    }
    let _server = LocalServer::start(options).await.unwrap();
    fs::write(PathBuf::from(folder).join("up"), "").unwrap();
    std::future::pending::<()>().await;
}

/// Runs the above until its server is up, and kills it; the id of the server that it had.
async fn kill_an_owner(folder: &Path, is_throwaway: bool) -> Pid {
    let mut owner = Command::new(std::env::current_exe().unwrap());
    owner
        .args(["--exact", "local_postgres::owner_to_be_killed", "--ignored"])
        .env("ROWCAST_TEST_FOLDER", folder)
        .stdout(Stdio::null());
    if is_throwaway {
        owner.env("ROWCAST_TEST_THROWAWAY", "yes");
    }
    let mut owner = owner.spawn().unwrap();
    until("it is up", async || folder.join("up").exists()).await;
    let server = server_pid(&folder.join("postgres"));
    kill(Pid::from_raw(owner.id().cast_signed()), Signal::SIGKILL).unwrap();
    owner.wait().unwrap();
    server
}

#[tokio::test]
async fn a_throwaway_server_of_a_killed_owner_leaves_nothing() {
    let folder = folder();
    let inside = folder.path().join("inside");
    kill_an_owner(&inside, true).await;
    // Its parent is not the server's user's, so that the emptied folder itself may stay.
    let is_gone = || fs::read_dir(&inside).is_ok_and(|mut it| it.next().is_none());
    until("it ends", async || !inside.exists() || is_gone()).await;
}

#[tokio::test]
async fn the_server_ends_with_a_killed_owner_and_an_orphan_is_replaced() {
    let folder = folder();
    let data = folder.path().join("postgres");
    let killed = kill_an_owner(folder.path(), false).await;
    until("PostgreSQL has ended", async || {
        !data.join("postmaster.pid").exists()
    })
    .await;

    // A server that nobody owns, as when the watchdog was killed as well.
    let server = start(folder.path()).await.unwrap();
    let (programs, socket) = (server.programs().to_owned(), data.clone());
    server.stop().await.unwrap();
    let owner = fs::metadata(&data).unwrap();
    let mut command = Command::new(programs.join("postgres"));
    if nix::unistd::geteuid().is_root() {
        use std::os::unix::{fs::MetadataExt, process::CommandExt};
        command.uid(owner.uid()).gid(owner.gid()).current_dir("/");
    }
    let mut orphaned = command
        .arg("-D")
        .arg(&data)
        .arg("-k")
        .arg(&socket)
        .args(["-c", "listen_addresses="])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lock_file = data.join("postmaster.pid");
    until("it is ready", async || {
        fs::read_to_string(&lock_file).is_ok_and(|it| it.contains("ready"))
    })
    .await;
    let server = start(folder.path()).await.unwrap();
    assert!(
        orphaned.try_wait().unwrap().is_some(),
        "the orphan was stopped"
    );
    assert_ne!(server_pid(&data), killed);
    assert_eq!(ask(&server, "postgres", "select 1").await, "1");
    server.stop().await.unwrap();
}
