-- How many entries there are since a snapshot, as in new_since.sql, by whom they concern. The rows
-- that entries refer to are not told apart, only that they refer to some.
select relation, op, organization, reference is not null as refers, count(*) as entries
from (
    select relation, op, organization, reference
    from rowcast.changes
    where xid >= $1
    union all
    select relation, op, organization, reference
    from rowcast.changes
    where xid = any ($2)
) them
group by relation, op, organization, reference is not null
limit $3
