//! What has to hold, each with a name, and the findings of a run: who saw which of them broken.
//! Knows neither how it is observed nor what was done to the server.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

/// What is promised, in the order of the protocol's promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Invariant {
    /// Every 202 gets exactly one end: `done`, `error`, or `open` with `resumed:false`; nothing of
    /// the request follows it.
    OneEnd,
    /// `done` and `error` count the rows that came before them.
    RowsCounted,
    /// All rows of a request, and its `done`, are of one version; each row comes once.
    OneState,
    /// The rows of a request equal the plain GET of the same version.
    EqualsPlainGet,
    /// Numbers told by the server agree with counting, and a resumed channel goes on where it was.
    SequenceUnbroken,
    /// What cannot be resumed is said: a `reset` of everything comes before anything else.
    LossIsSaid,
    /// A channel's cursors never go back.
    CursorAdvances,
    /// Whatever was committed up to a cursor comes before the cursor.
    NothingAfterItsCursor,
    /// A row's change of one version is told once.
    ToldOnce,
    /// `op` fits what was told of the row before.
    OpFits,
    /// An event has the form that the protocol gives it.
    WellFormed,
    /// At rest, every row that PostgreSQL shows is in the store.
    StoreComplete,
    /// At rest, every row in the store is as PostgreSQL shows it.
    StoreCurrent,
    /// At rest, no row is in the store that PostgreSQL does not show.
    NoGhosts,
    /// At rest, everybody is told everything, and soon.
    CatchesUp,
    /// No frame holds a value of another organization.
    Isolation,
    /// A signal reaches everybody else who is on its topic all the while, once.
    SignalsReach,
    /// A signal reaches nobody else: not its sender, and nobody who is not on its topic.
    SignalsAddressed,
    /// Signals of one sender on one topic come in the order in which they were sent.
    SignalsInOrder,
    /// A write that a signal announced ends, for each who heard of it, in its change or in a `void`.
    AnnouncedEnds,
    /// What was acknowledged is in the database.
    AcknowledgedKept,
    /// A repeated action has one effect.
    OneEffect,
    /// Connections, transactions, tasks and queues go when those go for whom they were.
    NothingLeaked,
    /// The server ends only when it is told to.
    StaysUp,
}

impl Invariant {
    /// The name in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneEnd => "one-end",
            Self::RowsCounted => "rows-counted",
            Self::OneState => "one-state",
            Self::EqualsPlainGet => "equals-plain-get",
            Self::SequenceUnbroken => "sequence-unbroken",
            Self::LossIsSaid => "loss-is-said",
            Self::CursorAdvances => "cursor-advances",
            Self::NothingAfterItsCursor => "nothing-after-its-cursor",
            Self::ToldOnce => "told-once",
            Self::OpFits => "op-fits",
            Self::WellFormed => "well-formed",
            Self::StoreComplete => "store-complete",
            Self::StoreCurrent => "store-current",
            Self::NoGhosts => "no-ghosts",
            Self::CatchesUp => "catches-up",
            Self::Isolation => "isolation",
            Self::SignalsReach => "signals-reach",
            Self::SignalsAddressed => "signals-addressed",
            Self::SignalsInOrder => "signals-in-order",
            Self::AnnouncedEnds => "announced-ends",
            Self::AcknowledgedKept => "acknowledged-kept",
            Self::OneEffect => "one-effect",
            Self::NothingLeaked => "nothing-leaked",
            Self::StaysUp => "stays-up",
        }
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One time that an invariant did not hold.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub(super) invariant: Invariant,
    pub(super) who: String,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.invariant, self.who, self.what)
    }
}

/// Of one invariant, more violations than these are counted and not kept.
const KEPT_MAX: usize = 5;

/// All violations of a run, shared by those who look.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(Arc<Mutex<BTreeMap<Invariant, Found>>>);

/// How often an invariant did not hold, and the first cases.
type Found = (usize, Vec<Violation>);

impl Findings {
    pub(super) fn add(&self, invariant: Invariant, who: &str, what: impl fmt::Display) {
        let mut found = self.0.lock().unwrap();
        let (count, kept) = found.entry(invariant).or_default();
        *count += 1;
        if kept.len() < KEPT_MAX {
            let mut what = what.to_string();
            if what.len() > 1_500 {
                let end = (0..=1_500).rev().find(|it| what.is_char_boundary(*it));
                what.truncate(end.unwrap_or(0));
                what.push('…');
            }
            kept.push(Violation {
                invariant,
                who: who.to_owned(),
                what,
            });
        }
    }

    /// Which invariants did not hold.
    pub(super) fn invariants(&self) -> Vec<Invariant> {
        self.0.lock().unwrap().keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (invariant, (count, kept)) in &*self.0.lock().unwrap() {
            writeln!(f, "{invariant}: {count}")?;
            for violation in kept {
                writeln!(f, "  {violation}")?;
            }
        }
        Ok(())
    }
}
