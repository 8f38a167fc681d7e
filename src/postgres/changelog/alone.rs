//! Reading rows as one identity in a view that is read for that identity only.
//!
//! Whatever its row-level security does, nobody else waits for it; the time is limited all the same.

use super::{
    flight::in_order,
    plan::Plan,
    states::{Asked, Rows, encoded, rows_statement, unreadable},
    view::{MARK, RELEASE, View, query, simple},
};
use crate::{
    error::{Error, Kind, Result},
    identity::Identity,
    postgres::fault,
};
use std::time::Duration;
use tokio_postgres::{Statement, types::ToSql};

const SETTINGS: &str = include_str!("../../../sql/session/begin.sql");

impl View {
    /// The rows of these keys as the identity sees them, with these columns; `None` if row-level
    /// security failed, or took too long.
    ///
    /// # Errors
    /// `RoleNotAllowed`, `DatabaseUnavailable`.
    pub async fn rows_alone(
        &self,
        plan: &Plan,
        identity: &Identity,
        asked: &Asked,
        columns: &[usize],
        limit: Duration,
    ) -> Result<Option<Rows>> {
        let connection = self.connection();
        let settings = self.statement(SETTINGS).await.map_err(fault::unavailable)?;
        let (sql, encoder) = rows_statement(plan, &asked.resource, columns, true);
        let fits = |it: &Statement| encoder.check(it.columns()).is_ok();
        let prepare = async || match self.statement(&sql).await {
            Ok(statement) => Ok(Some(statement).filter(fits)),
            Err(error) => unreadable(error).map(|()| None),
        };
        let mut statement = prepare().await?;
        if statement.is_none() {
            // Prepared for the table as it was before.
            connection.forget(&sql);
            statement = prepare().await?;
        }
        let Some(statement) = statement else {
            return Ok(None);
        };
        let timeout = limit.as_millis().to_string();
        let session: [&(dyn ToSql + Sync); 4] =
            [&&*identity.role.0, &&*identity.claims, &timeout, &""];
        // No parameter can hold the organization of nobody, and no row is nobody's.
        let organization = match identity.organization.is_none() {
            true => "",
            false => &*identity.organization.0,
        };
        let parts = asked.parameters();
        let mut parameters: Vec<&(dyn ToSql + Sync)> = Vec::new();
        parameters.extend(parts.iter().map(|it| it as &(dyn ToSql + Sync)));
        if plan.texts(&asked.resource).fenced {
            parameters.push(&organization);
        }
        let flight = vec![
            simple(connection, MARK),
            query(connection, &settings, &session),
            query(connection, &statement, &parameters),
            simple(connection, RELEASE),
        ];
        let mut answers = in_order(flight).await.into_iter();
        let mut next = || answers.next().unwrap_or(Ok(Vec::new()));
        let (marked, entered, rows, released) = (next(), next(), next(), next());
        released.and(marked).map_err(fault::unavailable)?;
        let refused = || Error::new(Kind::RoleNotAllowed, "the role cannot be used any more");
        let entered = match entered {
            Ok(rows) => rows,
            Err(error) if error.code().is_some() => return Err(refused().with_source(error)),
            Err(error) => return Err(fault::unavailable(error)),
        };
        // What was read without the role counts for nothing.
        let role = entered.first().map(|row| row.get::<_, &str>("role"));
        if role != Some(&*identity.role.0) {
            return Err(refused());
        }
        match rows {
            Ok(rows) => Ok(encoded(&rows, &encoder)),
            Err(error) => unreadable(error).map(|()| None),
        }
    }
}
