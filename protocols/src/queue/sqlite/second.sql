-- When a message failed for the first time. What failed before there was this column has none.
ALTER TABLE messages ADD COLUMN failed INTEGER;
