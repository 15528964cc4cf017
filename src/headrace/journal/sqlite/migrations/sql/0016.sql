-- Local clients and signing keys, for servers that share a database. A server with a journal in a file keeps them in files
-- beside it, and these tables stay empty. May run again: a process can end in the middle of it.

-- secret: its hash. scopes: words separated by blanks. created_at: as RFC 3339.
CREATE TABLE IF NOT EXISTS clients (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL,
    scopes     TEXT NOT NULL,
    secret     TEXT NOT NULL,
    created_at TEXT NOT NULL
);

-- jwk: the private key as JSON. retired_at: when another key replaced it.
CREATE TABLE IF NOT EXISTS signing_keys (
    kid        TEXT    NOT NULL PRIMARY KEY,
    algorithm  TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    retired_at INTEGER,
    jwk        TEXT    NOT NULL
);

-- One row. edition grows with every change to one of the two.
CREATE TABLE IF NOT EXISTS auth_state (
    id      INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    edition INTEGER NOT NULL
);

INSERT INTO auth_state (id, edition) SELECT 1, 0 WHERE NOT EXISTS (SELECT 1 FROM auth_state);
