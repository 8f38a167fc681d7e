-- Deletes a piece of the keys that were handed out last more than $1 seconds ago.
delete from rowcast.row_keys
where id = any (array(
    select id
    from rowcast.row_keys
    where handed_at < now() - make_interval(secs => $1)
    order by handed_at
    limit 1000
))
