-- A key is not in force any more. Nothing if it was not.
update rowcast.row_keys set retired_at = now() where id = $1::text::uuid and retired_at is null
