-- The key of a row that is in force.
select id::text as id, secret, master
from rowcast.row_keys
where organization = $1 and resource = $2 and row_id = $3 and retired_at is null
