-- One clock for all agents: the database's. It has been there since `up_since`: no agent was cut off from
-- a file.
CREATE VIEW clock AS SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now, 0 AS up_since;
