-- Deletes a piece of what need not be kept.
delete from rowcast.changes
where ctid = any (array(
    select ctid from rowcast.changes where xid < $1 order by xid limit 5000
))
