//! Cursors: the opaque, authenticated names of states of one database.
//!
//! Owns how a snapshot becomes text and back, and what a cursor is bound to. Knows no SQL: where the
//! key and the [`DatabaseId`] come from is the feed's business.
//!
//! A cursor is base64url of `format | snapshot | tag`. The snapshot is written as varints, with the
//! transactions in progress as gaps, so that a quiet database's cursor takes 30 characters. The tag
//! is HMAC-SHA-256, cut to 16 bytes (RFC 2104 section 5 allows half of the hash), over the
//! [`DatabaseId`] and the snapshot. The identity is not in the text: a cursor of another database, or
//! from before a crash, simply does not verify, exactly like a forged one, and tells nothing.

use crate::{
    error::{Error, Kind, Result},
    snapshot::{Position, Snapshot, Xid},
};
use aws_lc_rs::{constant_time, hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};
use uuid::Uuid;

/// Bytes of a key, as kept in the database.
pub const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// Changes with the layout, so that an old cursor is refused instead of misread.
const FORMAT: u8 = 1;
/// Keeps tags of cursors apart from tags of anything else that the same key may ever sign.
const DOMAIN: &[u8] = b"rowcast cursor\0";
/// A snapshot lists at most one transaction per backend, and PostgreSQL has at most 2^18 of those;
/// a cursor that long would not fit into a URL anyway.
const TEXT_BYTES_MAX: usize = 1 << 19;

/// What transaction ids are valid in: the same numbers mean something else anywhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DatabaseId {
    /// `pg_control_system().system_identifier`: the cluster.
    pub system_identifier: u64,
    /// The timeline of the WAL file that is written now: changes with a promotion or a restore.
    pub timeline: u32,
    /// The database's oid: transaction ids are the cluster's, but rows are the database's.
    pub database: u32,
    /// The identity of the change log. It lives in an unlogged table, which is emptied by everything
    /// that may hand out transaction ids a second time (crash, base backup, promotion).
    pub log_id: Uuid,
}

impl DatabaseId {
    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.system_identifier.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.timeline.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.database.to_be_bytes());
        bytes[16..].copy_from_slice(self.log_id.as_bytes());
        bytes
    }
}

/// The secret that authenticates cursors. All servers of one database share it.
#[derive(Clone)]
pub struct CursorKey(hmac::Key);

impl CursorKey {
    /// The key of these bytes.
    pub fn new(secret: &[u8; KEY_BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Bytes for a new key, from the system's random source.
    pub fn draw() -> Result<[u8; KEY_BYTES]> {
        let mut secret = [0; KEY_BYTES];
        rand::fill(&mut secret)
            .map_err(|_| Error::internal("the system's random source failed"))?;
        Ok(secret)
    }

    /// The cursor that names `snapshot` in `database`.
    pub fn sign(&self, database: &DatabaseId, snapshot: &Snapshot) -> Arc<str> {
        let mut bytes = Vec::with_capacity(32 + 2 * snapshot.xip.len());
        bytes.push(FORMAT);
        write_snapshot(&mut bytes, snapshot);
        let tag = self.tag(database, &bytes);
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(bytes).into()
    }

    /// The snapshot that `text` names in `database`; [`Kind::CursorInvalid`] unless this key signed
    /// it for exactly this database. Whether it lies in the future is [`CursorSigner::read`]'s check.
    pub fn verify(&self, database: &DatabaseId, text: &str) -> Result<Snapshot> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(invalid());
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| invalid())?;
        let (signed, tag) = bytes
            .len()
            .checked_sub(TAG_BYTES)
            .map(|at| bytes.split_at(at))
            .ok_or_else(invalid)?;
        constant_time::verify_slices_are_equal(&self.tag(database, signed), tag)
            .map_err(|_| invalid())?;
        match signed.split_first() {
            Some((&FORMAT, snapshot)) => read_snapshot(snapshot).ok_or_else(invalid),
            _ => Err(invalid()),
        }
    }

