-- A key that somebody was handed, by its id.
select k.row_id, k.secret, k.master, k.retired_at is null as current
from rowcast.row_keys k
join rowcast.row_key_holders h on h.key_id = k.id
where k.id = $1::text::uuid and k.organization = $2 and k.resource = $3 and h.user_id = $4
