-- What rows of the relations $1 may collide with: primary keys, unique and exclusion constraints,
-- unique indexes. A violation in a partition is reported under the name of the partition's index,
-- so that the names of all descendants are given along.
with recursive family (root, index) as (
    select i.indexrelid, i.indexrelid
    from pg_catalog.pg_index as i
    where i.indrelid = any ($1::oid[]) and (i.indisunique or i.indisexclusion)
    union all
    select family.root, h.inhrelid
    from family
    join pg_catalog.pg_inherits as h on h.inhparent = family.index
)
select
    i.indrelid as relation,
    i.indisprimary as is_key,
    exists (
        select
        from pg_catalog.pg_constraint as x
        where x.conindid = i.indexrelid and x.conrelid = i.indrelid and x.contype in ('p', 'u')
    ) as is_unique_constraint,
    array(
        select c.relname::text
        from family
        join pg_catalog.pg_class as c on c.oid = family.index
        where family.root = i.indexrelid
    ) as names,
    array(
        select k.number
        from pg_catalog.unnest(i.indkey::int2[]) with ordinality as k (number, place)
        where k.place <= i.indnkeyatts
        order by k.place
    ) as columns,
    -- For each of the columns, whether the exclusion constraint compares it by equality. A unique
    -- index compares all of them so.
    array(
        select coalesce(
            not i.indisexclusion
            or (
                select o.oprname = '='
                from pg_catalog.pg_constraint as x
                join pg_catalog.pg_operator as o on o.oid = x.conexclop[k.place]
                where x.conindid = i.indexrelid and x.conrelid = i.indrelid and x.contype = 'x'
            ), false)
        from pg_catalog.unnest(i.indkey::int2[]) with ordinality as k (number, place)
        where k.place <= i.indnkeyatts
        order by k.place
    ) as by_equality,
    i.indpred is not null as conditional
from pg_catalog.pg_index as i
where i.indrelid = any ($1::oid[]) and (i.indisunique or i.indisexclusion) and i.indisvalid
order by i.indrelid, i.indexrelid
