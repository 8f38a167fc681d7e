//! `rowcast serve` in front of a database that `rowcast demo` has filled: what the help says works
//! as it stands there.

use super::{Program, SECRET};
use crate::support::{Client, Database};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::{
    process::{Child, Stdio},
    time::Duration,
};
use tokio::io::{AsyncBufReadExt, BufReader};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Serve {
    child: Child,
    pub(crate) address: std::net::SocketAddr,
    // Held open, so that the program's logs have somewhere to go.
    _log: Box<dyn std::any::Any>,
}

impl Serve {
    pub(crate) async fn start(database: &Database) -> Self {
        let mut child = Program::new(&["serve", "--listen", "127.0.0.1:0"])
            .variable("DATABASE_URL", &database.url)
            .variable("ROWCAST_JWT_SECRET", SECRET)
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = std::os::fd::OwnedFd::from(child.stderr.take().unwrap());
        let log = tokio::net::unix::pipe::Receiver::from_owned_fd(log).unwrap();
        let mut lines = BufReader::new(log).lines();
        let find = async {
            let mut seen = String::new();
            while let Some(line) = lines.next_line().await.unwrap() {
                assert!(
                    !line.contains('\u{1b}'),
                    "colours are for terminals: {line}"
                );
                if let Some((_, rest)) = line.split_once("address=") {
                    return rest.split_whitespace().next().unwrap().parse().unwrap();
                }
                seen += &line;
            }
            panic!("it ended: {seen}");
        };
        let address = tokio::time::timeout(PATIENCE, find)
            .await
            .expect("it starts in time");
        Self {
            child,
            address,
            _log: Box::new(lines),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    pub(crate) async fn code(&mut self) -> Option<i32> {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status.code();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(PATIENCE, ended)
            .await
            .expect("it ends in time")
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn demo_serve_and_token_fit_together() {
    let database = Database::empty().await;
    let demo = Program::new(&["demo", "--database-url", &database.url]).run();
    assert_eq!(demo.code(), Some(0), "{}", demo.err());
    let token = Program::new(&["token", "--org", "2", "--user", "101"]);
    let token = token.variable("ROWCAST_JWT_SECRET", SECRET).run().out();

    for (signal, code) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130)] {
        let mut serve = Serve::start(&database).await;
        let client = Client::new(serve.address, Some(token.trim().to_owned()));
        let rows = client.get("/tickets?limit=3").expect(200).await.json();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), 3, "the database names the role of requests");
        assert!(
            rows.iter().all(|row| row["organization_id"] == 2),
            "{rows:?}"
        );
        serve.signal(signal);
        assert_eq!(serve.code().await, Some(code));
    }
    database.finish().await;
}
