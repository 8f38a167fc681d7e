-- Everybody who was handed a key, with what tells whether they still see the row.
select user_id, seal
from rowcast.row_key_holders
where key_id = $1::text::uuid
