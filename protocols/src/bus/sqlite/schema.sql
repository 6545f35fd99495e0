-- The position of the next post.
CREATE TABLE bus (next INTEGER NOT NULL) STRICT;
INSERT INTO bus VALUES (0);

-- The posts that somebody waits for.
CREATE TABLE posts (
    position INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    posted INTEGER NOT NULL
) STRICT;

-- The ids of the window.
CREATE TABLE recent (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    position INTEGER NOT NULL
) STRICT;

-- `next` is the first position that is not done, `tries` how often the post there was given, and
-- `why` how that failed the last time.
CREATE TABLE subscriptions (
    name TEXT PRIMARY KEY,
    takes_all INTEGER NOT NULL,
    next INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    why TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

CREATE TABLE kinds (
    subscription TEXT NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    PRIMARY KEY (subscription, kind)
) STRICT, WITHOUT ROWID;

-- What is parked, with no `tries`, and what is tried again, with how often it was given since.
CREATE TABLE aside (
    subscription TEXT NOT NULL REFERENCES subscriptions (name) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id BLOB NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    posted INTEGER NOT NULL,
    why TEXT NOT NULL,
    since INTEGER NOT NULL,
    tries INTEGER,
    PRIMARY KEY (subscription, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX aside_by_state ON aside (subscription, tries IS NULL, position);
