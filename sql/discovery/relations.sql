-- Tables and views of the schemas $1, in the order of the schemas.
--
-- Rights are given by giving a role that has them: what each role was given to, at any distance.
with recursive given (role, member, edge) as (
    select m.roleid, m.member, pg_catalog.hash_record_extended(row(m.*), 0)
    from pg_catalog.pg_auth_members as m
    union
    select g.role, m.member, pg_catalog.hash_record_extended(row(m.*), 0)
    from given as g
    join pg_catalog.pg_auth_members as m on m.roleid = g.member
),
roles (role, members) as (
    select role, pg_catalog.sum(edge) from given group by role
)
select
    c.oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as kind,
    c.relispartition as partition,
    c.relrowsecurity as row_security,
    coalesce((
        select o.option_value::boolean
        from pg_catalog.pg_options_to_table(c.reloptions) as o
        where o.option_name = 'security_invoker'
    ), false) as security_invoker,
    -- Bits by command: 4 update, 8 insert, 16 delete. With triggers that stand for the command.
    pg_catalog.pg_relation_is_updatable(c.oid, true) & 28 <> 0 as updatable,
    -- Each of its rows is one of a single table: without such triggers, PostgreSQL updates it itself.
    pg_catalog.pg_relation_is_updatable(c.oid, false) & 4 <> 0 as simple,
    -- All that decides who may do what with it; compared with itself only.
    pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', c.relowner, c.relacl, (
        select pg_catalog.string_agg(pg_catalog.concat(a.attnum, a.attacl), ' ' order by a.attnum)
        from pg_catalog.pg_attribute as a
        where a.attrelid = c.oid and a.attacl is not null
    ), (
        select pg_catalog.sum(r.members)
        from pg_catalog.aclexplode(c.relacl) as a
        join roles as r on r.role = a.grantee
    ), (
        select pg_catalog.sum(r.members)
        from pg_catalog.pg_attribute as t, pg_catalog.aclexplode(t.attacl) as a, roles as r
        where t.attrelid = c.oid and t.attacl is not null and r.role = a.grantee
    ), (
        -- pg_read_all_data and pg_write_all_data have rights on everything.
        select pg_catalog.sum(r.members) from roles as r where r.role in (c.relowner, 6181, 6182)
    )), 0) as rights,
    (
        select e.extname::text
        from pg_catalog.pg_depend as d
        join pg_catalog.pg_extension as e on e.oid = d.refobjid
        where d.classid = 'pg_catalog.pg_class'::regclass
            and d.objid = c.oid
            and d.refclassid = 'pg_catalog.pg_extension'::regclass
            and d.deptype = 'e'
    ) as extension
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = any ($1::text[])
    and n.nspname <> 'rowcast'
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and c.relpersistence <> 't'
order by pg_catalog.array_position($1::text[], n.nspname::text), c.relname
