//! Installing: one relation at a time, in a transaction of its own, without making writers queue.
//!
//! `create trigger` needs a lock that waits for running writers, and behind whoever waits for a lock
//! all later writers queue. So it waits for a given short time only, and whoever calls tries again
//! later. Only what differs from what should be is touched, so that several servers, or the same one
//! restarted, find the work done.

use super::{Function, Logged, PARTS, Trigger};
use crate::{
    error::Result,
    postgres::{
        fault,
        migrate::{CLOSE, LOCK, refused},
    },
};
use std::time::Duration;
use tokio_postgres::{Client, error::SqlState};

const INSTALLED: &str = include_str!("../../../sql/feed/installed.sql");
const UNUSED: &str = include_str!("../../../sql/feed/unused.sql");
const FUNCTIONS: &str = include_str!("../../../sql/feed/functions.sql");

/// What became of an installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) enum Outcome {
    /// Nothing had to be done.
    Present,
    /// It is logged from now on.
    Installed,
    /// Writers held the table for longer than we may wait; trying again may do.
    Busy,
    /// The relation is gone, or not ours to log, for the reason given.
    Refused(String),
}

/// Sees to it that a relation is logged as it should be. `replace` says whether a function that is
/// there and differs is replaced; another server may have been configured differently, and the two
/// must not undo each other's work for ever.
///
/// # Errors
/// `DatabaseUnavailable`; refusals are an [`Outcome`].
pub(in crate::postgres) async fn install(
    client: &Client,
    logged: &Logged,
    replace: bool,
    wait: Duration,
) -> Result<Outcome> {
    client.batch_execute("begin").await.map_err(refused)?;
    match install_in(client, logged, replace, wait).await {
        Ok(outcome) => {
            client.batch_execute("commit").await.map_err(refused)?;
            Ok(outcome)
        }
        Err(error) => {
            // The connection goes on to the next relation, if it still is one.
            client
                .batch_execute("rollback")
                .await
                .map_err(fault::unavailable)?;
            outcome_of(error)
        }
    }
}

/// What a failed attempt means.
fn outcome_of(error: tokio_postgres::Error) -> Result<Outcome> {
    let Some(refusal) = error.as_db_error() else {
        return Err(fault::unavailable(error));
    };
    let code = refusal.code();
    if *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::T_R_DEADLOCK_DETECTED {
        return Ok(Outcome::Busy);
    }
    match code.code().get(..2) {
        // Syntax, missing rights and objects; wrong kinds of object; unsupported.
        Some("42" | "55" | "0A") => Ok(Outcome::Refused(refusal.message().to_owned())),
        _ => Err(fault::fault(error, fault::Speech::Open)),
    }
}

/// Drops the functions of ours that no trigger calls, other than those of `logged`: of tables that are gone,
/// and of earlier versions of rowcast. Nobody who writes waits for it, since calling a function takes no
/// lock on it.
///
/// # Errors
/// `DatabaseUnavailable`, or as PostgreSQL says.
pub(in crate::postgres) async fn sweep(client: &Client, logged: &[Logged]) -> Result<()> {
    let wanted = logged.iter().flat_map(Logged::functions);
    let wanted: Vec<String> = wanted.map(|it| it.name).collect();
    let unused = client.query(UNUSED, &[&wanted]).await.map_err(refused)?;
    if unused.is_empty() {
        return Ok(());
    }
    client.batch_execute("begin").await.map_err(refused)?;
    let dropped = async {
        client
            .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
            .await?;
        // Whoever had the lock may have come to need some of them.
        for row in client.query(UNUSED, &[&wanted]).await? {
            let drop = format!("drop function {}", row.get::<_, &str>("function"));
            client.batch_execute(&drop).await?;
        }
        client.batch_execute("commit").await
    };
    if let Err(error) = dropped.await {
        client
            .batch_execute("rollback")
            .await
            .map_err(fault::unavailable)?;
        tracing::warn!(%error, "functions that are not used any more stay");
    }
    Ok(())
}

