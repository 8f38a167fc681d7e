-- The action of this key, if it is done. A statement of its own behind the lock's, so that its
-- snapshot is newer: whoever held the lock has committed or rolled back by then.
select fingerprint, written::text as written
from rowcast.actions
where key = $1
