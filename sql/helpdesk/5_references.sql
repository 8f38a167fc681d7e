-- References and indexes. Deleting a ticket takes along what hangs below it; deleting an agent
-- leaves what he or she wrote; organizations, contacts, mailboxes and labels stay while in use
-- (a label may be dropped: the tickets merely lose it).
--
-- Each reference has an index, without which every delete on the other side would scan the table.
-- Each list of an organization is read in one of two orders: by id, or by the latest change.

alter table users
    add foreign key (organization_id) references organizations;
create index on users (organization_id, id);
create index on users (organization_id, updated_at, id);

alter table mailboxes
    add foreign key (organization_id) references organizations;

alter table labels
    add foreign key (organization_id) references organizations;

alter table contacts
    add foreign key (organization_id) references organizations;
create index on contacts (organization_id, id);
create index on contacts (organization_id, updated_at, id);

alter table tickets
    add foreign key (organization_id) references organizations,
    add foreign key (mailbox_id) references mailboxes,
    add foreign key (contact_id) references contacts,
    add foreign key (assignee_id) references users on delete set null;
create index on tickets (organization_id, id);
create index on tickets (organization_id, updated_at, id);
create index on tickets (organization_id, status, updated_at, id);
create index on tickets (mailbox_id, status, updated_at);
create index on tickets (contact_id);
create index on tickets (assignee_id, status, updated_at);

alter table messages
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (user_id) references users on delete set null;
create index on messages (organization_id, id);
create index on messages (organization_id, updated_at, id);
create index on messages (ticket_id, id);
create index on messages (user_id);

alter table comments
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (user_id) references users on delete set null;
create index on comments (organization_id, id);
create index on comments (organization_id, updated_at, id);
create index on comments (ticket_id, id);
create index on comments (user_id);

alter table notes
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (user_id) references users on delete set null;
create index on notes (organization_id, id);
create index on notes (organization_id, updated_at, id);
create index on notes (ticket_id, id);
create index on notes (user_id);

alter table events
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (user_id) references users on delete set null;
create index on events (organization_id, id);
create index on events (organization_id, updated_at, id);
create index on events (ticket_id, id);
create index on events (user_id);

alter table ticket_labels
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (label_id) references labels on delete cascade;
create index on ticket_labels (organization_id, ticket_id, label_id);
create index on ticket_labels (organization_id, updated_at);
create index on ticket_labels (label_id);

alter table ticket_members
    add foreign key (organization_id) references organizations,
    add foreign key (ticket_id) references tickets on delete cascade,
    add foreign key (user_id) references users on delete cascade;
create index on ticket_members (organization_id, ticket_id, user_id);
create index on ticket_members (organization_id, updated_at);
create index on ticket_members (user_id, ticket_id);
