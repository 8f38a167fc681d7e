//! `rowcast dev`: up with one command, down without a trace, and back after a `kill -9`.

use super::Program;
use crate::support::{Client, Transport};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Creating the database folder and loading the help desk take a while on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `rowcast dev` that is up.
struct Dev {
    child: Child,
    hello: String,
}

impl Dev {
    async fn start(folder: &Path, more: &[&str]) -> Self {
        let data = folder.to_str().unwrap();
        let log = folder.with_extension("log");
        let arguments = ["dev", "--listen", "127.0.0.1:0", "--data-dir", data];
        let mut child = Program::new(&[&arguments, more].concat())
            .command()
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let out = std::os::fd::OwnedFd::from(child.stdout.take().unwrap());
        let out = tokio::net::unix::pipe::Receiver::from_owned_fd(out).unwrap();
        let mut lines = BufReader::new(out).lines();
        let mut hello = String::new();
        let read = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                hello += &format!("{line}\n");
                if line.starts_with("Ctrl-c stops it") {
                    return;
                }
            }
            panic!("it ended: {}", fs::read_to_string(&log).unwrap());
        };
        tokio::time::timeout(PATIENCE, read)
            .await
            .expect("it starts in time");
        Self { child, hello }
    }

    fn after(&self, label: &str) -> &str {
        let line = self.hello.lines().find(|line| line.contains(label));
        let line = line.unwrap_or_else(|| panic!("no {label:?} in: {}", self.hello));
        line.split_once(label).unwrap().1.trim()
    }

    fn address(&self) -> SocketAddr {
        self.after("address    http://").parse().unwrap()
    }

    /// Callers with the tokens that were printed, in their order.
    fn clients(&self) -> Vec<Client> {
        let tokens = self
            .hello
            .lines()
            .filter_map(|line| line.trim().strip_prefix("TOKEN="));
        tokens
            .map(|token| Client::new(self.address(), Some(token.to_owned())))
            .collect()
    }

    async fn database(&self, sql: &str) {
        let url = self.after("database   ");
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
    }

    /// Sends a signal and waits for the end; the exit code.
    fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder that PostgreSQL's user can get to, also when we are root.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// The id of the PostgreSQL server on this data, while it runs.
fn postgres(data: &Path) -> Option<i32> {
    let file = fs::read_to_string(data.join("postgres/postmaster.pid")).ok()?;
    let id = file.lines().next()?.parse().ok()?;
    kill(Pid::from_raw(id), None).is_ok().then_some(id)
}

/// At the root, with the tokens that were printed, and nothing but its own files.
async fn the_page_is_served(dev: &Dev) {
    let nobody = Client::new(dev.address(), None);
    let index = nobody.get("/").expect(200).await;
    assert!(index.text().contains("the page"), "{}", index.text());
    assert_eq!(index.header("content-type"), "text/html; charset=utf-8");
    assert!(dev.after("page       ").starts_with("http://"));
    for missing in ["/page.js", "/..%2Fdata%2Fjwt_secret", "/index.html%00"] {
        let answer = nobody.get(missing).send().await;
        assert!(
            matches!(answer.status.as_u16(), 400 | 401 | 404),
            "{missing}: {}",
            answer.status
        );
    }
    let document = nobody.get("/demo.json").expect(200).await.json();
    let tokens: Vec<&str> = document["users"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| user["token"].as_str().unwrap())
        .collect();
    assert_eq!(tokens.len(), 4);
    assert!(tokens.iter().all(|token| dev.hello.contains(*token)));
    assert_eq!(document["users"][0]["secret"], true);
}

