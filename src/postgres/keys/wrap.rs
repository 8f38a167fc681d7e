//! How keys of rows are stored: encrypted under a master key that is in the configuration and not in
//! the database.
//!
//! Owns the ciphers. Knows no SQL.
//!
//! AES-256-GCM (NIST SP 800-38D) with nonces of 96 random bits: one master key encrypts far fewer than
//! the 2^32 secrets for which that holds. What is encrypted is bound to its place, so that a secret
//! that was moved to another row in the database does not decrypt there.

use crate::{
    config::{MASTER_KEY_BYTES, Secret, master_key_bytes},
    error::{Error, Kind, Result},
};
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest, hmac, rand,
};
use uuid::Uuid;

/// Bytes of a row's secret: an AES-256 key.
pub(super) const SECRET_BYTES: usize = 32;
/// Bytes that tell which master key is meant.
const MASTER_ID_BYTES: usize = 8;

/// Names a master key without telling anything of it.
pub(super) type MasterId = [u8; MASTER_ID_BYTES];

/// The master keys of the configuration: the first encrypts, all decrypt.
pub(in crate::postgres) struct MasterKeys(Vec<Master>);

struct Master {
    id: MasterId,
    key: LessSafeKey,
}

/// Where a secret belongs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) id: Uuid,
    pub(super) organization: &'a str,
    pub(super) resource: &'a str,
    pub(super) row_id: &'a str,
}

impl MasterKeys {
    /// Those that are configured.
    ///
    /// # Errors
    /// `ConfigurationInvalid` for one that is none.
    pub(in crate::postgres) fn new(keys: &[Secret]) -> Result<Self> {
        let master = |key: &Secret| {
            let bytes = master_key_bytes(key).ok_or_else(|| {
                let detail = format!("a master key is not {MASTER_KEY_BYTES} bytes in base64");
                Error::new(Kind::ConfigurationInvalid, detail)
            })?;
            let mut id = [0; MASTER_ID_BYTES];
            let digest = digest::digest(&digest::SHA256, &bytes);
            id.copy_from_slice(&digest.as_ref()[..MASTER_ID_BYTES]);
            Ok(Master {
                id,
                key: cipher(&bytes)?,
            })
        };
        keys.iter().map(master).collect::<Result<_>>().map(Self)
    }

    /// The one that encrypts.
    ///
    /// # Errors
    /// `KeyUnreadable` if there is none.
    pub(super) fn first(&self) -> Result<MasterId> {
        self.0.first().map(|it| it.id).ok_or_else(unreadable)
    }

    /// All of them.
    pub(super) fn ids(&self) -> impl Iterator<Item = MasterId> {
        self.0.iter().map(|it| it.id)
    }

    /// Encrypts a secret under the first master key.
    pub(super) fn wrap(&self, place: Place<'_>, secret: &[u8; SECRET_BYTES]) -> Result<Vec<u8>> {
        let master = self.0.first().ok_or_else(unreadable)?;
        seal(&master.key, &place.bytes(), secret)
    }

    /// Decrypts a secret.
    ///
    /// # Errors
    /// `KeyUnreadable` if the master key is not among these, or the secret is not of this place.
    pub(super) fn unwrap(
        &self,
        place: Place<'_>,
        master: &[u8],
        wrapped: &[u8],
    ) -> Result<[u8; SECRET_BYTES]> {
        let mut masters = self.0.iter();
        let master = masters.find(|it| it.id == master).ok_or_else(unreadable)?;
        let secret = open(&master.key, &place.bytes(), wrapped).ok_or_else(unreadable)?;
        secret.try_into().map_err(|_| unreadable())
    }
}

impl Place<'_> {
    /// Each part with its length before it, so that no two places are written alike.
    fn bytes(self) -> Vec<u8> {
        let mut bytes = b"rowcast row key\0".to_vec();
        bytes.extend_from_slice(self.id.as_bytes());
        for part in [self.organization, self.resource, self.row_id] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part.as_bytes());
        }
        bytes
    }
}

