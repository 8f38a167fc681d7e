-- The tables of `pgbench -i` (PostgreSQL licence): no foreign keys, and a history without any key.
create table pgbench_branches (
    bid int not null primary key,
    bbalance int,
    filler char(88)
);
create table pgbench_tellers (
    tid int not null primary key,
    bid int,
    tbalance int,
    filler char(84)
);
create table pgbench_accounts (
    aid int not null primary key,
    bid int,
    abalance int,
    filler char(84)
);
create table pgbench_history (
    tid int,
    bid int,
    aid int,
    delta int,
    mtime timestamp,
    filler char(22)
);
insert into pgbench_branches values (1, 0, null);
insert into pgbench_tellers select it, 1, 0, null from generate_series(1, 10) as it;
insert into pgbench_accounts select it, 1, 0, '' from generate_series(1, 100) as it;
insert into pgbench_history values (1, 1, 7, 5, '2024-01-01 12:00', null), (2, 1, 8, -5, '2024-01-01 12:01', null);
