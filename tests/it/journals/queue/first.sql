-- What a queue in SQLite has written in the first format, as `.dump` prints it.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE messages (
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
INSERT INTO "messages" VALUES('orders',1,X'00000000000000000000000000000001','customer',X'01000000000000000000000000000000',1795358598256161832,0,2,0,1,'declined again',3,NULL,NULL,NULL,0,1795358598272355813);
INSERT INTO "messages" VALUES('orders',2,X'00000000000000000000000000000002','customer',X'02000000000000000000000000000000',1795358598276338789,0,1,0,1,'no such customer',3,NULL,NULL,NULL,1,1795358598280338278);
INSERT INTO "messages" VALUES('orders',4,X'00000000000000000000000000000003','customer',X'03000000000000000000000000000000',1795358598284428972,0,3,1,0,'once',1,20079941172,7436582320520172981,1,NULL,NULL);
CREATE TABLE queues (
    name TEXT PRIMARY KEY,
    delivery_limit INTEGER NOT NULL,
    visibility INTEGER NOT NULL,
    messages_max INTEGER NOT NULL,
    remembers INTEGER NOT NULL,
    next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "queues" VALUES('orders',2,20000000000,64,4,5);
CREATE TABLE recent (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    id BLOB NOT NULL,
    taken_out INTEGER NOT NULL DEFAULT 0,
    UNIQUE (queue, id)
) STRICT;
INSERT INTO "recent" VALUES(1,'orders',X'00000000000000000000000000000001',0);
INSERT INTO "recent" VALUES(2,'orders',X'00000000000000000000000000000002',0);
INSERT INTO "recent" VALUES(3,'orders',X'00000000000000000000000000000003',0);
INSERT INTO "recent" VALUES(4,'orders',X'00000000000000000000000000000004',1);
CREATE INDEX messages_by_state ON messages (queue, state, place);
CREATE INDEX messages_by_key ON messages (queue, key, place) WHERE key IS NOT NULL;
CREATE INDEX messages_by_end ON messages (queue, until) WHERE until IS NOT NULL;
CREATE INDEX messages_by_holder ON messages (queue, consumer) WHERE state = 1;
CREATE INDEX recent_by_number ON recent (queue, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('recent',4);
COMMIT;
