//! What is looked after while nobody asks: rights in doubt, keys, announced writes, who has gone.

use super::{
    Signals, lock,
    organization::{Organization, TICK},
    topic::Topic,
};
use crate::{
    error::Kind,
    identity::{Identity, OrganizationId, UserId},
    wire::{Events, signal},
};
use std::{
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};
use tokio::sync::Notify;

/// For how long a question about a right may wait for its answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Looks when there may be something to do, and every tick while there is. What comes together is told
/// together.
pub(super) async fn look_after(signals: Weak<Signals>, work: Arc<Notify>) {
    let mut busy = false;
    loop {
        if !busy {
            work.notified().await;
        }
        tokio::time::sleep(TICK).await;
        let Some(signals) = signals.upgrade() else {
            return;
        };
        busy = signals.look().await;
    }
}

impl Signals {
    /// Does what is due everywhere. Whether there is more to do soon.
    async fn look(&self) -> bool {
        let organizations: Vec<_> = lock(&self.organizations)
            .iter()
            .map(|(id, it)| (id.clone(), it.clone()))
            .collect();
        let mut busy = false;
        for (id, organization) in organizations {
            let now = Instant::now();
            let doubts = lock(&organization).take_doubts();
            for (identity, topic) in doubts {
                self.settle(&organization, &identity, &topic).await;
            }
            let succeeded = lock(&organization).take_succeeded();
            for (identity, topic) in succeeded {
                self.settle_under(&organization, &identity, topic).await;
            }
            let shaken = lock(&organization).take_shaken();
            for topic in shaken {
                self.reconsider(&id, &organization, topic).await;
            }
            let due = lock(&organization).announced.due(now);
            for (user, action) in due {
                self.judge(&id, &organization, &user, &action).await;
            }
            busy |= lock(&organization).tick(now);
        }
        // Nobody else can be about to fill one that is held here only.
        lock(&self.organizations).retain(|_, it| Arc::strong_count(it) > 1 || !lock(it).is_empty());
        busy
    }

    /// Ends an identity's part in a topic if it does not see the row any more. A question that fails
    /// is asked again.
    async fn settle(
        &self,
        organization: &Mutex<Organization>,
        identity: &Arc<Identity>,
        topic: &Topic,
    ) {
        let Topic::Row(row) = topic else {
            return;
        };
        let sees = self.row(identity, &row.resource, row.id());
        match tokio::time::timeout(CHECK_TIMEOUT, sees).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => lock(organization).lose(identity.key, topic),
            Ok(Err(_)) | Err(_) => lock(organization).doubt(identity.key, topic.clone()),
        }
    }

    /// Retires the key of a row that a user does not see any more by what their newest token says.
    async fn settle_under(
        &self,
        organization: &Mutex<Organization>,
        identity: &Arc<Identity>,
        topic: Topic,
    ) {
        let Topic::Row(row) = &topic else {
            return;
        };
        let settled = async {
            if self.row(identity, &row.resource, row.id()).await?.is_some() {
                return Ok(false);
            }
            let forgotten = self
                .database
                .forget_holder(identity, &row.resource, row.id());
            forgotten.await.map(|()| true)
        };
        match tokio::time::timeout(CHECK_TIMEOUT, settled).await {
            Ok(Ok(false)) => {}
            // Those who are on the topic are told of it, as ever.
            Ok(Ok(true)) => lock(organization).shake_again(topic),
            Ok(Err(_)) | Err(_) => lock(organization).doubt_under(identity, [topic]),
        }
    }

    /// Retires the key of a row if somebody who holds it has lost the row, and says so to everybody on
    /// the topic. A question that fails is asked again.
    async fn reconsider(
        &self,
        id: &OrganizationId,
        organization: &Mutex<Organization>,
        topic: Topic,
    ) {
        let Topic::Row(row) = &topic else {
            return;
        };
        let retired = self.database.reconsider_key(id, &row.resource, row.id());
        match tokio::time::timeout(CHECK_TIMEOUT, retired).await {
            Ok(Ok(true)) => {
                let event = signal::KeyEvent { topic: &row.name };
                lock(organization).tell(&topic, &Arc::new(Events::one(signal::line(&event))));
            }
            Ok(Ok(false)) => {}
            // Nothing that asking again would change; handing it out fails too, and says so.
            Ok(Err(error)) if error.kind() == Kind::KeyUnreadable => {}
            Ok(Err(_)) | Err(_) => lock(organization).shake_again(topic),
        }
    }

    /// Takes back what announced a write, unless it was committed.
    async fn judge(
        &self,
        id: &OrganizationId,
        organization: &Mutex<Organization>,
        user: &UserId,
        action: &Arc<str>,
    ) {
        let committed = self.database.is_committed(id, user, action);
        match tokio::time::timeout(CHECK_TIMEOUT, committed).await {
            Ok(Ok(true)) => {
                lock(organization).announced.remove(user, action);
            }
            Ok(Ok(false)) => lock(organization).take_back(user, action),
            // Asked again at the next look.
            Ok(Err(_)) | Err(_) => {}
        }
    }
}
