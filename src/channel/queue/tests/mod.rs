//! The queue as a state machine: by property against a model, and rule by rule.

mod model;
mod properties;
mod rules;
