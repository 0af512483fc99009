-- A check may find that a grant belongs to another account at the provider than before, one of which its user has a grant
-- of the same app already. It goes on as it is, and is no longer the one that a new authorization renews.
ALTER TABLE credentials ADD COLUMN is_second INTEGER NOT NULL DEFAULT 0 CHECK (is_second IN (0, 1));

DROP INDEX one_grant;
CREATE UNIQUE INDEX one_grant ON credentials (user_id, oauth_app, owner_id)
WHERE oauth_app IS NOT NULL AND is_second = 0;
