//! Builds the parts, the tower stack around the routes, and drains gracefully.
