//! Which organizations had a row in a state that somebody else can have seen: at the end of one of the
//! transactions that wrote it.
//!
//! Pure. What the log says of one transaction is not in the order in which things happened to the row
//! (a trigger of the application's may write it again before the statement that it belongs to is
//! logged), so entries are weighed and not played back: an organization that gained the row more often
//! than it lost it in a transaction may have had it at its end, and no other one has, unless it had it
//! before.

use super::touched::Whose;
use crate::{postgres::changelog::Hint, snapshot::Xid};

/// Who had a row between its writers.
#[derive(Debug, Clone, Default)]
pub(super) struct Holders {
    /// The transaction that wrote last.
    xid: Option<Xid>,
    /// How often each has gained the row in it, less how often it has lost it.
    gains: Vec<(Whose, i32)>,
    between: Whose,
}

impl Holders {
    /// An entry of the log, in the order of writing. Those of one transaction for one row stand
    /// together, since it keeps others from the row until it ends.
    pub(super) fn add(&mut self, xid: Xid, whose: &Whose, hint: Hint) {
        if self.xid.is_some_and(|it| it != xid) {
            for (whose, gained) in self.gains.drain(..) {
                if gained > 0 {
                    self.between.add(whose);
                }
            }
        }
        self.xid = Some(xid);
        let gain = match hint {
            Hint::Delete | Hint::Left => -1,
            _ => 1,
        };
        match self.gains.iter_mut().find(|it| it.0 == *whose) {
            Some((_, gains)) => *gains += gain,
            None => self.gains.push((whose.clone(), gain)),
        }
    }

    /// Who had it at the end of a transaction that others followed. Who has it at the end of the last
    /// is told by reading.
    pub(super) fn between(&self) -> &Whose {
        &self.between
    }

    /// The same, to be looked up.
    pub(super) fn between_mut(&mut self) -> &mut Whose {
        &mut self.between
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transaction, hint, organization.
    type Logged = (Xid, Hint, &'static str);

    /// Who had it between.
    fn between(entries: &[Logged]) -> Vec<String> {
        let mut holders = Holders::default();
        for (xid, hint, organization) in entries {
            let mut whose = Whose::default();
            whose.organizations.insert((*organization).into());
            holders.add(*xid, &whose, *hint);
        }
        let between = holders.between().organizations.iter();
        let mut between: Vec<_> = between.map(|it| it.to_string()).collect();
        between.sort();
        between
    }

    #[test]
    fn who_had_it_at_the_end_of_a_transaction_that_others_followed() {
        use Hint::{Delete, Insert, Left, Update};
        let cases: [(&[Logged], &[&str]); 9] = [
            (&[(1, Insert, "a"), (2, Delete, "a")], &["a"]),
            (&[(1, Insert, "a"), (1, Delete, "a")], &[]),
            // Nobody ever saw either of them.
            (
                &[
                    (1, Insert, "a"),
                    (1, Delete, "a"),
                    (2, Insert, "b"),
                    (2, Delete, "b"),
                ],
                &[],
            ),
            // It was another's within the transaction only.
            (
                &[
                    (1, Insert, "a"),
                    (1, Update, "b"),
                    (1, Left, "a"),
                    (2, Delete, "b"),
                ],
                &["b"],
            ),
            (
                &[
                    (1, Insert, "a"),
                    (2, Update, "b"),
                    (2, Left, "a"),
                    (2, Delete, "b"),
                ],
                &["a"],
            ),
            // The same, logged by a trigger within the statement first.
            (
                &[
                    (1, Update, "b"),
                    (1, Left, "a"),
                    (1, Insert, "a"),
                    (2, Delete, "b"),
                ],
                &["b"],
            ),
            (
                &[
                    (1, Insert, "a"),
                    (2, Update, "a"),
                    (3, Update, "b"),
                    (3, Left, "a"),
                    (4, Delete, "b"),
                ],
                &["a", "b"],
            ),
            // There and back.
            (
                &[
                    (1, Insert, "a"),
                    (1, Update, "b"),
                    (1, Left, "a"),
                    (1, Update, "a"),
                    (1, Left, "b"),
                    (2, Delete, "a"),
                ],
                &["a"],
            ),
            (&[], &[]),
        ];
        for (entries, expected) in cases {
            assert_eq!(between(entries), expected, "{entries:?}");
        }
    }
}
