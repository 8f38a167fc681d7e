//! The convergence checker: writers, readers on all transports, faults, and the invariants that
//! hold all the while. `drill` shows that it can fail.
#![allow(dead_code, reason = "runs with faults use the rest")]

mod book;
mod drill;
mod feed_harm;
mod harm;
mod helpdesk;
mod invariants;
mod plan;
mod proxy;
mod readers;
mod report;
mod schema;
mod wire;
