-- Records an action in the transaction that did it.
insert into rowcast.actions (key, organization, user_id, action_id, fingerprint, written)
values ($1, $2, $3, $4, $5, $6::text::json)
