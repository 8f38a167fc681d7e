-- Whether the action of this key was committed.
select from rowcast.actions where key = $1
