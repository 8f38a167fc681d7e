-- Opens the part {slot}: whatever writes to the log names it from now on. Nobody else makes functions
-- meanwhile. Sessions that are at it finish what they do in the part from before.
begin;
select pg_advisory_xact_lock({lock});
update rowcast.slots set opened_at = clock_timestamp() where slot = {slot};
create or replace function rowcast.current_slot() returns smallint
    language sql stable as 'select {slot}::smallint';
do $$
declare
    definition text;
begin
    for definition in
        select pg_get_functiondef(p.oid)
        from pg_proc p
        where p.pronamespace = 'rowcast'::regnamespace
            and p.prosrc ~ 'insert into rowcast\.changes_[0-9]+ \('
    loop
        execute regexp_replace(
            definition, '(insert into rowcast\.changes_)[0-9]+ \(', '\1{slot} (', 'g');
    end loop;
end
$$;
commit
