//! Passes: short names for a caller on one channel, for browsers that cannot send headers where
//! they open a WebSocket or an EventSource.
//!
//! Owns the store. A pass is kept as its digest only, like a password.

use crate::{
    channel::ChannelId,
    config::Auth,
    error::{Error, Kind, Result},
    identity::{Caller, IdentityKey},
};
use aws_lc_rs::{digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;

/// Random bytes of a pass: as hard to guess as a key.
const PASS_BYTES: usize = 32;
/// How often passes that nobody can use any more are thrown away.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

type Digest = [u8; 32];

/// The passes that were issued. A std mutex, because nothing is awaited while it is held.
#[derive(Debug)]
pub(super) struct Passes {
    first_use: Duration,
    per_identity: usize,
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    passes: HashMap<Digest, Pass>,
    /// The same, oldest first, so that no identity can fill the store.
    of_identity: HashMap<IdentityKey, Vec<Digest>>,
    sweep_at: Instant,
}

#[derive(Debug)]
struct Pass {
    caller: Caller,
    channel: ChannelId,
    /// Until when it has to be used first; `None` once it was, and then the token's end counts.
    unused_until: Option<Instant>,
}

impl Pass {
    fn is_alive(&self, now: Instant) -> bool {
        self.unused_until.is_none_or(|until| now < until) && !is_over(&self.caller)
    }
}

impl Passes {
    pub(super) fn new(config: &Auth) -> Self {
        Self {
            first_use: Duration::from_millis(config.pass_ms),
            per_identity: config.passes_per_identity,
            store: Mutex::new(Store {
                passes: HashMap::new(),
                of_identity: HashMap::new(),
                sweep_at: Instant::now() + SWEEP_EVERY,
            }),
        }
    }

    /// How many seconds a new pass may stay unused.
    pub(super) fn first_use_s(&self) -> u64 {
        self.first_use.as_secs()
    }

    /// A new pass for a channel of the caller's. The oldest used one gives way where there are too
    /// many; its channel then needs a new one to reconnect.
    ///
    /// # Errors
    /// `TooManyRequests` if the caller holds too many that it has not used.
    pub(super) fn issue(&self, caller: Caller, channel: ChannelId) -> Result<String> {
        let mut secret = [0; PASS_BYTES];
        rand::fill(&mut secret)
            .map_err(|_| Error::internal("the system's random source failed"))?;
        let text = URL_SAFE_NO_PAD.encode(secret);
        let now = Instant::now();
        let mut store = self.lock();
        store.sweep(now);
        let Store {
            passes,
            of_identity,
            ..
        } = &mut *store;
        let own = of_identity.entry(caller.identity.key).or_default();
        own.retain(|it| retain(passes, it, now));
        let is_used = |it: &Digest| passes[it].unused_until.is_none();
        let used = own.iter().filter(|it| is_used(it)).count();
        if own.len() - used >= self.per_identity {
            return Err(Error::new(
                Kind::TooManyRequests,
                format!("{} passes wait to be used.", self.per_identity),
            ));
        }
        if used >= self.per_identity
            && let Some(oldest) = own.iter().position(is_used)
        {
            passes.remove(&own.remove(oldest));
        }
        let digest = digest_of(&text);
        own.push(digest);
        let pass = Pass {
            caller,
            channel,
            unused_until: Some(now + self.first_use),
        };
        passes.insert(digest, pass);
        Ok(text)
    }

    /// The caller whom a pass stands for on this channel.
    ///
    /// # Errors
    /// `PassInvalid` if it is unknown, late or for another channel, `TokenExpired`.
    pub(super) fn redeem(&self, text: &str, channel: &ChannelId) -> Result<Caller> {
        let invalid = || Error::new(Kind::PassInvalid, "Get a new one from `POST /passes`.");
        let mut store = self.lock();
        let pass = store.passes.get_mut(&digest_of(text)).ok_or_else(invalid)?;
        if is_over(&pass.caller) {
            let detail = "The time of the token that the pass was made with is over.";
            return Err(Error::new(Kind::TokenExpired, detail));
        }
        if pass.channel != *channel || !pass.is_alive(Instant::now()) {
            return Err(invalid());
        }
        pass.unused_until = None;
        Ok(pass.caller.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn sweep(&mut self, now: Instant) {
        if now < self.sweep_at {
            return;
        }
        self.sweep_at = now + SWEEP_EVERY;
        let passes = &mut self.passes;
        self.of_identity.retain(|_, own| {
            own.retain(|it| retain(passes, it, now));
            !own.is_empty()
        });
    }
}

/// Whether the pass can still be used; removes it otherwise.
fn retain(passes: &mut HashMap<Digest, Pass>, digest: &Digest, now: Instant) -> bool {
    let alive = passes.get(digest).is_some_and(|it| it.is_alive(now));
    if !alive {
        passes.remove(digest);
    }
    alive
}

fn digest_of(text: &str) -> Digest {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn is_over(caller: &Caller) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_s = now.map_or(0, |it| it.as_secs());
    caller.expires_at.is_some_and(|it| it <= now_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, OrganizationId, Role, UserId};
    use std::sync::Arc;

    fn caller(user: u8, expires_at: Option<u64>) -> Caller {
        Caller {
            identity: Arc::new(Identity {
                key: IdentityKey([user; 32]),
                organization: OrganizationId::from("1"),
                user: UserId::from("1"),
                role: Role::from("r"),
                claims: "{}".into(),
            }),
            expires_at,
        }
    }

    fn channel(name: &str) -> ChannelId {
        ChannelId::parse(name).unwrap()
    }

    fn passes(per_identity: usize) -> Passes {
        Passes::new(&Auth {
            passes_per_identity: per_identity,
            ..Auth::default()
        })
    }

    fn refusal<T: std::fmt::Debug>(result: Result<T>) -> Kind {
        result.unwrap_err().kind()
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_is_for_one_channel_and_soon() {
        let passes = passes(8);
        let pass = passes.issue(caller(1, None), channel("a")).unwrap();
        assert_eq!(
            refusal(passes.redeem(&pass, &channel("b"))),
            Kind::PassInvalid
        );
        let late = passes.issue(caller(1, None), channel("a")).unwrap();
        tokio::time::advance(Duration::from_millis(29_999)).await;
        let found = passes.redeem(&pass, &channel("a")).unwrap();
        assert_eq!(found.identity.key, IdentityKey([1; 32]));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(
            refusal(passes.redeem(&late, &channel("a"))),
            Kind::PassInvalid
        );
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(passes.redeem(&pass, &channel("a")).is_ok(), "it reconnects");
        assert_eq!(
            refusal(passes.redeem("nonsense", &channel("a"))),
            Kind::PassInvalid
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_with_its_token() {
        let passes = passes(8);
        let pass = passes.issue(caller(1, Some(1)), channel("a")).unwrap();
        assert_eq!(
            refusal(passes.redeem(&pass, &channel("a"))),
            Kind::TokenExpired
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_bounded_for_each_identity() {
        let passes = passes(2);
        let issue = |user| passes.issue(caller(user, None), channel("a"));
        let (first, second) = (issue(1).unwrap(), issue(1).unwrap());
        assert_eq!(refusal(issue(1)), Kind::TooManyRequests);
        assert!(issue(2).is_ok(), "another identity is not concerned");
        passes.redeem(&first, &channel("a")).unwrap();
        passes.redeem(&second, &channel("a")).unwrap();
        assert!(issue(1).is_ok(), "the oldest used one gives way");
        assert_eq!(
            refusal(passes.redeem(&first, &channel("a"))),
            Kind::PassInvalid
        );
        assert!(passes.redeem(&second, &channel("a")).is_ok());
        tokio::time::advance(Duration::from_secs(61)).await;
        passes.redeem(&second, &channel("a")).unwrap();
        issue(3).unwrap();
        assert_eq!(passes.lock().passes.len(), 2, "what is late is swept away");
    }
}
