-- Deletes a piece of what was recorded more than $1 seconds ago.
delete from rowcast.actions
where ctid = any (array(
    select ctid
    from rowcast.actions
    where recorded_at < now() - make_interval(secs => $1)
    order by recorded_at
    limit 5000
))
