-- What became of the last renewal is unknown: it was sent, and the answer was lost. Known since then. It belongs to the
-- generation that was to be renewed, and goes with it.
ALTER TABLE credentials ADD COLUMN renewal_lost_at INTEGER;

-- When the access token of a grant ends: until then it works, renewed or not. Of those that are there only when to renew
-- them is known, which is five minutes before the end or more.
ALTER TABLE credentials ADD COLUMN access_ends_at INTEGER;
UPDATE credentials SET access_ends_at = renew_at + 300 * 1000000 WHERE renew_at IS NOT NULL;
