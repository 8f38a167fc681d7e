-- Actions: what users did under a name of their client's, so that the same thing asked for again is not
-- done again. Only the role that owns this schema reads and writes here; callers' roles never meet it.

create table rowcast.actions (
    -- Names organization, user and action: a keyed digest, so that the index stays small whatever
    -- their lengths, and nobody can compute it who lacks the servers' secret.
    key bytea primary key check (octet_length(key) = 16),
    -- The same three for people who look.
    organization text not null,
    user_id text not null,
    action_id text not null,
    -- A digest of the request: method, path, query, the headers that shape what is written, body.
    fingerprint bytea not null check (octet_length(fingerprint) = 32),
    -- What was written, one object for each write: resource, rows, whether one was created, and the
    -- keys. Never a row: who asks again gets the rows as they are then, with the rights of then.
    written json not null,
    -- Just before the commit.
    recorded_at timestamptz not null default clock_timestamp(),
    xid xid8 not null default pg_current_xact_id()
) with (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.5
);

create index actions_by_time on rowcast.actions (recorded_at);
