-- Records that a key is handed to somebody, unless it is not in force any more: then nothing is
-- returned, and nothing may be handed out. The row is locked, so that a key that is retired meanwhile
-- is seen.
with current as (
    update rowcast.row_keys
    set handed_at = now()
    where id = $1::text::uuid and retired_at is null
    returning id
)
insert into rowcast.row_key_holders (key_id, user_id, seal)
select id, $2, $3 from current
on conflict (key_id, user_id) do update set seal = excluded.seal, handed_at = excluded.handed_at
returning user_id
