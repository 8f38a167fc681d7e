-- The change log in parts, so that what need not be kept any longer goes by truncating a part: at
-- once, file and all, and without a lock that anybody who writes has to wait for.
--
-- A fixed number of parts takes turns. Writers log to the current one, whichever that is: no
-- partition has to be made ahead, so none can be missing, however long no server runs. The servers
-- open the next part, an empty one, when the current one is old or large enough, and empty a part
-- when all that is in it may go; see `postgres/changelog/retention.rs`.
--
-- Running this again makes a new, empty log: that is how a damaged one is repaired. Rows that were
-- logged before are gone then, and `kept_version` says so to whoever has a cursor from before.

drop table if exists rowcast.changes;
drop table if exists rowcast.slots;
drop table if exists rowcast.marks;
drop sequence if exists rowcast.changes_order;
drop sequence if exists rowcast.kept_version;
drop function if exists rowcast.current_slot();
alter table rowcast.settings drop column if exists kept_from;

-- The order of writing; of use among the entries of one transaction only.
create sequence rowcast.changes_order;

-- The part that is written to. To open another, the function is replaced: that needs no lock on
-- anything that writers use, and costs them nothing, since the planner puts the constant in its place
-- and plans again when it changes. `stable` and not `immutable`, since the planner does not remember
-- which immutable functions it has computed.
create function rowcast.current_slot() returns smallint
language sql stable
as 'select 0::smallint';

-- One row per changed row, written in the writer's own transaction. Keys and organizations only:
-- rows are read again, in the snapshot that ends a batch.
create table rowcast.changes (
    slot smallint not null default rowcast.current_slot(),
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
    action_id text
) partition by list (slot);

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
            'create table rowcast.changes_%s partition of rowcast.changes for values in (%s)
             with (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 0.5)',
            slot, slot);
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

-- The version of a state: how many transactions were over.
create or replace function rowcast.version_of(state pg_snapshot) returns bigint
language sql immutable strict
as $$
    select pg_snapshot_xmax(state)::text::bigint - (select count(*) from pg_snapshot_xip(state))
$$;

-- Of every state from this version on, the log has all that came after it. A sequence, because what
-- one says is seen at once by all, whatever their snapshot: a reader that has the log locked against
-- truncation asks it last, and so knows whether what it has read is all there was.
create sequence rowcast.kept_version minvalue 0 start 0;

-- What the old log had is not moved. Whoever wrote to it has finished, since it is dropped.
select setval('rowcast.kept_version', rowcast.version_of(pg_current_snapshot()));
