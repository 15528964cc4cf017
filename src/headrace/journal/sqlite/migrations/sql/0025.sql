-- Certificates of cases: signed files, kept permanently. May run again: a process can end in the middle of it.

-- subject: what it was asked for, as JSON. content: the signed file. sha: its hash. previous: the certificate of the
-- period before. kid, jwk: the key that has signed it, and the key's public half as JSON.
CREATE TABLE IF NOT EXISTS certificates (
    id         TEXT    NOT NULL PRIMARY KEY,
    subject    TEXT    NOT NULL,
    content    TEXT    NOT NULL,
    sha        TEXT    NOT NULL,
    previous   TEXT,
    kid        TEXT    NOT NULL,
    jwk        TEXT    NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE INDEX IF NOT EXISTS certificates_by_key ON certificates (kid);
