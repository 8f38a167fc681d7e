-- From which version on the log is whole, as kept.sql says, and which log it is.
select last_value, (select id::text from rowcast.log_identity) as log_id
from rowcast.kept_version
