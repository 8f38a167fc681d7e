-- Draws an identity for a log that has none, or one that cannot be its own: a dump brings the log of
-- another cluster along, with transaction ids that are still to come here.
begin;
delete from rowcast.log_identity
where (select last_value from rowcast.kept_version) > rowcast.version_of(pg_current_snapshot());
insert into rowcast.log_identity (id) values (gen_random_uuid()) on conflict do nothing;
-- Marks from before name transaction ids that may be given out again.
delete from rowcast.marks;
delete from rowcast.changes where xid >= pg_snapshot_xmax(pg_current_snapshot());
select setval('rowcast.kept_version', rowcast.version_of(pg_current_snapshot()));
commit
