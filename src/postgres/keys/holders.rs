//! Whether those who hold a row's key still see the row.
//!
//! Asks as each of them, many in one round trip. Knows nothing of what follows from the answer.

use super::{Asked, HOLDERS, Stored, rows, wrap};
use crate::{
    error::{Error, Kind, Result},
    identity::{Identity, IdentityKey, OrganizationId, Role, UserId},
    postgres::{
        changelog::flight::{Sent, in_order},
        database::Database,
        fault,
        lease::Lease,
        session::{self, BEGIN_READ, END, Failure, SETTINGS, Settings},
        sql::{self, Rendered},
    },
    query::Query,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};
use tokio_postgres::Statement;

/// As many are asked in one round trip.
const PIECE: usize = 64;

/// What is kept of a holder.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    role: std::borrow::Cow<'a, str>,
    claims: std::borrow::Cow<'a, str>,
}

/// What is kept of somebody who is handed a key.
pub(super) fn seal(secret: &[u8; wrap::SECRET_BYTES], identity: &Identity) -> Result<Vec<u8>> {
    let kept = Kept {
        role: (&*identity.role.0).into(),
        claims: (&*identity.claims).into(),
    };
    let text = serde_json::to_string(&kept).expect("texts have a JSON form");
    wrap::seal_holder(secret, &identity.user.0, &text)
}

/// A question, and as whom it is asked.
struct Question<'a> {
    identity: &'a Identity,
    rendered: &'a Rendered,
}

impl Question<'_> {
    fn settings(&self, statement_timeout: Duration) -> Settings<'_> {
        Settings {
            identity: self.identity,
            statement_timeout,
            action: "",
            time_zone: None,
        }
    }
}

impl Database {
    /// Whether somebody who holds the key, but for this user, does not see its row any more.
    pub(super) async fn is_lost(
        &self,
        lease: &mut Lease,
        asked: &Asked<'_>,
        stored: &Stored,
        but: Option<&str>,
    ) -> Result<bool> {
        let catalog = self.catalog();
        let Some(resource) = catalog.resource(asked.resource) else {
            return Ok(true);
        };
        let mut holders: Vec<Identity> = Vec::new();
        let mut seen: HashSet<(Role, Option<String>)> = HashSet::new();
        for row in rows(lease, HOLDERS, &[&stored.id]).await? {
            let user: &str = row.get("user_id");
            if Some(user) == but {
                continue;
            }
            let text = wrap::open_holder(&stored.secret, user, row.get("seal"))?;
            let Some(kept) = text.as_deref().and_then(|it| serde_json::from_str(it).ok()) else {
                return Ok(true);
            };
            let Kept { role, claims } = kept;
            let role = Role::from(&*role);
            // Where row-level security does not decide, all of one role see the same.
            let differ = resource.restricted.then(|| claims.clone().into_owned());
            if seen.insert((role.clone(), differ)) {
                holders.push(Identity {
                    key: IdentityKey([0; 32]),
                    organization: OrganizationId::from(asked.organization),
                    user: UserId::from(user),
                    role,
                    claims: claims.into(),
                });
            }
        }
        let mut by_role: HashMap<&Role, Rendered> = HashMap::new();
        for holder in &holders {
            if !by_role.contains_key(&holder.role) {
                let Some(rendered) = self.question(holder, asked).await? else {
                    return Ok(true);
                };
                by_role.insert(&holder.role, rendered);
            }
        }
        let questions: Vec<Question<'_>> = holders
            .iter()
            .map(|identity| Question {
                identity,
                rendered: &by_role[&identity.role],
            })
            .collect();
        for piece in questions.chunks(PIECE) {
            if self.ask(lease, piece).await?.contains(&false) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether this role sees the row, as SQL; `None` if it may not even ask.
    async fn question(&self, holder: &Identity, asked: &Asked<'_>) -> Result<Option<Rendered>> {
        let access = match self.access(&holder.role).await {
            Ok(access) => access,
            Err(error) if error.kind() == Kind::RoleNotAllowed => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(query) = Query::row_key(&access, asked.resource, asked.row_id) else {
            return Ok(None);
        };
        let (rendered, _) = sql::select(&query, &holder.organization)?;
        Ok(Some(rendered))
    }

    async fn ask(&self, lease: &mut Lease, questions: &[Question<'_>]) -> Result<Vec<bool>> {
        let statement_timeout = self.inner().statement_timeout;
        // The caller's role may name what ours may not, so the first one of a role prepares.
        let mut answers = Vec::with_capacity(questions.len());
        let mut open: Vec<(&Question<'_>, Statement)> = Vec::new();
        for question in questions {
            match lease.prepared(&question.rendered.sql) {
                Some(statement) => open.push((question, statement)),
                None => {
                    let read = session::read_whole(
                        lease,
                        question.settings(statement_timeout),
                        question.rendered,
                    );
                    answers.push(match read.await {
                        Ok((_, rows)) => !rows.is_empty(),
                        Err(failure) => refusal(failure)?,
                    });
                }
            }
        }
        let begin = lease
            .statement(SETTINGS)
            .await
            .map_err(fault::unavailable)?;
        lease.busy();
        let here: &Lease = lease;
        let mut sent: Vec<Sent<'_, Result<bool>>> = Vec::with_capacity(open.len());
        for (question, statement) in &open {
            let begin = &begin;
            let settings = question.settings(statement_timeout);
            sent.push(Box::pin(async move {
                let role = &*question.identity.role.0;
                let rows = async {
                    let rows = here
                        .query_raw(statement, &question.rendered.parameters)
                        .await?;
                    futures_util::TryStreamExt::try_collect::<Vec<_>>(rows).await
                };
                let (began, told, rows, ended) = tokio::join!(
                    biased;
                    here.batch_execute(BEGIN_READ),
                    session::set(here, begin, settings),
                    rows,
                    here.batch_execute(END),
                );
                began.map_err(fault::unavailable)?;
                ended.map_err(fault::unavailable)?;
                match (told, rows) {
                    (Ok(told), Ok(rows)) => {
                        Ok(told.get::<_, &str>("role") == role && !rows.is_empty())
                    }
                    (Err(error), _) | (_, Err(error)) => judged(error),
                }
            }));
        }
        let answered = in_order(sent).await;
        for answer in answered {
            answers.push(answer?);
        }
        lease.idle();
        Ok(answers)
    }
}

/// What an error of a question means: a refusal of PostgreSQL's is a no, anything else no answer.
fn judged(error: tokio_postgres::Error) -> Result<bool> {
    match fault::sqlstate(&error) {
        // Time-outs, resources, operators, systems.
        Some(state) if !["53", "57", "58", "XX"].contains(&&state[..2]) => Ok(false),
        _ => Err(fault::unavailable(error)),
    }
}

fn refusal(failure: Failure) -> Result<bool> {
    let error = Error::from(failure);
    match error.kind() {
        Kind::DatabaseUnavailable
        | Kind::StatementTimeout
        | Kind::Overloaded
        | Kind::Internal
        | Kind::Conflict => Err(error),
        _ => Ok(false),
    }
}
