-- The parts of the change log as plain tables beside each other: children of `rowcast.changes` by
-- inheritance, not partitions of it. Whoever reads, reads them all through it as before. Whoever writes,
-- writes to the one that the trigger functions name: routing a row through a parent, or checking that it
-- belongs in its partition, costs as much as all else that one entry takes.
--
-- To open the next part, the functions are replaced by the same ones with another part's name, and
-- `current_slot` beside them, which says which it is; that needs no lock on anything that writers use.
-- An entry is read, and goes in its time, in whichever part it is. What is written to `rowcast.changes`
-- itself (by trigger functions from before, until they are replaced) stays there until its time.
--
-- Running this again makes a new, empty log: that is how a damaged one is repaired. Rows that were
-- logged before are gone then, and `kept_version` says so to whoever has a cursor from before.

do $$
begin
    for slot in 0..5 loop
        execute format('drop table if exists rowcast.changes_%s cascade', slot);
    end loop;
end
$$;
drop table if exists rowcast.changes cascade;
drop table if exists rowcast.slots;
drop table if exists rowcast.marks;
drop sequence if exists rowcast.changes_order;
drop sequence if exists rowcast.kept_version;

-- The order of writing; of use among the entries of one row only.
create sequence rowcast.changes_order;

-- The part that is written to, for people and servers; writers' functions name it themselves.
create or replace function rowcast.current_slot() returns smallint
language sql stable
as 'select 0::smallint';

-- One row per changed row, written in the writer's own transaction. Keys and organizations only:
-- rows are read again, in the snapshot that ends a batch.
create table rowcast.changes (
    seq bigint not null default nextval('rowcast.changes_order'),
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
    -- What the writer's session says of it; an empty text is none.
    action_id text
);

alter sequence rowcast.changes_order owned by rowcast.changes.seq;

create index changes_by_transaction on rowcast.changes (xid);

-- When each part was last opened.
create table rowcast.slots (
    slot smallint primary key,
    opened_at timestamptz not null default now()
);

do $$
begin
    for slot in 0..5 loop
        -- Rows are written once and truncated, so vacuum is left with what aborted transactions
        -- wrote.
        execute format(
            'create table rowcast.changes_%s () inherits (rowcast.changes)
             with (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0.5)',
            slot);
        execute format('create index changes_%1$s_by_transaction on rowcast.changes_%1$s (xid)', slot);
        insert into rowcast.slots (slot) values (slot);
    end loop;
end
$$;

-- What was visible when: a part of the log goes once all its transactions were visible one retention
-- ago.
create table rowcast.marks (
    taken_at timestamptz primary key default now(),
    snapshot pg_snapshot not null default pg_current_snapshot()
);

-- Of every state from this version on, the log has all that came after it. A sequence, because what
-- one says is seen at once by all, whatever their snapshot: a reader that has the log locked against
-- truncation asks it last, and so knows whether what it has read is all there was.
create sequence rowcast.kept_version minvalue 0 start 0;

-- What the old log had is not moved. Whoever wrote to it has finished, since it is dropped.
select setval('rowcast.kept_version', rowcast.version_of(pg_current_snapshot()));

-- The search path is not pinned, since that alone costs as much as writing the entry; so everything is
-- named with its schema, operators too.

-- Logs that something in a relation changed whose rows nobody is told about: tables that policies
-- and views read. One row per statement; none if the statement changed nothing.
create or replace function rowcast.log_reset() returns trigger
language plpgsql security definer
as $$
begin
    if tg_level operator(pg_catalog.=) 'STATEMENT' then
        if tg_op operator(pg_catalog.=) 'DELETE' then
            if not exists (select from old_rows) then
                return null;
            end if;
        elsif not exists (select from new_rows) then
            return null;
        end if;
    end if;
    insert into rowcast.changes_0 (relation, op, action_id)
    values (tg_relid, 'r', pg_catalog.current_setting('rowcast.action_id', true));
    return null;
end
$$;

create or replace function rowcast.log_truncate() returns trigger
language plpgsql security definer
as $$
begin
    insert into rowcast.changes_0 (relation, op, action_id)
    values (tg_relid, 't', pg_catalog.current_setting('rowcast.action_id', true));
    return null;
end
$$;

-- A log that is made anew is written to from its first part on.
do $$
declare
    definition text;
begin
    for definition in
        select pg_get_functiondef(p.oid)
        from pg_proc p
        where p.pronamespace = 'rowcast'::regnamespace
            and p.prosrc ~ 'insert into rowcast\.changes_[1-9] \('
    loop
        execute regexp_replace(definition, '(insert into rowcast\.changes_)[0-9]+ \(', '\10 (', 'g');
    end loop;
end
$$;
