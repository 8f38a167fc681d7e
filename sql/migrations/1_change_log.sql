-- The change log. Writers reach it through trigger functions that run as its owner; no role of the
-- application's has any right on it.

-- One row per changed row, written in the writer's own transaction. Keys and organizations only:
-- rows are read again, in the snapshot that ends a batch.
create table rowcast.changes (
    seq bigint generated always as identity (cache 1),
    xid xid8 not null default pg_current_xact_id(),
    -- The relation that the statement named: a partition's parent, or a partition written directly.
    relation oid not null,
    -- A hint: i, u, d as the statement was; r: rows without a key changed; t: truncated; s: the
    -- relation's shape changed, or is logged from here on.
    op "char" not null,
    -- The key's parts as text, in key order; null where the whole relation is concerned. A part is
    -- null when the column was not there any more.
    key text[],
    -- The organization of the row, from its own column.
    organization text,
    -- For a row that belongs to an organization through another row: that row's key.
    reference text,
    action_id text
) with (
    -- Rows are written once and deleted in order; plain vacuums keep up with little work.
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.5,
    autovacuum_analyze_scale_factor = 0.5
);

create index changes_by_transaction on rowcast.changes (xid);

-- The log's identity. Unlogged, because whatever may make PostgreSQL hand out transaction ids a
-- second time (a crash, a base backup, a promotion) empties unlogged tables, and so tells us.
create unlogged table rowcast.log_identity (
    only_row boolean primary key default true check (only_row),
    id uuid not null
);

create table rowcast.settings (
    only_row boolean primary key default true check (only_row),
    -- Authenticates cursors; all servers of this database share it.
    cursor_key bytea not null check (octet_length(cursor_key) = 32),
    -- Every row of the log whose transaction is below this may be gone.
    kept_from xid8 not null default '0'
);

-- What was visible when: a log row goes once its transaction was visible one retention ago.
create table rowcast.marks (
    taken_at timestamptz primary key default now(),
    snapshot pg_snapshot not null default pg_current_snapshot()
);

-- The shape in which each logged relation was last seen, so that a change of it while no server ran
-- is found out.
create table rowcast.relations (
    relation oid primary key,
    shape bigint not null
);

-- Logs that something in a relation changed whose rows nobody is told about: tables that policies
-- and views read. One row per statement; none if the statement changed nothing.
create function rowcast.log_reset() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    if tg_level = 'STATEMENT' then
        if tg_op = 'DELETE' then
            if not exists (select from old_rows) then
                return null;
            end if;
        elsif not exists (select from new_rows) then
            return null;
        end if;
    end if;
    insert into rowcast.changes (relation, op, action_id)
    values (tg_relid, 'r', nullif(current_setting('rowcast.action_id', true), ''));
    return null;
end
$$;

create function rowcast.log_truncate() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
    insert into rowcast.changes (relation, op, action_id)
    values (tg_relid, 't', nullif(current_setting('rowcast.action_id', true), ''));
    return null;
end
$$;
