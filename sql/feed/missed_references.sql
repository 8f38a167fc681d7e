-- The rows that entries since a snapshot refer to, each once; parameters as in missed_kinds.sql.
select reference
from (
    select reference from rowcast.changes where xid >= $1 and relation = any ($3)
    union all
    select reference from rowcast.changes where xid = any ($2) and relation = any ($3)
) them
where reference is not null
group by reference
limit $4
