//! What a reader heard and did last, kept in a file where something was found.
//!
//! Knows nothing of what the lines say.

use std::{cell::Cell, collections::VecDeque, path::PathBuf};

/// What a reader heard and did last, for whoever looks into a finding.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: VecDeque<String>,
    kept: Cell<bool>,
}

impl Trace {
    const LINES_MAX: usize = 12_000;
    const LINE_MAX: usize = 240;

    pub(super) fn add(&mut self, mut line: String) {
        if self.lines.len() == Self::LINES_MAX {
            self.lines.pop_front();
        }
        let end = (0..=Self::LINE_MAX.min(line.len())).rev();
        let end = end.into_iter().find(|it| line.is_char_boundary(*it));
        line.truncate(end.unwrap_or(0));
        self.lines.push_back(line);
    }

    /// Writes it down at the first finding.
    pub(super) fn keep(&self, who: &str) {
        if self.kept.replace(true) {
            return;
        }
        let lines: Vec<&str> = self.lines.iter().map(String::as_str).collect();
        let _ = std::fs::create_dir_all(trace_folder());
        let _ = std::fs::write(
            trace_folder().join(format!("{who}.trace")),
            lines.join("\n"),
        );
    }
}

/// Where traces and the server's logs of a run are; they stay if something was found.
pub(super) fn trace_folder() -> PathBuf {
    std::env::temp_dir().join(format!("rowcast-convergence-{}", std::process::id()))
}
