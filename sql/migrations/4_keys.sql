-- Keys of rows: secrets that are handed out to those who see a row, so that what they tell each other
-- can be read by nobody else. Only the role that owns this schema reads and writes here.

create table rowcast.row_keys (
    -- The key's id, which stands beside whatever is encrypted with it.
    id uuid primary key,
    -- Whose row it is, and which one: by the id that it has in a path.
    organization text not null,
    resource text not null,
    row_id text not null,
    -- The secret under a master key that is not in this database: nonce, cipher text, tag (AES-256-GCM).
    secret bytea not null,
    -- Which master key: the first bytes of its SHA-256.
    master bytea not null check (octet_length(master) = 8),
    made_at timestamptz not null default now(),
    handed_at timestamptz not null default now(),
    -- Since when another key has taken its place, because somebody lost the right to the row.
    retired_at timestamptz
);

-- Of several servers that make a key for one row, one does.
create unique index row_keys_current on rowcast.row_keys (organization, resource, row_id)
    where retired_at is null;
create index row_keys_retired on rowcast.row_keys (organization, resource, row_id, retired_at)
    where retired_at is not null;
create index row_keys_by_time on rowcast.row_keys (handed_at);

-- Who was handed a key.
create table rowcast.row_key_holders (
    key_id uuid not null references rowcast.row_keys on delete cascade,
    user_id text not null,
    -- As what role and with what claims, by which it is found out whether the row is still theirs to
    -- see: a JSON object that is encrypted by what follows from the secret, since claims may hold
    -- anything.
    seal bytea not null,
    handed_at timestamptz not null default now(),
    primary key (key_id, user_id)
);
