-- What kinds of entries there are since a snapshot ($1 its xmax, $2 its xip) of these relations ($3)
-- and this organization ($4) or of nobody that the entry names, and how many, up to a limit ($5).
select relation, op, count(*) as entries
from (
    select relation, op, organization
    from rowcast.changes
    where xid >= $1 and relation = any ($3) and (organization is null or organization = $4)
    union all
    select relation, op, organization
    from rowcast.changes
    where xid = any ($2) and relation = any ($3) and (organization is null or organization = $4)
    limit $5
) them
group by relation, op
