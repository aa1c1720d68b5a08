//! The tables, step by step.

/// The steps to the newest format; `PRAGMA user_version` says how many a file has taken. Never change one that was
/// released: add another.
pub(super) const STEPS: &[&str] = &[TABLES, VERIFY_AND_ROLLBACK, CODES, MERGE, HISTORY];

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row a plan pass. A run that is not finished is continued by the next one.
CREATE TABLE runs (
  run            INTEGER PRIMARY KEY,
  started_at     TEXT NOT NULL,
  inputs_digest  TEXT,              -- hash files and mapping; a change asks for a new plan
  planned_at     TEXT,
  importing_at   TEXT,              -- confirmed: from here on there may be writes
  finished_at    TEXT,
  timing         TEXT NOT NULL DEFAULT '{}',
  notes          TEXT NOT NULL DEFAULT '{}'
);

-- The files of a run, in the order in which they are read.
CREATE TABLE exports (
  run            INTEGER NOT NULL,
  file           INTEGER NOT NULL,
  connection_id  TEXT,
  connection     TEXT,
  job_id         TEXT,
  started_at     TEXT,
  path           TEXT,
  digest         TEXT,
  bytes          INTEGER,
  PRIMARY KEY (run, file)
) WITHOUT ROWID;

-- One row a user, for good: what is wanted (the latest plan) and what ZITADEL has from us.
CREATE TABLE users (
  id             INTEGER PRIMARY KEY,
  user_id        TEXT NOT NULL UNIQUE,
  connection     TEXT,
  run            INTEGER NOT NULL,  -- the last run whose export held the user
  file           INTEGER NOT NULL,
  line           INTEGER NOT NULL,  -- for people; several rows may share one
  row            INTEGER NOT NULL,  -- the place in the file, from 1
  name_key       TEXT,
  name_suffix    TEXT,
  verified       INTEGER NOT NULL DEFAULT 0,
  last_login     INTEGER,
  route          INTEGER,
  want_profile   BLOB,
  want_password  BLOB,
  have_profile   BLOB,
  have_password  BLOB,
  password_at    TEXT,              -- when ZITADEL says our last password change was; NULL: at the creation
  have_phone     INTEGER NOT NULL DEFAULT 0,
  have_inactive  INTEGER NOT NULL DEFAULT 0,
  sent_profile   BLOB,              -- what the last request said, whose answer may have been lost
  sent_password  BLOB,
  owner          INTEGER NOT NULL DEFAULT 0,
  action         INTEGER NOT NULL,
  progress       INTEGER NOT NULL DEFAULT 0,
  outcome        INTEGER,
  code           TEXT,
  detail         TEXT,
  findings       TEXT,
  visible        INTEGER NOT NULL DEFAULT 0
);

-- Lines of an export that are no user of their own: unreadable ones, and repetitions.
CREATE TABLE lines (
  run            INTEGER NOT NULL,
  file           INTEGER NOT NULL,
  line           INTEGER NOT NULL,
  row            INTEGER NOT NULL,
  user_id        TEXT,
  connection     TEXT,
  outcome        INTEGER NOT NULL,
  code           TEXT NOT NULL,
  detail         TEXT,
  PRIMARY KEY (run, file, row)
) WITHOUT ROWID;

-- The users that the instance held when the plan was made: names are unique in the whole instance.
CREATE TABLE instance_users (
  user_id         TEXT PRIMARY KEY,
  name_key        TEXT NOT NULL,
  organization_id TEXT NOT NULL
) WITHOUT ROWID;
";

const VERIFY_AND_ROLLBACK: &str = "
-- What ZITADEL was told of the user, field by field, as salted digests: `verify` compares with it.
ALTER TABLE users ADD COLUMN facts BLOB;

-- Second factors, one half the TOTP secret, the other the recovery codes.
ALTER TABLE users ADD COLUMN want_factors BLOB;
ALTER TABLE users ADD COLUMN have_factors BLOB;

-- When we wrote the user last (our clock): whatever changed later was changed by somebody else.
ALTER TABLE users ADD COLUMN settled_at TEXT;

-- What Auth0 said of a user's second factors, when it was asked: kinds, one after another.
CREATE TABLE surveyed (
  user_id        TEXT PRIMARY KEY,
  asked_at       TEXT NOT NULL,
  kinds          TEXT NOT NULL
) WITHOUT ROWID;

