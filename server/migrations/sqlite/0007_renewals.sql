-- What became of the last renewal is unknown: it was sent, and the answer was lost. Known since then. It belongs to the
-- generation that was to be renewed, and goes with it.
ALTER TABLE credentials ADD COLUMN renewal_lost_at INTEGER;
