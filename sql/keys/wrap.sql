-- Puts a key's secret under another master key, unless somebody has done so.
update rowcast.row_keys set secret = $2, master = $3 where id = $1::text::uuid and master = $4