/// A new secret, from the system's random source.
pub(super) fn draw() -> Result<[u8; SECRET_BYTES]> {
    let mut secret = [0; SECRET_BYTES];
    rand::fill(&mut secret).map_err(|_| Error::internal("the system's random source failed"))?;
    Ok(secret)
}

/// Encrypts what is kept of somebody who holds a key, by what follows from the key.
pub(super) fn seal_holder(secret: &[u8; SECRET_BYTES], user: &str, text: &str) -> Result<Vec<u8>> {
    seal(&holders(secret)?, user.as_bytes(), text.as_bytes())
}

/// Decrypts it; `None` if it is somebody else's.
pub(super) fn open_holder(
    secret: &[u8; SECRET_BYTES],
    user: &str,
    sealed: &[u8],
) -> Result<Option<String>> {
    let text = open(&holders(secret)?, user.as_bytes(), sealed);
    Ok(text.and_then(|it| String::from_utf8(it).ok()))
}

/// Another key than the one that is handed out.
fn holders(secret: &[u8; SECRET_BYTES]) -> Result<LessSafeKey> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    cipher(hmac::sign(&key, b"rowcast holders").as_ref())
}

fn cipher(key: &[u8]) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, key);
    key.map(LessSafeKey::new)
        .map_err(|_| Error::internal("a key of another length than its cipher's"))
}

fn seal(key: &LessSafeKey, place: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
    let failed = || Error::internal("nothing can be encrypted");
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| failed())?;
    let mut text = plain.to_vec();
    key.seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(place),
        &mut text,
    )
    .map_err(|_| failed())?;
    Ok([&nonce[..], &text].concat())
}

fn open(key: &LessSafeKey, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let plain = key.open_in_place(nonce, Aad::from(place), &mut text).ok()?;
    Some(plain.to_vec())
}

fn unreadable() -> Error {
    Error::new(
        Kind::KeyUnreadable,
        "The key is stored under a master key that this server does not have.",
    )
}

impl std::fmt::Debug for MasterKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(row_id: &str) -> Place<'_> {
        Place {
            id: Uuid::nil(),
            organization: "1",
            resource: "tickets",
            row_id,
        }
    }

    fn masters(keys: &[&str]) -> MasterKeys {
        let keys: Vec<Secret> = keys.iter().map(|it| Secret::from(it.repeat(43))).collect();
        MasterKeys::new(&keys).unwrap()
    }

    #[test]
    fn a_secret_is_read_with_its_master_key_and_at_its_place_only() {
        let (old, both) = (masters(&["A"]), masters(&["E", "A"]));
        let secret = draw().unwrap();
        let wrapped = old.wrap(place("42"), &secret).unwrap();
        let master = old.first().unwrap();
        assert_eq!(both.unwrap(place("42"), &master, &wrapped).unwrap(), secret);
        assert_ne!(both.first().unwrap(), master, "the first encrypts");
        let refused = |masters: &MasterKeys, at, bytes: &[u8]| {
            let error = masters.unwrap(place(at), &master, bytes).unwrap_err();
            assert_eq!(error.kind(), Kind::KeyUnreadable);
        };
        refused(&masters(&["E"]), "42", &wrapped);
        refused(&both, "43", &wrapped);
        refused(&both, "42", &wrapped[..wrapped.len() - 1]);
        refused(&both, "42", b"");
        let none = MasterKeys::new(&[]).unwrap();
        assert_eq!(none.first().unwrap_err().kind(), Kind::KeyUnreadable);
    }

    #[test]
    fn a_holder_is_who_was_sealed() {
        let secret = draw().unwrap();
        let sealed = seal_holder(&secret, "7", "{}").unwrap();
        let open = |secret, user| open_holder(secret, user, &sealed).unwrap();
        assert_eq!(open(&secret, "7").as_deref(), Some("{}"));
        assert_eq!(open(&secret, "8"), None);
        assert_eq!(open(&draw().unwrap(), "7"), None);
    }
}
