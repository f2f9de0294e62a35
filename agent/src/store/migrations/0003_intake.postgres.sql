-- They are compared with the ids of builds, which are in the order of their bytes.
ALTER TABLE claims ALTER COLUMN build TYPE TEXT COLLATE "C";
ALTER TABLE arrivals ALTER COLUMN build TYPE TEXT COLLATE "C";
