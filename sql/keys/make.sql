-- Makes a key, unless there is one in force by now.
insert into rowcast.row_keys (id, organization, resource, row_id, secret, master)
values ($1::text::uuid, $2, $3, $4, $5, $6)
on conflict do nothing
