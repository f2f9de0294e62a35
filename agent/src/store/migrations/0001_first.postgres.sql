-- One clock for all agents: the database's. It has been there since `up_since`.
CREATE VIEW clock AS SELECT
    CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now,
    CAST(extract(epoch FROM pg_postmaster_start_time()) * 1000 AS BIGINT) AS up_since;

-- Names are listed in the order of their bytes, whatever the language of the database.
ALTER TABLE resources ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE builds ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE reports ALTER COLUMN arn TYPE TEXT COLLATE "C";
