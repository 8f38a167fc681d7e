//! The change feed, from a commit by whatever program to what each identity's channel is told. In
//! every test a second organization listens too.

mod listener;
mod losses;
mod open_rows;
mod passing;
mod polling;
mod restricted_rows;
mod schema;

pub(crate) use listener::{Listener, World, organization};
