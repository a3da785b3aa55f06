-- What programs in other languages call: `enqueue`, `send` and `cancel`, as parts of their own transactions, and
-- `status`, `result` and `queue_backlog`. They run with the rights of the role that made the schema, and may be called by roles that
-- were granted them: such a role needs no rights on the tables.
-- What begins with an underscore is for these functions and no interface.

-- The 32-bit FNV-1a hash by which hints name workflows and queues.
create function durable._hash(name text) returns text
language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $durable$
declare
    bytes bytea := convert_to(name, 'UTF8');
    hash bigint := 2166136261;
begin
    for i in 0 .. length(bytes) - 1 loop
        hash := ((hash # get_byte(bytes, i)) * 16777619) & 4294967295;
    end loop;
    return to_hex(hash);
end
$durable$;

-- The channel of this schema's notifications. A name that is too long for a channel is hashed, with
-- the 64-bit FNV-1a, in numbers that cannot overflow.
create function durable._channel() returns text
language plpgsql stable parallel safe set search_path = pg_catalog, pg_temp as $durable$
declare
    -- The schema that this function's table is in, whatever it is called.
    schema text := (select n.nspname from pg_type t join pg_namespace n on n.oid = t.typnamespace
                     where t.oid = pg_typeof(null::durable.workflows)::oid);
    bytes bytea := convert_to(schema, 'UTF8');
    hash numeric := 14695981039346656037;
    low integer;
begin
    if length(bytes) <= 55 then
        return 'durable:' || schema;
    end if;
    for i in 0 .. length(bytes) - 1 loop
        low := mod(hash, 256)::integer;
        hash := mod((hash - low + (low # get_byte(bytes, i))) * 1099511628211, 18446744073709551616);
    end loop;
    return 'durable#' || lpad(to_hex(div(hash, 4294967296)::bigint), 8, '0')
        || lpad(to_hex(mod(hash, 4294967296)::bigint), 8, '0');
end
$durable$;

-- A key as the engine makes them: the microseconds since 2020, and ten bits that keep makers apart.
create function durable._key() returns bigint
language sql volatile parallel safe set search_path = pg_catalog, pg_temp as $durable$
    select ((extract(epoch from clock_timestamp()) * 1000000)::bigint - 1577836800000000) * 1024
         + floor(random() * 1024)::bigint
$durable$;

-- Refuses a name that an index, a log or a notification could not carry.
create function durable._check(what text, name text, empty boolean) returns void
language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $durable$
begin
    if name is null or (name = '' and not empty) then
        raise exception 'durable: the % is missing', what using errcode = 'invalid_parameter_value';
    elsif octet_length(name) > 255 then
        raise exception 'durable: the % has % bytes, and 255 are allowed', what, octet_length(name)
            using errcode = 'invalid_parameter_value';
    elsif name ~ '[[:cntrl:]]' then
        raise exception 'durable: the % has a control character in it', what using errcode = 'invalid_parameter_value';
    end if;
end
$durable$;

-- The microseconds of an interval, from none to those of the calendar, which ends with the year 9999.
create function durable._micros(length interval) returns bigint
language sql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $durable$
    select greatest(least(extract(epoch from length) * 1000000, 253402300799999999), 0)::bigint
$durable$;

-- Enqueues a workflow as a part of the caller's transaction, and gives its id. A workflow of the same
-- name and id that is there already is given back as it is, and nothing is enqueued.
create function durable.enqueue(
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
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
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
    if enqueue.partition_key is null
        and exists (select 1 from durable.queues q where q.name = enqueue.queue and q.partitioned) then
        raise exception 'durable: the queue "%" is partitioned, and the workflow "%" has no partition key', enqueue.queue, own
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

-- The same for values of the types jsonb and json. A call without an input uses the one for jsonb.
create function durable.enqueue(
    workflow text,
    input jsonb default '{}',
    queue text default 'durable',
    id text default null,
    priority integer default 0,
    partition_key text default null,
    deduplication_id text default null,
    delay interval default null,
    timeout interval default null
) returns text
language sql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
    select durable.enqueue(workflow, input::text, queue, id, priority, partition_key, deduplication_id, delay, timeout)
$durable$;

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
language sql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
    select durable.enqueue(workflow, input::text, queue, id, priority, partition_key, deduplication_id, delay, timeout)
$durable$;

-- Sends a message to a workflow as a part of the caller's transaction. The workflow takes one message
-- with an idempotency key on a topic, however often it is sent, also after it was received.
create function durable.send(workflow_id text, topic text, payload text, idempotency_key text default null) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
#variable_conflict use_column
declare
    receiver bigint;
    standing text;
begin
    perform durable._check('topic', coalesce(send.topic, ''), true);
    perform durable._check('idempotency key', coalesce(send.idempotency_key, 'none'), false);
    perform coalesce(send.payload, 'null')::jsonb;
    select w.key, w.status into receiver, standing from durable.workflows w where w.id = send.workflow_id;
    if receiver is null then
        raise exception 'durable: there is no workflow "%" to receive the message', send.workflow_id
            using errcode = 'no_data_found';
    end if;
    if exists (select 1 from durable.messages m
                where m.workflow = receiver and m.topic = coalesce(send.topic, '')
                  and m.idempotency_key = send.idempotency_key) then
        return; -- the retry of a success is a success
    end if;
    if standing in ('SUCCESS', 'ERROR', 'CANCELLED') then
        raise exception 'durable: the workflow "%" has ended (%) and receives no more messages', send.workflow_id, standing
            using errcode = 'no_data_found';
    end if;
    for attempt in 1 .. 10 loop
        insert into durable.messages (key, workflow, topic, sent_at, idempotency_key, payload)
        values (durable._key(), receiver, coalesce(send.topic, ''),
                (extract(epoch from clock_timestamp()) * 1000000)::bigint, send.idempotency_key,
                coalesce(send.payload, 'null'))
        on conflict do nothing;
        if found then
            perform pg_notify(durable._channel(), '- w' || durable._hash(send.workflow_id));
            return;
        end if;
        if exists (select 1 from durable.messages m
                    where m.workflow = receiver and m.topic = coalesce(send.topic, '')
                  and m.idempotency_key = send.idempotency_key) then
            return;
        end if;
    end loop;
    raise exception 'durable: the message to "%" could not be sent, because others are in the way again and again',
        send.workflow_id using errcode = 'serialization_failure';
end
$durable$;

-- The same for values of the types jsonb and json.
create function durable.send(workflow_id text, topic text, payload jsonb, idempotency_key text default null) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
    select durable.send(workflow_id, topic, payload::text, idempotency_key)
$durable$;

create function durable.send(workflow_id text, topic text, payload json, idempotency_key text default null) returns void
language sql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
    select durable.send(workflow_id, topic, payload::text, idempotency_key)
$durable$;

-- Cancels a workflow as a part of the caller's transaction, and with `children` everything that it has started. Gives
-- whether anything was cancelled: nothing is, if all of it has ended.
create function durable.cancel(workflow_id text, children boolean default false) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $durable$
#variable_conflict use_column
declare
    now bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
    generation bigint[] := (select array_agg(w.key) from durable.workflows w where w.id = cancel.workflow_id);
    cancelled boolean := false;
    one record;
begin
    if generation is null then
        raise exception 'durable: there is no workflow "%" to cancel', cancel.workflow_id using errcode = 'no_data_found';
    end if;
    -- Each generation is locked before its children are read, and then starts no more of them.
    while generation is not null loop
        for one in select w.key, w.id, w.status, w.executor from durable.workflows w
                    where w.key = any(generation) order by w.key for update loop
            continue when one.status in ('SUCCESS', 'ERROR', 'CANCELLED');
            update durable.workflows w set status = 'CANCELLED', reason = 'cancelled by request', completed_at = now
             where w.key = one.key;
            cancelled := true;
            perform pg_notify(durable._channel(), '- w' || durable._hash(one.id)
                || case when one.executor is null then '' else ' e' || one.executor end);
        end loop;
        generation := case when cancel.children then
            (select array_agg(w.key) from durable.workflows w where w.parent = any(generation)) end;
    end loop;
    return cancelled;
end
$durable$;

-- The status of a workflow; NULL if there is none with this id.
create function durable.status(workflow_id text) returns text
language sql stable security definer set search_path = pg_catalog, pg_temp as $durable$
    select w.status from durable.workflows w where w.id = status.workflow_id
$durable$;

-- One row with what became of a workflow: its status, its output once it is a SUCCESS, its error once it is an ERROR,
-- and the reason of one that is CANCELLED or PARKED. No row if there is none with this id.
create function durable.result(workflow_id text, out status text, out output json, out error json, out reason text)
returns setof record
language sql stable security definer set search_path = pg_catalog, pg_temp as $durable$
    select w.status, w.output::json, w.error::json, w.reason
      from durable.workflows w where w.id = result.workflow_id
$durable$;

-- How much work a queue has, for autoscalers. It counts to `most` and reads no more rows than that, whatever waits.
-- `waiting` is what is ENQUEUED, or DELAYED and due; `running` includes what dead processes have left. `capped` is
-- whether one of them stopped at `most`. `oldest_seconds` is how long the workflow that is next in its priority has
-- waited, of all priorities the longest.
create function durable.queue_backlog(
    queue text,
    most integer default 10000,
    out waiting bigint, out running bigint, out capped boolean, out oldest_seconds double precision, out paused boolean
)
language sql stable security definer set search_path = pg_catalog, pg_temp as $durable$
    with recursive clock (now) as (select (extract(epoch from clock_timestamp()) * 1000000)::bigint),
    heads (key) as (
        (select w.key from durable.workflows w where w.status = 'ENQUEUED' and w.queue = $1
          order by w.priority, w.created_at, w.key limit 1)
        union all
        select (select w.key from durable.workflows w
                 where w.status = 'ENQUEUED' and w.queue = $1 and w.priority > head.priority
                 order by w.priority, w.created_at, w.key limit 1)
          from heads h join durable.workflows head on head.key = h.key),
    counts (waiting, delayed, running) as materialized (
        select (select count(*) from (select 1 from durable.workflows w
                 where w.status = 'ENQUEUED' and w.queue = $1
                 order by w.priority, w.created_at, w.key limit $2) rows),
               (select count(*) from (select w.queue from durable.workflows w, clock
                 where w.status = 'DELAYED' and w.due_at <= clock.now order by w.due_at limit $2) due
                 where due.queue = $1),
               (select count(*) from (select 1 from durable.workflows w
                 where w.status = 'PENDING' and w.queue = $1 order by w.partition_key limit $2) rows))
    select least(c.waiting + c.delayed, $2), c.running, c.waiting + c.delayed >= $2 or c.running >= $2,
           coalesce((select greatest(max(clock.now - greatest(w.created_at, w.due_at)), 0) / 1e6
                       from (select key from heads limit 100) h join durable.workflows w on w.key = h.key, clock), 0),
           coalesce((select q.paused from durable.queues q where q.name = $1), false)
      from counts c
$durable$;

-- A new function may be called by every role.
revoke all on function durable._hash(text) from public;
revoke all on function durable._channel() from public;
revoke all on function durable._key() from public;
revoke all on function durable._check(text, text, boolean) from public;
revoke all on function durable._micros(interval) from public;
revoke all on function durable.queue_backlog(text, integer) from public;
revoke all on function durable.enqueue(text, text, text, text, integer, text, text, interval, interval) from public;
revoke all on function durable.enqueue(text, jsonb, text, text, integer, text, text, interval, interval) from public;
revoke all on function durable.enqueue(text, json, text, text, integer, text, text, interval, interval) from public;
revoke all on function durable.send(text, text, text, text) from public;
revoke all on function durable.send(text, text, jsonb, text) from public;
revoke all on function durable.send(text, text, json, text) from public;
revoke all on function durable.cancel(text, boolean) from public;
revoke all on function durable.status(text) from public;
revoke all on function durable.result(text) from public;