/// Tickets have keys, for those who see them.
async fn tickets_have_keys(dev: &Dev, data: &Path) {
    let clients = dev.clients();
    let open = clients[0].get("/tickets?private=eq.false&limit=1&select=id");
    let path = format!("/tickets/{}/key", open.expect(200).await.json()[0]["id"]);
    let key = clients[0].get(&path).expect(200).await.json();
    assert_eq!(clients[1].get(&path).expect(200).await.json(), key);
    clients[2].get(&path).expect(404).await;
    let kept = fs::metadata(data.join("master_key")).unwrap();
    assert_eq!(kept.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn the_settings_of_resources_count() {
    let folder = folder();
    let data = folder.path().join("data");
    let settings = folder.path().join("rowcast.toml");
    let text = "[resources.tickets]\nannounce = \"keys\"\n[resources.elsewhere]\norganization = \"shared\"\n";
    fs::write(&settings, text).unwrap();
    let dev = Dev::start(&data, &["--config", settings.to_str().unwrap()]).await;
    let clients = dev.clients();
    let mut channel = clients[0].channel(Transport::Ndjson, "tab").await;
    channel.expect("open").await;
    let ticket = clients[0].get("/tickets?private=eq.false&limit=1&select=id");
    let id = ticket.expect(200).await.json()[0]["id"].clone();
    let path = format!("/tickets/{id}");
    let change = clients[0].patch(&path, serde_json::json!({"subject": "changed"}));
    change.expect(200).await;
    let told = channel.expect("change").await;
    assert_eq!((&told["id"], told.get("row")), (&id, None));
    let none = clients[0].get(&format!("{path}/key")).expect(404).await;
    assert_eq!(none.problem()["type"], "key-unknown");
    assert!(!data.join("master_key").exists());
    drop(channel);
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
}

#[tokio::test]
async fn the_help_desk_is_up_with_one_command() {
    let folder = folder();
    let data = folder.path().join("data");
    let page = folder.path().join("page");
    fs::create_dir(&page).unwrap();
    fs::write(
        page.join("index.html"),
        "<!doctype html><title>the page</title>",
    )
    .unwrap();
    let dev = Dev::start(&data, &["--page-dir", page.to_str().unwrap()]).await;
    let clients = dev.clients();
    assert_eq!(clients.len(), 4, "{}", dev.hello);
    the_page_is_served(&dev).await;
    tickets_have_keys(&dev, &data).await;

    for (client, organization) in clients.iter().zip([1, 1, 2, 3]) {
        let answer = client.get("/tickets?limit=3").send().await;
        assert_eq!(answer.status, 200);
        let rows = answer.json();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 3);
        assert!(
            rows.iter()
                .all(|row| row["organization_id"] == organization),
            "{rows:?}"
        );
    }
    assert_eq!(
        clients[0].anonymous().get("/tickets").send().await.status,
        401
    );
    // The private mailbox of organization 1 is for user 1, not for user 2.
    let seen = clients[0]
        .get("/tickets?mailbox_id=eq.3&limit=9")
        .send()
        .await
        .json();
    let hidden = clients[1]
        .get("/tickets?mailbox_id=eq.3&limit=9")
        .send()
        .await
        .json();
    assert_eq!(seen.as_array().unwrap().len(), 9);
    assert_eq!(hidden.as_array().unwrap().len(), 0);

    // Every curl line is of this server.
    let curls: Vec<&str> = dev
        .hello
        .lines()
        .filter(|it| it.contains("curl "))
        .collect();
    assert_eq!(curls.len(), 3);
    let server = format!("http://{}/", dev.address());
    assert!(curls.iter().all(|line| line.contains(&server)), "{curls:?}");

    let secret = fs::metadata(data.join("jwt_secret")).unwrap();
    assert_eq!(secret.permissions().mode() & 0o777, 0o600);
    // Another terminal makes tokens without being told anything.
    let token = Program::new(&["token", "--org", "1", "--user", "3", "--data-dir"]);
    let mut token = token.command();
    let token = token.arg(&data).output().unwrap();
    let token = String::from_utf8(token.stdout).unwrap();
    let third = clients[0].with_token(token.trim());
    assert_eq!(third.get("/tickets?limit=1").send().await.status, 200);

    // Nobody else gets the same data meanwhile.
    let second = [
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    Program::new(&second).run().says(1, "in use");

    assert!(postgres(&data).is_some());
    assert_eq!(dev.end(Signal::SIGINT), Some(130));
    assert_eq!(postgres(&data), None, "PostgreSQL stops with the program");
}

#[tokio::test]
async fn what_was_written_survives_a_kill() {
    let folder = folder();
    let data = folder.path().join("data");
    let dev = Dev::start(&data, &[]).await;
    dev.database("update tickets set subject = 'kept' where id = 1")
        .await;
    let before = dev.clients()[0].clone();
    assert_eq!(dev.end(Signal::SIGKILL), None);

    let begun = Instant::now();
    let dev = Dev::start(&data, &[]).await;
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(20),
        "the help desk is not loaded again: {took:?}"
    );
    let again = Client::new(dev.address(), before.token);
    let row = again.get("/tickets/1").send().await.json();
    assert_eq!(row["subject"], "kept", "and the tokens of before are good");
    assert_eq!(dev.end(Signal::SIGTERM), Some(0));
    assert_eq!(postgres(&data), None);

    let other = [
        "dev",
        "--listen",
        "127.0.0.1:0",
        "--size",
        "m",
        "--data-dir",
    ];
    Program::new(&[&other[..], &[data.to_str().unwrap()]].concat())
        .run()
        .says(1, "has size s, not m");

    let dev = Dev::start(&data, &["--fresh"]).await;
    let row = dev.clients()[0].get("/tickets/1").send().await.json();
    assert_ne!(row["subject"], "kept");
    assert_eq!(dev.end(Signal::SIGINT), Some(130));
}
