//! Notices without rows: what a `reset` says of those who did something.

use crate::support::{Channel, Database, TestServer, Transport};
use rowcast::{catalog::Announce, config::ResourceConfig};
use serde_json::{Value, json};

const BOARDS: &str = "
    create table boards (
        id int primary key, organization_id int not null, name text not null default ''
    );
    insert into boards select n, 1 + n % 2 from generate_series(1, 20) n;
    create table cards (
        id int primary key, organization_id int not null, board_id int references boards
    );
    create function rename() returns trigger language plpgsql as $$
    begin
        update boards set name = name || '+' where id = new.board_id;
        return new;
    end $$;
    create trigger rename after insert on cards for each row execute function rename()";

async fn reset(channel: &mut Channel) -> Value {
    loop {
        let event = channel.next().await;
        match event["type"].as_str() {
            Some("reset") => return event,
            Some("ping") => {}
            _ => panic!("{event}"),
        }
    }
}

#[tokio::test]
async fn a_reset_names_the_actions_that_did_all_of_it() {
    let server = TestServer::start(Database::with(BOARDS).await, |config| {
        let boards = ResourceConfig {
            announce: Announce::Resource,
            ..ResourceConfig::default()
        };
        config.resources.insert("boards".to_owned(), boards);
    })
    .await;
    let (one, two) = (server.client(1, 1), server.client(2, 1));
    let query = "resources=boards";
    for transport in Transport::ALL {
        let mut ours = one.channel_with(transport, "tab", query).await;
        let mut theirs = two.channel_with(transport, "tab", query).await;
        ours.expect("open").await;
        theirs.expect("open").await;
        let name = |part: &str| format!("{transport:?}-{part}");
        let patch = async |path: &str, action: &str| {
            let patch = one.patch(path, json!({"name": action}));
            patch.header("action-id", action).expect(200).await;
        };
        // One row by one action.
        patch("/boards/2", &name("one")).await;
        let told = reset(&mut ours).await;
        assert_eq!(told["resource"], "boards");
        assert_eq!(told["reason"], "changed");
        assert_eq!(told["action_ids"], json!([name("one")]), "{transport:?}");
        assert!(told.get("row").is_none() && told.get("id").is_none());
        // Several rows by one: who did it knows what was written, not what else followed.
        patch("/boards?id=in.(2,4)", &name("two")).await;
        assert_eq!(reset(&mut ours).await.get("action_ids"), None);
        // By no action, by another program, and by the way of another resource, which is no action on
        // this one but that of one row of it.
        server
            .database
            .execute("update boards set name = 'x' where id = 6")
            .await;
        assert_eq!(reset(&mut ours).await.get("action_ids"), None);
        let card = json!({"id": 100 + transport as i64, "board_id": 8});
        let card = one.post("/cards", card).header("action-id", &name("card"));
        card.expect(201).await;
        assert_eq!(reset(&mut ours).await["action_ids"], json!([name("card")]));
        // A second organization was told none of that, and hears of its own.
        let own = two.patch("/boards/1", json!({"name": "own"}));
        own.header("action-id", &name("own")).expect(200).await;
        let told = theirs.only(|it| it["type"] == "reset").await;
        assert_eq!(told["action_ids"], json!([name("own")]));
        // Done by both at once, each hears of its own.
        server
            .database
            .execute(
                "begin; select set_config('rowcast.action_id', 'both', true);
                 update boards set name = 'y' where id in (1, 2); commit",
            )
            .await;
        for channel in [&mut ours, &mut theirs] {
            let told = channel.only(|it| it["type"] == "reset").await;
            assert_eq!(told.get("action_ids"), Some(&json!(["both"])));
        }
        ours.leave().await;
        theirs.leave().await;
        for client in [&one, &two] {
            client.delete("/channels/tab").send().await;
        }
    }
    server.finish().await;
}