async fn install_in(
    transaction: &Client,
    logged: &Logged,
    replace: bool,
    wait: Duration,
) -> Result<Outcome, tokio_postgres::Error> {
    transaction
        .execute("select pg_advisory_xact_lock($1)", &[&LOCK])
        .await?;
    let Some(found) = transaction
        .query_opt(INSTALLED, &[&logged.relation])
        .await?
    else {
        return Ok(Outcome::Refused("it does not exist any more".to_owned()));
    };
    let owned: bool = found.get("owned");
    let installed: Vec<String> = found.get("triggers");
    let triggers = logged.triggers();
    // Setting when a trigger fires is the owner's right. Without it there is no trigger for
    // replication, which would log everything twice if it fired always.
    let wanted: Vec<&Trigger> = triggers
        .iter()
        .filter(|it| owned || it.enabled != 'R')
        .collect();
    let missing: Vec<&&Trigger> = wanted
        .iter()
        .filter(|it| !installed.iter().any(|text| it.is(text, owned)))
        .collect();
    let extra: Vec<&str> = installed
        .iter()
        .filter_map(|text| text.split(' ').next())
        .filter(|name| !wanted.iter().any(|it| it.name == *name))
        .collect();
    let functions = differing(transaction, logged, replace).await?;
    if missing.is_empty() && extra.is_empty() && functions.is_empty() {
        return Ok(Outcome::Present);
    }
    if !found.get::<_, bool>("may_trigger") && !missing.is_empty() {
        return Ok(Outcome::Refused(
            "the role that rowcast logs in as may not create triggers on it".to_owned(),
        ));
    }

    let mut sql = format!("set local lock_timeout = {};\n", wait.as_millis().max(1));
    if owned {
        // Also where only a function changes: statements that began with the old one end first.
        sql += &format!(
            "lock table only {} in share row exclusive mode;\n",
            logged.name
        );
    }
    if !functions.is_empty() {
        // No other part becomes the current one meanwhile; see `sql/feed/rotate.sql`.
        let slot = transaction.query_one("select rowcast.current_slot()", &[]);
        let slot: i16 = slot.await?.get(0);
        for function in &functions {
            sql += &function.create(slot);
        }
        sql += CLOSE;
    }
    if owned {
        for name in extra {
            let name = super::super::sql::identifier(name);
            sql += &format!("drop trigger {name} on {};\n", logged.name);
        }
    }
    for trigger in missing {
        sql += &trigger.create(&logged.name);
        if owned {
            sql += &trigger.enable(&logged.name);
        }
    }
    transaction.batch_execute(&sql).await?;
    Ok(Outcome::Installed)
}

/// The functions that have to be made or replaced.
async fn differing(
    transaction: &Client,
    logged: &Logged,
    replace: bool,
) -> Result<Vec<Function>, tokio_postgres::Error> {
    let mut functions = logged.functions();
    let names: Vec<&str> = functions.iter().map(|it| it.name.as_str()).collect();
    for row in transaction.query(FUNCTIONS, &[&names]).await? {
        let (name, body): (&str, &str) = (row.get("name"), row.get("body"));
        let settings: Vec<String> = row.get("settings");
        let definer: bool = row.get("definer");
        functions.retain(|it| {
            let known = (0..PARTS).any(|slot| it.body_for(slot) == body);
            let same = known && definer && it.has(&settings);
            it.name != name || (replace && !same)
        });
    }
    Ok(functions)
}

impl Function {
    fn has(&self, settings: &[String]) -> bool {
        // As `proconfig` has them: `search_path=pg_catalog, pg_temp`.
        self.settings.len() == settings.len()
            && self.settings.iter().all(|(name, value)| {
                settings.iter().any(|it| {
                    it.split_once('=').is_some_and(|(found, set)| {
                        found.eq_ignore_ascii_case(name) && set.replace('"', "") == *value
                    })
                })
            })
    }
}

impl Trigger {
    /// Whether this is the trigger that `installed.sql` describes. When it fires is compared only
    /// where we could change it.
    fn is(&self, described: &str, owned: bool) -> bool {
        let enabled = |state: &str| state.starts_with(self.enabled);
        let flag = |it: bool| if it { "t" } else { "f" };
        match described.split(' ').collect::<Vec<_>>()[..] {
            [name, function, state, kind, old_rows, new_rows] => {
                name == self.name
                    && function == self.function
                    && (enabled(state) || (!owned && state != "D"))
                    && kind.parse() == Ok(self.kind)
                    && old_rows == flag(self.old_rows)
                    && new_rows == flag(self.new_rows)
            }
            _ => false,
        }
    }
}
