//! What a run does, drawn from its seed: how long its rounds are, which faults come when, and how
//! badly readers behave. Knows nothing of how any of it is done.

use std::time::Duration;

/// A repeatable source of numbers (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(super) fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Another source, for somebody of this number.
    pub(super) fn fork(&self, number: u64) -> Self {
        let mut other = Self(self.0 ^ (number + 1).wrapping_mul(0xd6e8_feb8_6659_fd93));
        other.below(2);
        other
    }
}

/// What is done to the server, the database and the network while everybody works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Fault {
    /// `kill -9` of the server, and another start.
    ServerKilled,
    /// The server stands still (SIGSTOP) for a while.
    ServerStopped,
    /// PostgreSQL is stopped as `-m immediate` does it, and started again.
    PostgresRestarted,
    /// One of PostgreSQL's processes gets SIGKILL, so that all of it recovers.
    BackendKilled,
    /// Backends are terminated, the server's and others'.
    BackendsTerminated,
    /// All connections that PostgreSQL has are taken for a while.
    ConnectionsExhausted,
    /// The connections between the server and PostgreSQL are cut in mid-frame.
    DatabaseCut,
    /// They pass byte by byte for a while.
    DatabaseTrickles,
    /// They are delayed for a while.
    DatabaseDelayed,
    /// They stand still for a while.
    DatabaseFrozen,
    /// All clients' connections are cut in mid-frame.
    ClientsCut,
    /// All clients' connections pass byte by byte for a while.
    ClientsTrickle,
}

impl Fault {
    pub(super) const ALL: [Self; 12] = [
        Self::ServerKilled,
        Self::BackendsTerminated,
        Self::PostgresRestarted,
        Self::ClientsCut,
        Self::ServerStopped,
        Self::DatabaseCut,
        Self::ConnectionsExhausted,
        Self::DatabaseTrickles,
        Self::BackendKilled,
        Self::DatabaseFrozen,
        Self::ClientsTrickle,
        Self::DatabaseDelayed,
    ];
}

/// A stretch of work and faults, after which everything comes to rest and is compared.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) length: Duration,
    /// When, from the round's beginning, what is done.
    pub(super) faults: Vec<(Duration, Fault)>,
    /// Big things that writers do once: COPY, TRUNCATE, another column.
    pub(super) upheaval: bool,
}

/// A whole run.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) rounds: Vec<Round>,
    /// The longest that a reader does not read.
    pub(super) pause_max: Duration,
    /// For how long a transaction is held open now and then.
    pub(super) held_open: Duration,
}

impl Plan {
    /// For every run of the tests: a round in peace, and two with some of the faults.
    pub(super) fn short(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut faults = Fault::ALL.to_vec();
        let mut rounds = vec![Round {
            length: Duration::from_secs(5),
            faults: Vec::new(),
            upheaval: true,
        }];
        // The first four of the list always, the others by seed.
        let mut drawn: Vec<Fault> = faults.drain(..4).collect();
        for _ in 0..2 {
            drawn.push(faults.remove(random.below(faults.len() as u64) as usize));
        }
        for half in drawn.chunks(3) {
            rounds.push(Round::with(
                &mut random,
                Duration::from_secs(7),
                half,
                false,
            ));
        }
        Self {
            seed,
            rounds,
            pause_max: Duration::from_secs(2),
            held_open: Duration::from_secs(2),
        }
    }

    /// For about so many minutes, with all faults again and again.
    pub(super) fn long(seed: u64, minutes: u64) -> Self {
        let mut random = Random(seed);
        let mut rounds = Vec::new();
        let mut deck: Vec<Fault> = Vec::new();
        let mut left = minutes * 60;
        while left > 0 {
            let seconds = (25 + random.below(20)).min(left.max(10));
            let mut faults = Vec::new();
            for _ in 0..3 + random.below(3) {
                if deck.is_empty() {
                    deck = Fault::ALL.to_vec();
                }
                faults.push(deck.remove(random.below(deck.len() as u64) as usize));
            }
            let upheaval = random.one_in(2);
            let length = Duration::from_secs(seconds);
            rounds.push(Round::with(&mut random, length, &faults, upheaval));
            // Coming to rest takes time as well.
            left = left.saturating_sub(seconds + 8);
        }
        Self {
            seed,
            rounds,
            pause_max: Duration::from_secs(20),
            held_open: Duration::from_secs(5),
        }
    }
}

impl Round {
    fn with(random: &mut Random, length: Duration, faults: &[Fault], upheaval: bool) -> Self {
        let slot = length.as_millis() as u64 / (faults.len() as u64 + 1);
        let at = |(number, fault): (usize, &Fault)| {
            let millis = slot * number as u64 + slot / 2 + random.below(slot.max(1));
            (Duration::from_millis(millis), *fault)
        };
        Self {
            length,
            faults: faults.iter().enumerate().map(at).collect(),
            upheaval,
        }
    }
}