    /// A digest that only those can compute who share the key: of these parts, for the purpose that
    /// `domain` names. Unlike a cursor it outlives a crash.
    pub fn digest(&self, domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(domain);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    fn tag(&self, database: &DatabaseId, signed: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(DOMAIN);
        context.update(&database.to_bytes());
        context.update(signed);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_BYTES]);
        tag
    }
}

impl fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

/// The handle that everybody signs with: the key, and the database as it is now.
///
/// The feed alone calls [`CursorSigner::replace`], when it finds the log's identity lost; cursors
/// from before do not verify from then on.
#[derive(Debug)]
pub struct CursorSigner {
    key: CursorKey,
    // A std lock: held for a copy of 32 bytes, never across an await.
    database: RwLock<DatabaseId>,
}

impl CursorSigner {
    /// A signer for this database.
    pub fn new(key: CursorKey, database: DatabaseId) -> Self {
        Self {
            key,
            database: RwLock::new(database),
        }
    }

    /// The database that cursors are bound to at this moment.
    pub fn database(&self) -> DatabaseId {
        *self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds cursors to another identity from now on.
    pub fn replace(&self, database: DatabaseId) {
        *self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner) = database;
    }

    /// As [`CursorKey::digest`].
    pub fn digest(&self, domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        self.key.digest(domain, parts)
    }

    /// The cursor of `snapshot`.
    pub fn sign(&self, snapshot: &Snapshot) -> Arc<str> {
        self.key.sign(&self.database(), snapshot)
    }

    /// Version and cursor of `snapshot`.
    pub fn position(&self, snapshot: &Snapshot) -> Position {
        Position {
            version: snapshot.version(),
            cursor: self.sign(snapshot),
        }
    }

    /// The snapshot that a caller's cursor names, which may lie in the future still: what
    /// [`CursorSigner::read`] would say of the rest takes the database. [`Kind::CursorInvalid`].
    pub fn verify(&self, text: &str) -> Result<Snapshot> {
        self.key.verify(&self.database(), text)
    }

    /// The snapshot that a caller's cursor names. [`Kind::CursorInvalid`] if it was not signed for
    /// this database as it is, or if it is ahead of `now`, a snapshot taken after the cursor arrived:
    /// transaction ids that were never given out here cannot have been seen.
    pub fn read(&self, text: &str, now: &Snapshot) -> Result<Snapshot> {
        let snapshot = self.key.verify(&self.database(), text)?;
        if snapshot.xmax > now.xmax || snapshot.version() > now.version() {
            return Err(invalid());
        }
        Ok(snapshot)
    }
}

fn invalid() -> Error {
    Error::new(
        Kind::CursorInvalid,
        "The cursor was not given out for this database as it is now.",
    )
}

/// `xmax`, the distance down to `xmin`, then for each transaction in progress the gap to the one
/// before it: the first from `xmin`, the others less one, since they ascend strictly.
fn write_snapshot(bytes: &mut Vec<u8>, snapshot: &Snapshot) {
    write_varint(bytes, snapshot.xmax);
    write_varint(bytes, snapshot.xmax - snapshot.xmin);
    let mut next = snapshot.xmin;
    for xid in &snapshot.xip {
        write_varint(bytes, xid - next);
        next = xid + 1;
    }
}

fn read_snapshot(mut bytes: &[u8]) -> Option<Snapshot> {
    let xmax = read_varint(&mut bytes)?;
    let xmin = xmax.checked_sub(read_varint(&mut bytes)?)?;
    let mut xip: Vec<Xid> = Vec::new();
    let mut next = xmin;
    while !bytes.is_empty() {
        let xid = next.checked_add(read_varint(&mut bytes)?)?;
        if xid >= xmax {
            return None;
        }
        xip.push(xid);
        next = xid + 1;
    }
    Some(Snapshot { xmin, xmax, xip })
}

