-- The first format. Files of it do not say which they are, and have all of this.
CREATE TABLE IF NOT EXISTS queues (
    name TEXT PRIMARY KEY,
    delivery_limit INTEGER NOT NULL,
    visibility INTEGER NOT NULL,
    messages_max INTEGER NOT NULL,
    remembers INTEGER NOT NULL,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The state is 0 for what may be delivered, 1 for what is in flight, 2 for what rests, and 3 for
-- what is dead. `until` is when a lease or a rest ends, on the clock of the process that has the
-- file, and `call` the one with which a consumer was given the message.
CREATE TABLE IF NOT EXISTS messages (
    queue TEXT NOT NULL REFERENCES queues (name),
    place INTEGER NOT NULL,
    id BLOB NOT NULL,
    key TEXT,
    body BLOB NOT NULL,
    published INTEGER NOT NULL,
    rest INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    forgiven INTEGER NOT NULL DEFAULT 0,
    settled INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT '',
    state INTEGER NOT NULL,
    until INTEGER,
    consumer INTEGER,
    call INTEGER,
    rejected INTEGER,
    died INTEGER,
    PRIMARY KEY (queue, place),
    UNIQUE (queue, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS messages_by_state ON messages (queue, state, place);
CREATE INDEX IF NOT EXISTS messages_by_key ON messages (queue, key, place) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_by_end ON messages (queue, until) WHERE until IS NOT NULL;
CREATE INDEX IF NOT EXISTS messages_by_holder ON messages (queue, consumer) WHERE state = 1;

-- The ids of the window, each with the attempt that took its message out, or 0.
CREATE TABLE IF NOT EXISTS recent (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id BLOB NOT NULL,
    taken_out INTEGER NOT NULL DEFAULT 0,
    UNIQUE (queue, id)
) STRICT;
CREATE INDEX IF NOT EXISTS recent_by_number ON recent (queue, number);
