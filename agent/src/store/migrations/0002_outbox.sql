-- What others are to be told of builds and have not been told yet: one row for each message and
-- destination. `ordinal` orders the messages of one build to one destination; only the first of them is
-- ever under way, so that a failure changes no order. A message is under way while it has a `holder` and
-- `due_at` is not over; `problem` is why it did not arrive the last time.
CREATE TABLE outbox (
    destination TEXT NOT NULL,
    build TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    id TEXT NOT NULL,
    project TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    holder TEXT,
    problem TEXT,
    payload TEXT NOT NULL,
    PRIMARY KEY (destination, build, ordinal)
);
CREATE UNIQUE INDEX outbox_by_id ON outbox (destination, id);
CREATE INDEX outbox_due ON outbox (destination, due_at);
CREATE INDEX outbox_expiry ON outbox (expires_at);
CREATE INDEX outbox_holder ON outbox (holder) WHERE holder IS NOT NULL;

-- Whether the place its source comes from is to show how the build stands: known without reading the
-- request, for the builds of which nobody has to hear.
ALTER TABLE queue ADD COLUMN shows_status BIGINT NOT NULL DEFAULT 0;
