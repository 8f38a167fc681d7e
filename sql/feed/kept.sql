-- From which version on the log is whole. To be asked after what was read of the log, and before the
-- lock on it is given back: no part is truncated in between, and what a sequence says is seen by all at
-- once.
select last_value from rowcast.kept_version
