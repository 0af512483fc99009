-- Since when a proposed credential waits for the user's decision: one that nobody decides about is not kept for ever.
ALTER TABLE assignments ADD COLUMN proposed_at INTEGER;

-- Those that wait already begin to wait now.
UPDATE assignments SET proposed_at = unixepoch() * 1000000 WHERE proposed_id IS NOT NULL;
