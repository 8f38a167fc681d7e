-- The parts of the log, the oldest first: which is written to, for how long each has been open, and
-- how large it is. A part that was emptied has no page; one with rows in it has.
select s.slot, s.slot = rowcast.current_slot() as current,
       extract(epoch from now() - s.opened_at)::float8 as open_seconds,
       pg_total_relation_size(c.oid) as bytes,
       pg_relation_size(c.oid) = 0 as free
from rowcast.slots s
join pg_class c on c.relname = 'changes_' || s.slot and c.relnamespace = 'rowcast'::regnamespace
order by s.opened_at, s.slot
