-- Calls that become one are those of one workflow on one instance.
drop index durable.workflows_debounced;
create unique index workflows_debounced on durable.workflows (name, coalesce(instance, ''), debounce_key)
    where debounce_key is not null and status = 'DELAYED';

-- The microseconds of an interval, from none to those of the calendar, which ends with the year 9999.
create function durable._micros(length interval) returns bigint
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $durable$
    select greatest(least(extract(epoch from length) * 1000000, 253402300799999999), 0)::bigint
$durable$;

-- Enqueues a workflow as a part of the caller's transaction, and gives its id. A workflow of the same
-- name and id that is there already is given back as it is, and nothing is enqueued.
create or replace function durable.enqueue(
    workflow text,
    input text,
    queue text default 'durable',
    id text default null,
    priority integer default 0,
    partition_key text default null,
    deduplication_id text default null,
    delay interval default null,
    timeout interval default null
) returns text
language plpgsql volatile set search_path = pg_catalog, pg_temp as $durable$
#variable_conflict use_column
declare
    own text := coalesce(enqueue.id, gen_random_uuid()::text);
    now bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
    later bigint := durable._micros(enqueue.delay);
    there record;
begin
    perform durable._check('workflow name', enqueue.workflow, false);
    perform durable._check('queue', enqueue.queue, false);
    perform durable._check('workflow id', own, false);
    perform durable._check('partition key', coalesce(enqueue.partition_key, 'none'), false);
    perform durable._check('deduplication id', coalesce(enqueue.deduplication_id, 'none'), false);
    if jsonb_typeof(coalesce(enqueue.input, '{}')::jsonb) <> 'object' then
        raise exception 'durable: the input of a workflow is a JSON object with a value for each argument'
            using errcode = 'invalid_parameter_value';
    end if;
    -- Another maker of keys may have drawn the same one, and the one in the way may go away.
    for attempt in 1 .. 10 loop
        insert into durable.workflows
            (key, id, name, status, attempt, queue, priority, partition_key, deduplication_id, due_at, created_at, timeout,
             input)
        values
            (durable._key(), own, enqueue.workflow, case when later > 0 then 'DELAYED' else 'ENQUEUED' end, 0, enqueue.queue,
             coalesce(enqueue.priority, 0), coalesce(enqueue.partition_key, ''), enqueue.deduplication_id,
             case when later > 0 then least(now + later, 253402300799999999) end, now, durable._micros(enqueue.timeout),
             coalesce(enqueue.input, '{}'))
        on conflict do nothing;
        if found then
            perform pg_notify(durable._channel(), '- q' || durable._hash(enqueue.queue));
            return own;
        end if;
        select w.name, w.instance into there from durable.workflows w where w.id = own;
        if found then
            if there.name <> enqueue.workflow then
                raise exception 'durable: the workflow id "%" belongs to a workflow "%" already, and was now used for "%"; choose another',
                    own, there.name, enqueue.workflow using errcode = 'unique_violation';
            elsif there.instance is not null then
                raise exception 'durable: the workflow id "%" belongs to "%" on the instance "%" already, and was now used without an instance; choose another',
                    own, there.name, there.instance using errcode = 'unique_violation';
            end if;
            return own;
        end if;
        select w.id into there from durable.workflows w
         where w.queue = enqueue.queue and w.deduplication_id = enqueue.deduplication_id
           and w.status in ('ENQUEUED', 'DELAYED', 'PENDING');
        if found then
            raise exception 'durable: the workflow "%" has the deduplication id "%" on the queue "%" until it has ended',
                there.id, enqueue.deduplication_id, enqueue.queue using errcode = 'unique_violation';
        end if;
    end loop;
    raise exception 'durable: the workflow "%" could not be enqueued, because others are in the way again and again', own
        using errcode = 'serialization_failure';
end
$durable$;

-- The same for values of the type json. The one for jsonb is asked where no input is given.
create function durable.enqueue(
    workflow text,
    input json,
    queue text default 'durable',
    id text default null,
    priority integer default 0,
    partition_key text default null,
    deduplication_id text default null,
    delay interval default null,
    timeout interval default null
) returns text
language sql volatile set search_path = pg_catalog, pg_temp as $durable$
    select durable.enqueue(workflow, input::text, queue, id, priority, partition_key, deduplication_id, delay, timeout)
$durable$;

create function durable.send(workflow_id text, topic text, payload json, idempotency_key text default null) returns void
language sql volatile set search_path = pg_catalog, pg_temp as $durable$
    select durable.send(workflow_id, topic, payload::text, idempotency_key)
$durable$;
