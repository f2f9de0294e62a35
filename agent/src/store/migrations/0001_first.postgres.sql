-- One clock for all agents: the database's.
CREATE VIEW clock AS SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now;

-- Names are listed in the order of their bytes, whatever the language of the database.
ALTER TABLE resources ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE builds ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE reports ALTER COLUMN arn TYPE TEXT COLLATE "C";
