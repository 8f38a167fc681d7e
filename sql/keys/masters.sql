-- How many keys there are under each master key.
select master, count(*) as keys from rowcast.row_keys group by master
