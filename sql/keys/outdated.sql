-- A piece of the keys that are not under the first master key.
select id::text as id, organization, resource, row_id, secret, master
from rowcast.row_keys
where master <> $1 and master = any ($2)
limit 500
