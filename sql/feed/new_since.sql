-- What transactions wrote that this snapshot sees and the one of $1 (its xmax) and $2 (its xip) did
-- not: two ranges of the index. Joined by `or` they would be a scan of the whole log.
--
-- `explain analyze` over six parts, four of them with 100,000 entries: an index scan of each part for
-- either range, 0.05 ms for all twelve where nothing is new, as against 0.025 ms with one table. The plan
-- is made once and kept, so it is made with `enable_seqscan = off`: for a part that is empty at the time
-- the planner would choose a scan of the whole part, and stay with it while the part grows.
select seq, xid, relation, op, key, organization, reference, action_id
from rowcast.changes
where xid >= $1
union all
select seq, xid, relation, op, key, organization, reference, action_id
from rowcast.changes
where xid = any ($2)
limit $3
