-- From which transaction on the log is whole.
select kept_from from rowcast.settings
