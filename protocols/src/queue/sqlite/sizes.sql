-- How many messages and ids there are, so that nobody has to count them for each request. They are
-- of this process alone, and change in the transactions that change what they count.
CREATE TEMP TABLE sizes (
    queue TEXT PRIMARY KEY,
    messages INTEGER NOT NULL,
    recent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sizes SELECT name, (SELECT count(*) FROM messages WHERE queue = name),
    (SELECT count(*) FROM recent WHERE queue = name) FROM queues;
CREATE TEMP TRIGGER queue_made AFTER INSERT ON main.queues BEGIN
    INSERT INTO sizes VALUES (NEW.name, 0, 0);
END;
CREATE TEMP TRIGGER message_put AFTER INSERT ON main.messages BEGIN
    UPDATE sizes SET messages = messages + 1 WHERE queue = NEW.queue;
END;
CREATE TEMP TRIGGER message_taken AFTER DELETE ON main.messages BEGIN
    UPDATE sizes SET messages = messages - 1 WHERE queue = OLD.queue;
END;
CREATE TEMP TRIGGER id_put AFTER INSERT ON main.recent BEGIN
    UPDATE sizes SET recent = recent + 1 WHERE queue = NEW.queue;
END;
CREATE TEMP TRIGGER id_taken AFTER DELETE ON main.recent BEGIN
    UPDATE sizes SET recent = recent - 1 WHERE queue = OLD.queue;
END;
