-- The oldest mark at which everything in the part {slot} was visible, among those that are at least
-- $1 seconds old.
select m.snapshot::text
from rowcast.marks m
where m.taken_at <= now() - make_interval(secs => $1)
and not exists (
    select from rowcast.changes_{slot} where xid >= pg_snapshot_xmax(m.snapshot)
)
and not exists (
    select from rowcast.changes_{slot} where xid in (select pg_snapshot_xip(m.snapshot))
)
order by m.taken_at
limit 1
