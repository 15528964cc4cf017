-- Local clients and signing keys, for servers that share a database.

-- secret: its hash. scopes: words separated by blanks. created_at: as RFC 3339.
CREATE TABLE clients (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    scopes     text NOT NULL,
    secret     text NOT NULL,
    created_at text NOT NULL
);

-- jwk: the private key as JSON. retired_at: when another key replaced it.
CREATE TABLE signing_keys (
    kid        text   COLLATE "C" PRIMARY KEY,
    algorithm  text   NOT NULL,
    created_at bigint NOT NULL,
    signs_from bigint NOT NULL,
    retired_at bigint,
    jwk        text   NOT NULL
);

-- One row. edition grows with every change to one of the two.
CREATE TABLE auth_state (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    edition bigint  NOT NULL
);

INSERT INTO auth_state (edition) VALUES (0);
