//! What readers should not do, but do: they break off, pause, begin anew, and come back with cursors of
//! all kinds.

use super::{ANSWER, Reader, Since};
use crate::convergence::{
    book::Book,
    company::Phase,
    proxy::{Cut, Pace},
};
use std::time::Duration;

impl Reader {
    /// At random moments, one of the things that readers should not do, but do.
    pub(super) async fn misbehave(&mut self) {
        if !self.random.one_in(60) {
            return;
        }
        let line = self.line.clone();
        let what = match self.random.below(11) {
            0 => {
                self.channel = None;
                "clean closes"
            }
            1 => {
                if let Some(line) = &line {
                    line.cut(Cut::Reset);
                }
                "resets"
            }
            2 => {
                if let Some(line) = &line {
                    line.cut(Cut::HalfOpen);
                }
                self.channel = None;
                "half-open connections"
            }
            3 => {
                if let Some(line) = &line {
                    line.cut(Cut::MidFrame);
                }
                "cuts in mid-frame"
            }
            4 | 5 => {
                let most = self.company.pause_max.as_millis() as u64;
                let pause = Duration::from_millis(self.random.below(most));
                let mut phase = self.company.phase.clone();
                let rest = phase.wait_for(|it| *it != Phase::Work);
                let _ = tokio::time::timeout(pause, rest).await;
                "reading pauses"
            }
            6 => {
                if let Some(line) = &line {
                    line.pace(Pace::Trickling);
                    self.read(Duration::from_millis(300)).await;
                    line.pace(Pace::At);
                }
                "slow lines"
            }
            7 => {
                if let Some(id) = self.book.some_request().map(str::to_owned) {
                    let path = format!("/requests/{id}?channel={}", self.channel_id());
                    let _ = self.client.delete(&path).try_send(ANSWER).await;
                }
                "cancelled requests"
            }
            8 => {
                self.begin_anew().await;
                "new channels"
            }
            _ => return self.resume().await,
        };
        self.company.tally.count(what);
    }

    /// Forgets everything and takes another channel.
    pub(super) async fn begin_anew(&mut self) {
        let path = format!("/channels/{}", self.channel_id());
        self.channel = None;
        let _ = self.client.delete(&path).try_send(ANSWER).await;
        self.company.tally.read(&self.book);
        self.life += 1;
        self.sequence = 0;
        self.since = None;
        let (findings, strict) = (&self.company.findings, self.company.peaceful);
        let (organization, roster) = (self.member.organization, self.company.roster.clone());
        self.book = Book::new(&self.who, organization, findings, strict, roster);
        self.joined = false;
    }

    pub(super) fn last_cursor(&self) -> Option<Since> {
        let (cursor, version) = self.book.cursor()?;
        (!cursor.is_empty()).then(|| Since {
            cursor: cursor.clone(),
            version: Some(*version),
        })
    }

    /// Comes back with a cursor: its last, an older one, one of another database, or nonsense.
    async fn resume(&mut self) {
        let Some(last) = self.last_cursor() else {
            return;
        };
        let mut to_another = self.random.one_in(2);
        let (what, since) = match self.random.below(6) {
            0 | 1 => ("resumptions from the last cursor", last),
            2 | 3 => {
                let older = self.book.older_cursors();
                let at = self.random.below(older.len().max(1) as u64) as usize;
                let Some((cursor, version)) = older.get(at).cloned() else {
                    return;
                };
                let version = Some(version);
                ("resumptions from an old cursor", Since { cursor, version })
            }
            4 => {
                let Some(cursor) = self.company.foreign_cursor.clone() else {
                    return;
                };
                to_another = true;
                let version = None;
                (
                    "resumptions from a foreign cursor",
                    Since { cursor, version },
                )
            }
            _ => {
                to_another = true;
                let (one, two) = last.cursor.split_at(last.cursor.len() / 2);
                let cursor = format!("{one}x{two}");
                let version = None;
                ("resumptions from nonsense", Since { cursor, version })
            }
        };
        self.channel = None;
        // Another channel, as after a restart of the browser, or the same one.
        if to_another {
            let path = format!("/channels/{}", self.channel_id());
            let _ = self.client.delete(&path).try_send(ANSWER).await;
            self.life += 1;
            self.joined = false;
        }
        self.book.forgets_requests();
        self.sequence = 0;
        self.since = Some(since);
        self.company.tally.count(what);
    }
}
