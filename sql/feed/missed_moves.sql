-- The keys that were updated since a snapshot both as this organization's and as another's: rows that
-- moved. Parameters as in missed_kinds.sql.
with updates as (
    select key, organization
    from rowcast.changes
    where xid >= $1 and relation = any ($3) and op in ('u', 'o')
    union all
    select key, organization
    from rowcast.changes
    where xid = any ($2) and relation = any ($3) and op in ('u', 'o')
)
select key
from updates
where organization = $4
intersect
select key
from updates
where organization <> $4
limit $5