/// LEB128: seven bits to a byte, the lowest first.
fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let part = u64::from(byte & 0x7f);
        if part << shift >> shift != part {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// What fuzzing looks at here. Compiled for tests and for fuzzing only.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing {
    use super::{read_snapshot, write_snapshot};

    /// The signed part of a cursor, as if it verified: what is read writes the same snapshot.
    pub(crate) fn reads_back(bytes: &[u8]) {
        let Some(snapshot) = read_snapshot(bytes) else {
            return;
        };
        let mut again = Vec::new();
        write_snapshot(&mut again, &snapshot);
        assert_eq!(read_snapshot(&again).as_ref(), Some(&snapshot));
        assert_eq!(snapshot.to_string().parse().ok(), Some(snapshot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::btree_set, prelude::*};

    fn database() -> DatabaseId {
        DatabaseId {
            system_identifier: 7_400_000_000_000_000_001,
            timeline: 1,
            database: 16384,
            log_id: Uuid::from_u128(1),
        }
    }

    fn key() -> CursorKey {
        CursorKey::new(&[7; KEY_BYTES])
    }

    fn snapshots() -> impl Strategy<Value = Snapshot> {
        (any::<u64>(), btree_set(0u64..5000, 0..40)).prop_map(|(xmin, gaps)| {
            let xmin = xmin.min(u64::MAX - 5001);
            Snapshot {
                xmin,
                xmax: xmin + gaps.last().map_or(0, |last| last + 1),
                xip: gaps.into_iter().map(|gap| xmin + gap).collect(),
            }
        })
    }

    proptest! {
        #[test]
        fn every_snapshot_comes_back(snapshot in snapshots()) {
            let text = key().sign(&database(), &snapshot);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
            prop_assert_eq!(key().verify(&database(), &text).ok(), Some(snapshot));
        }

        #[test]
        fn any_flipped_bit_is_refused(snapshot in snapshots(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let text = key().sign(&database(), &snapshot);
            let mut bytes = URL_SAFE_NO_PAD.decode(&*text).expect("own base64");
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let forged = URL_SAFE_NO_PAD.encode(bytes);
            prop_assert_eq!(key().verify(&database(), &forged).map_err(|error| error.kind()), Err(Kind::CursorInvalid));
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(key().verify(&database(), &text).is_err());
            prop_assert!(key().verify(&database(), &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
            if let Some(snapshot) = read_snapshot(&bytes) {
                // What can be read is a valid snapshot, and reads back as itself.
                prop_assert_eq!(snapshot.to_string().parse::<Snapshot>().ok(), Some(snapshot.clone()));
                let mut again = Vec::new();
                write_snapshot(&mut again, &snapshot);
                prop_assert_eq!(read_snapshot(&again), Some(snapshot));
            }
        }
    }

    #[test]
    fn cursors_of_other_databases_keys_and_logs_are_refused() {
        let snapshot: Snapshot = "740:752:743,748".parse().expect("well formed");
        let text = key().sign(&database(), &snapshot);
        assert_eq!(text.len(), 30, "{text}");
        let others = [
            DatabaseId {
                system_identifier: 1,
                ..database()
            },
            DatabaseId {
                timeline: 2,
                ..database()
            },
            DatabaseId {
                database: 5,
                ..database()
            },
            DatabaseId {
                log_id: Uuid::from_u128(2),
                ..database()
            },
        ];
        for other in others {
            let error = key().verify(&other, &text).expect_err("foreign");
            assert_eq!(error.kind(), Kind::CursorInvalid);
        }
        assert!(
            CursorKey::new(&[8; KEY_BYTES])
                .verify(&database(), &text)
                .is_err()
        );
    }

    #[test]
    fn a_lost_log_and_a_future_cursor_are_refused() {
        let signer = CursorSigner::new(key(), database());
        let snapshot: Snapshot = "740:752:743,748".parse().expect("well formed");
        let text = signer.sign(&snapshot);
        let later = "750:760:".parse().expect("well formed");
        assert_eq!(signer.read(&text, &later).ok(), Some(snapshot.clone()));
        assert_eq!(signer.read(&text, &snapshot).ok(), Some(snapshot));
        let earlier = "740:751:".parse().expect("well formed");
        assert!(signer.read(&text, &earlier).is_err());
        signer.replace(DatabaseId {
            log_id: Uuid::from_u128(3),
            ..database()
        });
        assert!(signer.read(&text, &later).is_err());
    }
}