-- How ZITADEL differs from the ledger, as `verify` found it last.
CREATE TABLE differences (
  user_id        TEXT NOT NULL,
  what           TEXT NOT NULL,
  detail         TEXT,
  PRIMARY KEY (user_id, what)
) WITHOUT ROWID;

-- Whom `rollback` has deleted.
CREATE TABLE removed (
  user_id        TEXT PRIMARY KEY,
  removed_at     TEXT NOT NULL
) WITHOUT ROWID;

-- What decides whether accounts of one person are joined, and whether what the plan wants is not the row's own alone.
ALTER TABLE users ADD COLUMN email_key TEXT;  -- a salted digest
ALTER TABLE users ADD COLUMN has_metadata INTEGER NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN adjusted INTEGER NOT NULL DEFAULT 0;
-- The fingerprint of the row alone, from which that of the plan is made.
ALTER TABLE users ADD COLUMN row_profile BLOB;

-- The last run that wrote the user, and as what (an outcome): a plan that is made anew in the middle must not forget it.
ALTER TABLE users ADD COLUMN wrote_run INTEGER;
ALTER TABLE users ADD COLUMN wrote INTEGER;

-- Links to identity providers.
CREATE TABLE links (
  user_id        TEXT NOT NULL,     -- whose identity it is at Auth0
  idp_id         TEXT NOT NULL,
  external_id    TEXT NOT NULL,
  folded         TEXT NOT NULL,     -- as the unique constraint sees it
  by_import      INTEGER NOT NULL,
  run            INTEGER NOT NULL,  -- the last run whose export held it
  holder         TEXT,              -- who gets it; NULL: nobody, another user keeps it
  have           INTEGER NOT NULL DEFAULT 0,  -- ZITADEL has it from us, at the holder
  lost           INTEGER NOT NULL DEFAULT 0,  -- why nobody gets it: 1 another user keeps it, 2 the provider is elsewhere
  PRIMARY KEY (user_id, idp_id, external_id)
) WITHOUT ROWID;
CREATE INDEX links_by_holder ON links (holder);

-- Accounts that became part of another user.
CREATE TABLE joined (
  user_id        TEXT PRIMARY KEY,
  into_id        TEXT NOT NULL,
  run            INTEGER NOT NULL,  -- the last run that joined them
  have           INTEGER NOT NULL DEFAULT 0  -- ZITADEL has the user with this account from us: it stays so
) WITHOUT ROWID;
CREATE INDEX joined_by_into ON joined (into_id);

-- Identity providers that this ledger created; `idp_id` is NULL while the request is in doubt.
CREATE TABLE created_idps (
  connection     TEXT PRIMARY KEY,
  idp_id         TEXT,
  name           TEXT NOT NULL,
  organization   TEXT,              -- NULL: in the instance
  requested_at   TEXT NOT NULL
) WITHOUT ROWID;

-- The organization that the user is in, or is to be created in; NULL: the main one.
ALTER TABLE users ADD COLUMN organization TEXT;

-- The lists of Auth0 that a run reads page by page: `roles`, `organizations`, `role ID`, `organization ID`.
CREATE TABLE lists (
  run            INTEGER NOT NULL,
  list           TEXT NOT NULL,
  cursor         TEXT,              -- of the next page
  done           INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (run, list)
) WITHOUT ROWID;

