//! What goes to the terminal: errors and logs on standard error, colours only where a person reads.

use rowcast::error::{Error, Result};
use std::{
    error::Error as _,
    io::{IsTerminal, Write},
};
use tracing_subscriber::EnvFilter;

/// Whether colours belong on this stream: a terminal, and `NO_COLOR` not set (no-color.org).
pub(super) fn wants_colour(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    stream.is_terminal() && !refused && !dumb
}

/// Says on standard error why a command failed. Whoever runs it is the operator, so that causes are
/// told which no caller of the server would be told.
pub(super) fn complain(error: &Error) {
    let mut text = String::new();
    let (bold, red, plain) = match wants_colour(&std::io::stderr()) {
        true => ("\u{1b}[1m", "\u{1b}[31m", "\u{1b}[0m"),
        false => ("", "", ""),
    };
    for line in error.detail().lines() {
        text += &format!("{bold}{red}rowcast:{plain} {line}\n");
    }
    let mut told = error.detail().to_owned();
    let mut cause = error.source();
    while let Some(next) = cause {
        let sentence = next.to_string();
        // Many causes repeat their own cause, and details often quote the first of them.
        if !told.contains(&sentence) {
            text += &format!("  because: {sentence}\n");
            told += &sentence;
        }
        cause = next.source();
    }
    if let Some(fault) = error.database() {
        for more in fault.details.iter().chain(&fault.hint) {
            text += &format!("  PostgreSQL: {more}\n");
        }
    }
    if let Some(hint) = error.hint() {
        text += &format!("  hint: {hint}\n");
    }
    // Nobody is left to tell when standard error is closed.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Writes to standard output; a reader that has gone (`| head`) is no error.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Libraries that log parameters, headers and frames below these levels. Values of rows, tokens and
/// bodies have no place in a log, whatever level is asked for.
const DISCREET: &[&str] = &[
    "tokio_postgres=warn",
    "tungstenite=warn",
    "tokio_tungstenite=warn",
    "h2=warn",
    "hyper=info",
    "hyper_util=info",
];

/// The filter of `server.log`, with the libraries that say too much held back.
fn filter(text: &str) -> Result<EnvFilter> {
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Error::new(
            rowcast::error::Kind::ConfigurationInvalid,
            "`server.log` is neither a level nor a filter per module",
        )
        .with_source(error)
    })?;
    let discreet = DISCREET.iter().map(|it| it.parse());
    Ok(discreet.fold(filter, |filter, directive| {
        filter.add_directive(directive.expect("written down above"))
    }))
}

/// Sends logs to standard error, as `server.log` filters them.
pub(super) fn log(text: &str) -> Result<()> {
    let filter = filter(text)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(wants_colour(&std::io::stderr()))
        .with_target(false);
    // A second call, in a test, keeps the first one's.
    let _ = subscriber.try_init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_that_log_values_are_held_back() {
        for text in ["debug", "trace", "trace,tokio_postgres=trace"] {
            let filter = filter(text).unwrap().to_string();
            for directive in DISCREET {
                let wanted = filter.split(',').any(|it| it == *directive);
                assert!(wanted, "{text}: {directive} is not in {filter}");
            }
            assert!(!filter.contains("tokio_postgres=trace"), "{filter}");
        }
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        assert!(filter("rowcast=loud").is_err());
    }
}
