-- The same as new_since.sql, by relation and organization, when there is too much of it.
select relation, op, organization, reference
from (
    select relation, op, organization, reference
    from rowcast.changes
    where xid >= $1
    union all
    select relation, op, organization, reference
    from rowcast.changes
    where xid = any ($2)
) them
group by relation, op, organization, reference
limit $3
