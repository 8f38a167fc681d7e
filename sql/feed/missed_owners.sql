-- What the log says since a snapshot ($1 its xmax, $2 its xip) of whose the rows of these relations
-- ($3) with these keys ($4, of one part) were.
select key[1] as key, organization, reference
from (
    select key, organization, reference from rowcast.changes
    where xid >= $1 and relation = any ($3) and key[1] = any ($4) and array_length(key, 1) = 1
    union all
    select key, organization, reference from rowcast.changes
    where xid = any ($2) and relation = any ($3) and key[1] = any ($4) and array_length(key, 1) = 1
) them
group by key, organization, reference
