//! Does the faults of a plan, one after the other, each with its end. Knows how, not why.

use super::{
    plan::{Fault, Random},
    proxy::{Cut, Pace, Proxy, Upstream},
    world::{Postgres, Serve},
};
use nix::sys::signal::Signal;
use std::{path::PathBuf, sync::Arc, time::Duration};

/// What faults are done to.
pub(super) struct Victims {
    pub(super) postgres: Postgres,
    pub(super) server: Serve,
    pub(super) starts: usize,
    pub(super) logs: PathBuf,
    /// Between server and PostgreSQL, and its URL.
    pub(super) database: Arc<Proxy>,
    pub(super) proxied_url: String,
    /// Between clients and server.
    pub(super) clients: Vec<Arc<Proxy>>,
}

impl Victims {
    /// Starts the server once more, and leads everybody there.
    pub(super) async fn start_again(&mut self) {
        self.starts += 1;
        self.server = Serve::start(&self.proxied_url, &self.logs, self.starts).await;
        for client in &self.clients {
            client.lead_to(Upstream::Tcp(self.server.address));
        }
    }

    /// Does a fault, and ends it.
    pub(super) async fn suffer(&mut self, fault: Fault, random: &mut Random) {
        let mut moment = |most| Duration::from_millis(200 + random.below(most));
        match fault {
            Fault::ServerKilled => {
                self.server.kill();
                tokio::time::sleep(moment(500)).await;
                self.start_again().await;
            }
            Fault::ServerStopped => {
                self.server.signal(Signal::SIGSTOP);
                tokio::time::sleep(moment(2_500)).await;
                self.server.signal(Signal::SIGCONT);
            }
            Fault::PostgresRestarted => self.postgres.restart_immediately().await,
            Fault::BackendKilled => self.postgres.kill_backend().await,
            Fault::BackendsTerminated => self.postgres.terminate_backends().await,
            Fault::ConnectionsExhausted => self.postgres.exhaust(moment(2_000)).await,
            Fault::DatabaseCut => self.database.cut(Cut::MidFrame),
            Fault::DatabaseTrickles => {
                paced(&self.database, Pace::Trickling, moment(2_000)).await;
            }
            Fault::DatabaseDelayed => {
                let by = Pace::Delayed(Duration::from_millis(30));
                paced(&self.database, by, moment(2_000)).await;
            }
            Fault::DatabaseFrozen => paced(&self.database, Pace::Frozen, moment(1_500)).await,
            Fault::ClientsCut => {
                for client in &self.clients {
                    client.cut(Cut::MidFrame);
                }
            }
            Fault::ClientsTrickle => {
                for client in &self.clients {
                    client.pace(Pace::Trickling);
                }
                tokio::time::sleep(moment(2_000)).await;
                for client in &self.clients {
                    client.pace(Pace::At);
                }
            }
        }
    }
}

async fn paced(proxy: &Proxy, pace: Pace, time: Duration) {
    proxy.pace(pace);
    tokio::time::sleep(time).await;
    proxy.pace(Pace::At);
}
