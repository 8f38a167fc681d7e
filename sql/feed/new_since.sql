-- What transactions wrote that this snapshot sees and the one of $1 (its xmax) and $2 (its xip) did
-- not: two ranges of the index. Joined by `or` they would be a scan of the whole log.
select seq, xid, relation, op, key, organization, reference, action_id
from rowcast.changes
where xid >= $1
union all
select seq, xid, relation, op, key, organization, reference, action_id
from rowcast.changes
where xid = any ($2)
limit $3