-- Auth0's roles. `run` is the last run that read them, here and below. `made`: 0 not made, 1 a request of ours may have
-- made it, 2 ours, 3 was there before.
CREATE TABLE roles (
  role_id        TEXT PRIMARY KEY,
  run            INTEGER NOT NULL,
  name           TEXT NOT NULL,
  role_key       TEXT,              -- in ZITADEL
  made           INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE role_users (
  user_id        TEXT NOT NULL,
  role_id        TEXT NOT NULL,
  run            INTEGER NOT NULL,
  PRIMARY KEY (user_id, role_id)
) WITHOUT ROWID;

CREATE TABLE organizations (
  organization_id TEXT PRIMARY KEY, -- the same in ZITADEL
  run            INTEGER NOT NULL,
  name           TEXT NOT NULL,
  display_name   TEXT,
  branding       TEXT,              -- JSON
  metadata       TEXT,              -- JSON
  zitadel_name   TEXT,
  made           INTEGER NOT NULL DEFAULT 0,
  dressed        TEXT,              -- digest of the metadata and branding that it has from us
  granted        TEXT               -- the role keys of the project grant that it has from us, JSON
) WITHOUT ROWID;

CREATE TABLE members (
  user_id        TEXT NOT NULL,
  organization_id TEXT NOT NULL,
  run            INTEGER NOT NULL,
  roles          TEXT NOT NULL,     -- ids, JSON
  PRIMARY KEY (user_id, organization_id)
) WITHOUT ROWID;
CREATE INDEX members_by_organization ON members (organization_id);

-- The organizations that the instance held when the plan was made.
CREATE TABLE instance_organizations (
  organization_id TEXT PRIMARY KEY,
  name_key        TEXT NOT NULL
) WITHOUT ROWID;

-- Role assignments: what is wanted and what ZITADEL has from us, as sorted JSON. `organization` is empty for the main one.
CREATE TABLE grants (
  user_id        TEXT NOT NULL,
  organization   TEXT NOT NULL,
  run            INTEGER NOT NULL,
  want           TEXT,              -- NULL: no more
  have           TEXT,
  sent           TEXT,              -- what the last request said, whose answer may have been lost
  owner          INTEGER NOT NULL DEFAULT 0,
  progress       INTEGER NOT NULL DEFAULT 0,
  code           TEXT,
  detail         TEXT,
  PRIMARY KEY (user_id, organization)
) WITHOUT ROWID;
";

const CODES: &str = "
-- Where Auth0 sends a user's codes, without the numbers: JSON. NULL: an older a2z asked.
ALTER TABLE surveyed ADD COLUMN codes TEXT;

-- A salted digest of the last digits of the verified number.
ALTER TABLE users ADD COLUMN number TEXT;

-- Codes by SMS (0) and by e-mail (1) as second factors. `run` is the last run that wanted it, `tried` the last one that
-- settled it, `gave` the one that gave it and `at` when. `state`: 0 nothing was sent, 1 a request may have been carried out,
-- 2 ours, 3 another's, 4 ours and taken away in ZITADEL, 5 refused.
CREATE TABLE codes (
  user_id        TEXT NOT NULL,
  kind           INTEGER NOT NULL,
  run            INTEGER NOT NULL,
  state          INTEGER NOT NULL DEFAULT 0,
  tried          INTEGER,
  gave           INTEGER,
  at             TEXT,
  code           TEXT,
  detail         TEXT,
  PRIMARY KEY (user_id, kind)
) WITHOUT ROWID;
";

const MERGE: &str = "
-- What a request whose answer may be lost says, field by field: what ZITADEL may hold beside `facts`.
ALTER TABLE users ADD COLUMN sent_facts BLOB;

-- Of a user to update: what the row says, field by field.
ALTER TABLE users ADD COLUMN want_facts BLOB;

-- The plan found that a value of ZITADEL's stays.
ALTER TABLE users ADD COLUMN keeps INTEGER NOT NULL DEFAULT 0;

-- Blocked in Auth0, by the latest export that held the user.
ALTER TABLE users ADD COLUMN blocked INTEGER NOT NULL DEFAULT 0;
UPDATE users SET blocked = 1
WHERE EXISTS (SELECT 1 FROM json_each(findings) WHERE json_extract(value, '$.code') = 'blocked-user');

-- A projection that passed over an event may be the cause.
ALTER TABLE differences ADD COLUMN passed_over INTEGER NOT NULL DEFAULT 0;
";

const HISTORY: &str = "
-- An older a2z that died while it recreated a user that the run had found unchanged left a row that no plan makes: the
-- user is to be created (0), because nobody is known to have it (owner 0) and nothing is settled (progress 3).
UPDATE users SET action = 0 WHERE owner = 0 AND progress <> 3 AND action IN (1, 2);

-- What became of users in ZITADEL, one row per event, never changed: words of `user::state`. `user` is the row's number.
CREATE TABLE history (
  id             INTEGER PRIMARY KEY,
  user           INTEGER NOT NULL,
  run            INTEGER NOT NULL,
  at             TEXT NOT NULL,
  event          TEXT NOT NULL,
  state          TEXT NOT NULL
);

-- Repairs: what was taken away and written again, so that ZITADEL shows it.
CREATE TABLE repairs (
  user_id        TEXT NOT NULL,
  part           TEXT NOT NULL,     -- a word of `import::repair`
  at             TEXT NOT NULL,     -- when it was begun or ended last
  ended          INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (user_id, part)
) WITHOUT ROWID;
";
