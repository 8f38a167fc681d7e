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
-- Rights are given by giving a role that has them. What each role was given to, at any distance: looked
-- up by role and by list of rights, of which there are few, and not by relation.
given (role, member, edge) as (
    select m.roleid, m.member, hash_record_extended(row(m.*), 0)
    from pg_auth_members m
    union
    select g.role, m.member, hash_record_extended(row(m.*), 0)
    from given g
    join pg_auth_members m on m.roleid = g.member
),
roles (role, members) as (
    select role, bit_xor(edge) from given group by role
),
acls (acl, members) as (
    select l.acl, sum(r.members)
    from (
        select c.relacl from tracked t join pg_class c on c.oid = t.relation
        where c.relacl is not null
        union
        select a.attacl from tracked t join pg_attribute a on a.attrelid = t.relation
        where a.attacl is not null
    ) l (acl), aclexplode(l.acl) a
    join roles r on r.role = a.grantee
    group by l.acl
),
parts (relation, part) as (
    select c.oid, hash_record_extended(row(
        1, c.relname, c.relnamespace, c.relkind, c.relowner, c.relrowsecurity,
        c.relforcerowsecurity, c.relispartition, c.relacl, c.reloptions, l.members, o.members,
        -- pg_read_all_data and pg_write_all_data have rights on everything.
        (select sum(r.members) from roles r where r.role in (6181, 6182))), 0)
    from tracked t join pg_class c on c.oid = t.relation
    left join acls l on l.acl = c.relacl
    left join roles o on o.role = c.relowner
    union all
    select a.attrelid, hash_record_extended(row(
        2, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attisdropped,
        a.attidentity, a.attgenerated, a.atthasdef, a.attacl, l.members), 0)
    from tracked t join pg_attribute a on a.attrelid = t.relation and a.attnum > 0
    left join acls l on l.acl = a.attacl
    union all
    select g.tgrelid, hash_record_extended(row(3, g.oid, g.tgname, g.tgenabled, g.xmin), 0)
    from tracked t join pg_trigger g on g.tgrelid = t.relation
    join pg_proc f on f.oid = g.tgfoid
    where f.pronamespace = 'rowcast'::regnamespace
    union all
    select p.polrelid, hash_record_extended(row(
        4, p.oid, p.xmin, (select sum(r.members) from roles r where r.role = any (p.polroles))), 0)
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
    -- Who may become whom, and what policies ask.
    select 0, hash_record_extended(row(10, m.*), 0) from pg_auth_members m
    union all
    select 0, hash_record_extended(row(11, r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolinherit), 0) from pg_roles r
    union all
    select 0, hash_record_extended(row(12, e.oid, e.enumlabel), 0) from pg_enum e
)
select p.relation, bit_xor(p.part) as shape, coalesce(max(c.relfilenode), 0) as file
from parts p
left join pg_class c on c.oid = p.relation
group by p.relation
