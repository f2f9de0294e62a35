-- What a message of a queue or a job of a pipeline has become: one build, however often and however late it
-- comes again.
CREATE TABLE claims (
    token TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    build TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX claims_by_expiry ON claims (expires_at);
CREATE INDEX claims_of_build ON claims (build);

-- Messages and jobs that wait for an answer. `ticket` is what their service wants to see with it. One is looked
-- at when its build is over, and at `look_at` in any case; whoever looks at it has it until `held_until`.
CREATE TABLE arrivals (
    intake TEXT NOT NULL,
    id TEXT NOT NULL,
    ticket TEXT NOT NULL,
    build TEXT,
    arrived_at BIGINT NOT NULL,
    look_at BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    tries BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (intake, id)
);

-- Through which intake a waiting build came, so that no intake takes more than the workers can use.
ALTER TABLE queue ADD COLUMN intake TEXT;
CREATE INDEX queue_intake ON queue (intake) WHERE agent IS NULL AND intake IS NOT NULL;
