-- From version 1 to 2, frozen: timelines are kept by order; history is only added to, and holds the
-- snapshot of an execution that still runs. infra/local/upgrade.py copies the history, and then
-- drops old_history.
alter table timeline rename to old_timeline;
create table timeline (
    order_id text not null,
    seq integer not null,
    at real not null,
    epoch integer,
    what text not null,
    detail text not null,
    primary key (order_id, seq)
) without rowid;
create index timeline_duplicates on timeline (what) where what = 'DUPLICATE_IGNORED';
insert into timeline (order_id, seq, at, epoch, what, detail)
    select order_id, row_number() over (partition by order_id order by id), at, epoch, what, detail
    from old_timeline;
drop table old_timeline;
alter table history rename to old_history;
create table history (
    id integer primary key,
    execution_id integer not null,
    piece blob not null
);
create index history_by_execution on history (execution_id);
