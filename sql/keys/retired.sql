-- Whether a key of a row was retired just now, by whichever server.
select from rowcast.row_keys
where organization = $1 and resource = $2 and row_id = $3 and retired_at > now() - interval '30 seconds'
limit 1
