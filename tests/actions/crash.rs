//! A server that is killed between PostgreSQL's commit and its own answer, or before the commit.
//!
//! A proxy stands between the program and PostgreSQL, and breaks off at the words with which an action
//! is recorded: they travel in one flight with the commit.

use super::*;
use crate::{
    cli::{SECRET, serve::Serve},
    support::{Client, http::PATIENCE, token_of},
};
use nix::sys::signal::Signal;
use serde_json::json;
use std::{path::PathBuf, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixStream},
    sync::watch,
};

/// The first words behind the writes of an action.
const WORDS: &[u8] = b"reset role";

/// Where the connection breaks off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// PostgreSQL hears the words and commits; its answer does not arrive.
    Answer,
    /// PostgreSQL does not hear them.
    Question,
}

/// Listens for the program; says where, and sends `true` once a connection is broken off.
async fn proxy(socket: PathBuf, at: Break) -> (u16, watch::Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (broken, told) = watch::channel(false);
    let broken = Arc::new(broken);
    tokio::spawn(async move {
        while let Ok((program, _)) = listener.accept().await {
            let postgres = UnixStream::connect(&socket).await.unwrap();
            let (mut from_program, mut to_program) = program.into_split();
            let (mut from_postgres, mut to_postgres) = postgres.into_split();
            let (mine, is_broken) = watch::channel(false);
            let broken = broken.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_program.read(&mut buffer).await {
                    let bytes = &buffer[..count];
                    let found = bytes.windows(WORDS.len()).any(|it| it == WORDS);
                    if found {
                        mine.send_replace(true);
                    }
                    if !(found && at == Break::Question) {
                        let _ = to_postgres.write_all(bytes).await;
                    }
                    if found {
                        broken.send_replace(true);
                    }
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(count @ 1..) = from_postgres.read(&mut buffer).await {
                    // What comes for a broken connection is read, and goes nowhere.
                    if !*is_broken.borrow() {
                        let _ = to_program.write_all(&buffer[..count]).await;
                    }
                }
            });
        }
    });
    (port, told)
}

async fn killed(at: Break) {
    let database = Database::with(TABLES).await;
    let (_, folder) = database.url.split_once('@').unwrap();
    let (folder, _) = folder.rsplit_once('/').unwrap();
    let folder = percent_encoding::percent_decode_str(folder);
    let folder = folder.decode_utf8().unwrap().into_owned();
    let port = database.value("show port").await;
    let user = database.value("select current_user").await;
    let socket = PathBuf::from(folder).join(format!(".s.PGSQL.{port}"));
    let (port, mut broken) = proxy(socket, at).await;
    let behind = Database {
        name: database.name.clone(),
        url: format!("postgresql://{user}@127.0.0.1:{port}/{}", database.name),
    };
    let token = token_of(SECRET, json!({ "org": 1, "sub": 1 }));
    let create = |serve: &Serve| {
        Client::new(serve.address, Some(token.clone()))
            .post("/tickets", json!({ "subject": "once" }))
            .header("action-id", "a1")
    };
    let mut serve = Serve::start(&behind).await;
    let asked = tokio::spawn(create(&serve).open());
    tokio::time::timeout(PATIENCE, broken.wait_for(|it| *it))
        .await
        .expect("the action is recorded in time")
        .unwrap();
    let count = "select count(*) from tickets where subject = 'once'";
    if at == Break::Answer {
        let committed = async {
            while database.value(count).await != "1" {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, committed)
            .await
            .expect("it commits");
    }
    assert!(!asked.is_finished(), "nobody was answered");
    serve.signal(Signal::SIGKILL);
    serve.code().await;
    asked.await.unwrap_err();

    let serve = Serve::start(&database).await;
    let answer = tokio::time::timeout(PATIENCE, async {
        loop {
            // PostgreSQL may still be about to notice that its client is gone.
            let answer = create(&serve).send().await;
            if answer.status != 409 {
                return answer;
            }
        }
    });
    let answer = answer.await.expect("an answer in time");
    assert_eq!(answer.status, 201, "{}", answer.text());
    let replayed = if at == Break::Answer { "true" } else { "" };
    assert_eq!(answer.header("idempotency-replayed"), replayed);
    assert_eq!(answer.json()["subject"], "once");
    assert_eq!(database.value(count).await, "1");
    repeats_again(&create(&serve).send().await, &answer);
    drop(serve);
    database.finish().await;
}

#[track_caller]
fn repeats_again(again: &Answer, first: &Answer) {
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_server_killed_after_the_commit_has_done_it() {
    killed(Break::Answer).await;
}

#[tokio::test]
async fn a_server_killed_before_the_commit_has_not() {
    killed(Break::Question).await;
}
