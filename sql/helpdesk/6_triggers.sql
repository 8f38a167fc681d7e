-- What the database keeps true by itself. The functions live in a schema of their own, so that the
-- one that is exposed holds tables only.
create schema helpdesk;

-- updated_at is the database's word, whatever a writer claims.
create function helpdesk.touch() returns trigger
language plpgsql set search_path = '' as $$
begin
    new.updated_at := now();
    return new;
end
$$;

do $$
declare
    name text;
begin
    foreach name in array array['organizations', 'users', 'mailboxes', 'contacts', 'tickets',
        'messages', 'comments', 'notes', 'events', 'labels', 'ticket_labels', 'ticket_members']
    loop
        execute format(
            'create trigger touch before update on %I for each row
            when (old is distinct from new) execute function helpdesk.touch()', name
        );
    end loop;
end
$$;

-- Privacy: a ticket is as private as its mailbox, and what hangs below a ticket is as private as
-- the ticket. The functions run as their owner, because the writer may not see the row above.
--
-- A message that is inserted while its ticket becomes private must not slip through. Reading the
-- row above `for key share` makes the two wait for each other, because `private` is part of a key
-- of tickets and mailboxes; other updates of a ticket pass freely. The foreign key takes the same
-- lock a moment later anyway.
create function helpdesk.inherit_from_mailbox() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.private := coalesce((
        select mailboxes.private from public.mailboxes where id = new.mailbox_id for key share
    ), false);
    return new;
end
$$;

create function helpdesk.inherit_from_ticket() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    new.private := coalesce((
        select tickets.private from public.tickets where id = new.ticket_id for key share
    ), false);
    return new;
end
$$;

create function helpdesk.spread_from_mailbox() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.tickets set private = new.private where mailbox_id = new.id;
    return null;
end
$$;

create function helpdesk.spread_from_ticket() returns trigger
language plpgsql security definer set search_path = '' as $$
begin
    update public.messages set private = new.private where ticket_id = new.id;
    update public.comments set private = new.private where ticket_id = new.id;
    update public.notes set private = new.private where ticket_id = new.id;
    update public.events set private = new.private where ticket_id = new.id;
    update public.ticket_labels set private = new.private where ticket_id = new.id;
    update public.ticket_members set private = new.private where ticket_id = new.id;
    return null;
end
$$;

create trigger spread after update of private on mailboxes for each row
    when (old.private is distinct from new.private)
    execute function helpdesk.spread_from_mailbox();
create trigger inherit before insert or update of mailbox_id, private on tickets for each row
    execute function helpdesk.inherit_from_mailbox();
-- Not `update of private`: a change of mailbox_id changes it by the trigger above.
create trigger spread after update on tickets for each row
    when (old.private is distinct from new.private)
    execute function helpdesk.spread_from_ticket();

do $$
declare
    name text;
begin
    foreach name in array array['messages', 'comments', 'notes', 'events', 'ticket_labels',
        'ticket_members']
    loop
        execute format(
            'create trigger inherit before insert or update of ticket_id, private on %I
            for each row execute function helpdesk.inherit_from_ticket()', name
        );
    end loop;
end
$$;
