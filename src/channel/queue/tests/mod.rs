//! The queue as a state machine: by property against a model, and rule by rule.

mod beginnings;
mod channel;
mod holds;
mod missed;
mod model;
mod properties;
mod replays;
mod rules;
