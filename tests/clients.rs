//! Clients that others wrote, each through the same scenario: Python's `websockets` and `httpx-sse`,
//! Node's `ws` and `eventsource`, and curl; and those that were written for PostgREST, in Python and in
//! JavaScript.

use crate::support::{TestServer, server::SECRET, token};
use std::{path::Path, process::Output};
use tokio::process::Command;

async fn run(server: &TestServer, program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients"))
        .env(
            "ROWCAST_URL",
            format!("http://{}", server.running.address()),
        )
        .env("ROWCAST_TOKEN", token(SECRET, "1", "1"))
        .env("ROWCAST_OTHER_TOKEN", token(SECRET, "2", "101"))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(90), output).await;
    let output = output.expect("the client ends").expect("the client starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    output
}

/// The program that `scripts/test` has prepared.
fn program(variable: &str, otherwise: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| otherwise.to_owned())
}

#[tokio::test]
async fn python_drives_a_websocket_an_event_stream_and_postgrest_s_client() {
    let server = TestServer::helpdesk().await;
    let python = program("ROWCAST_TEST_PYTHON", "python3");
    for script in [
        "websocket_client.py",
        "sse_client.py",
        "postgrest_client.py",
    ] {
        let output = run(&server, &python, &[script]).await;
        assert!(String::from_utf8_lossy(&output.stdout).contains("nothing crossed"));
    }
    server.finish().await;
}

#[tokio::test]
async fn node_drives_a_websocket_an_event_stream_and_postgrest_s_client() {
    let server = TestServer::helpdesk().await;
    let node = program("ROWCAST_TEST_NODE", "node");
    for script in [
        "websocket_client.mjs",
        "sse_client.mjs",
        "postgrest_client.mjs",
    ] {
        let output = run(&server, &node, &[script]).await;
        assert!(String::from_utf8_lossy(&output.stdout).contains("nothing crossed"));
    }
    server.finish().await;
}

#[tokio::test]
async fn curl_reads_plain_json_and_long_polls_and_ndjson() {
    let server = TestServer::helpdesk().await;
    let base = format!("http://{}", server.running.address());
    let bearer = format!("Authorization: Bearer {}", token(SECRET, "1", "1"));
    let curl = async |arguments: &[&str], path: &str| {
        let url = format!("{base}{path}");
        let mut all = vec!["-sS", "--max-time", "20", "-H", &bearer];
        all.extend(arguments);
        all.push(&url);
        run(&server, "curl", &all).await.stdout
    };
    let plain: serde_json::Value =
        serde_json::from_slice(&curl(&[], "/tickets?order=id&limit=3").await).unwrap();
    assert_eq!(plain.as_array().map(Vec::len), Some(3));

    let path = "/tickets?order=id&limit=3";
    let accepted = curl(&["-i", "-H", "Request-Id: r1", "-H", "Channel-Id: c"], path).await;
    let accepted = String::from_utf8_lossy(&accepted).into_owned();
    assert!(accepted.starts_with("HTTP/1.1 202"), "{accepted}");
    assert!(
        accepted.contains("location: /requests/r1?channel=c"),
        "{accepted}"
    );

    // Polls until the end has come, each acknowledging what the one before brought.
    let (mut rows, mut after) = (Vec::new(), String::new());
    'polls: loop {
        let answer = curl(&["-i"], &format!("/channels/c?wait=10{after}")).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let sequence = head
            .lines()
            .find_map(|line| line.strip_prefix("sequence: "));
        after = format!("&after={}", sequence.unwrap());
        let events: Vec<serde_json::Value> = serde_json::from_str(body).unwrap();
        for event in events {
            match event["type"].as_str().unwrap() {
                "row" => rows.push(event["row"].clone()),
                "done" => break 'polls,
                "open" | "ping" => {}
                other => panic!("unexpected {other}: {event}"),
            }
        }
    }
    assert_eq!(serde_json::Value::Array(rows), plain);
    server.finish().await;
}
