-- The foreign keys of the relations $1. Those with a parent stand for single partitions of the
-- relation referred to.
select
    c.conrelid as relation,
    c.conname::text as name,
    c.conkey as columns,
    c.confrelid as target,
    c.confkey as target_columns
from pg_catalog.pg_constraint as c
where c.conrelid = any ($1::oid[]) and c.contype = 'f' and c.conparentid = 0
order by c.conrelid, c.conname
