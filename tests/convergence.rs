//! The convergence checker: writers, readers on all transports, faults, and the invariants that
//! hold all the while. `drill` shows that it can fail.
mod book;
mod chaos;
mod company;
mod drill;
mod ears;
mod faults;
mod feed_harm;
mod harm;
mod helpdesk;
mod invariants;
mod ledger;
mod plan;
mod proxy;
mod readers;
mod report;
mod rounds;
mod schema;
mod signals;
mod trace;
mod wire;
mod world;
mod writers;
