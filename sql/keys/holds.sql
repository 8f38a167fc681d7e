-- Whether somebody was handed the key of a row that is in force; of a row that may be gone.
select k.id::text as id
from rowcast.row_keys k
join rowcast.row_key_holders h on h.key_id = k.id
where k.organization = $1 and k.resource = $2 and k.row_id = $3 and k.retired_at is null and h.user_id = $4
