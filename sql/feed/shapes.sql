-- The relations that matter to the feed, each with a digest of all that decides what is logged of
-- it, what can be read of it, and by whom: those of the exposed schemas, those that others depend
-- on ($2), and the partitions and inheritance children of both, in whatever schema. Relation 0 is
-- what belongs to no relation: roles, and the labels of enums.
--
-- Digests are compared with each other only. Transaction ids (`xmin`) stand in for contents where
-- a change back and forth must not go unseen: a trigger that was disabled for a moment. The file
-- stands apart: another one means other rows, but nothing else that would have to be learnt.
with recursive tracked (relation) as (
    (
        select c.oid
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = any ($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')
        union
        select unnest($2::oid[])
    )
    union
    select i.inhrelid
    from tracked t
    join pg_inherits i on i.inhparent = t.relation
),
parts (relation, part) as (
    select c.oid, hash_record_extended(row(
        1, c.relname, c.relnamespace, c.relkind, c.relowner, c.relrowsecurity,
        c.relforcerowsecurity, c.relispartition, c.relacl, c.reloptions), 0)
    from tracked t join pg_class c on c.oid = t.relation
    union all
    select a.attrelid, hash_record_extended(row(
        2, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attisdropped,
        a.attidentity, a.attgenerated, a.atthasdef, a.attacl), 0)
    from tracked t join pg_attribute a on a.attrelid = t.relation and a.attnum > 0
    union all
    select g.tgrelid, hash_record_extended(row(3, g.oid, g.tgname, g.tgenabled, g.xmin), 0)
    from tracked t join pg_trigger g on g.tgrelid = t.relation
    join pg_proc f on f.oid = g.tgfoid
    where f.pronamespace = 'rowcast'::regnamespace
    union all
    select p.polrelid, hash_record_extended(row(4, p.oid, p.xmin), 0)
    from tracked t join pg_policy p on p.polrelid = t.relation
    union all
    -- What the policies call.
    select p.polrelid, hash_record_extended(row(5, p.oid, f.oid, f.xmin), 0)
    from tracked t join pg_policy p on p.polrelid = t.relation
    join pg_depend d on d.classid = 'pg_policy'::regclass and d.objid = p.oid
        and d.refclassid = 'pg_proc'::regclass
    join pg_proc f on f.oid = d.refobjid
    union all
    select i.inhrelid, hash_record_extended(row(6, i.inhparent), 0)
    from tracked t join pg_inherits i on i.inhrelid = t.relation
    union all
    select k.conrelid, hash_record_extended(row(7, k.oid, k.contype, k.conkey::text, k.confrelid, k.confkey::text), 0)
    from tracked t join pg_constraint k on k.conrelid = t.relation
    where k.contype in ('p', 'f', 'u', 'x')
    union all
    -- Unique indexes that are no constraints; `indkey` has no hash.
    select x.indrelid, hash_record_extended(row(8, x.indexrelid, x.indisprimary, x.indisvalid, x.indkey::text), 0)
    from tracked t join pg_index x on x.indrelid = t.relation
    where x.indisunique
    union all
    -- What a view says.
    select r.ev_class, hash_record_extended(row(9, r.oid, r.xmin), 0)
    from tracked t join pg_rewrite r on r.ev_class = t.relation
    union all
    select 0, hash_record_extended(row(10, m.roleid, m.member), 0) from pg_auth_members m
    union all
    select 0, hash_record_extended(row(11, r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolinherit), 0) from pg_roles r
    union all
    select 0, hash_record_extended(row(12, e.oid, e.enumlabel), 0) from pg_enum e
)
select p.relation, bit_xor(p.part) as shape, coalesce(max(c.relfilenode), 0) as file
from parts p
left join pg_class c on c.oid = p.relation
group by p.relation
