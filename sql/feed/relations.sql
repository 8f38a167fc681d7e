-- The relations that matter to the feed (as in shapes.sql), as what they are.
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
)
select c.oid as relation, n.nspname::text as schema, c.relname::text as name, c.relkind as kind,
       array(select i.inhparent from pg_inherits i where i.inhrelid = c.oid order by i.inhseqno) as parents,
       row_security_active(c.oid) as hides
from tracked t
join pg_class c on c.oid = t.relation
join pg_namespace n on n.oid = c.relnamespace
