-- Certificates of cases: signed files, kept permanently.

-- subject: what it was asked for, as JSON. content: the signed file. sha: its hash. previous: the certificate of the
-- period before. kid, jwk: the key that has signed it, and the key's public half as JSON.
CREATE TABLE IF NOT EXISTS certificates (
    id         text   COLLATE "C" PRIMARY KEY,
    subject    text   NOT NULL,
    content    text   NOT NULL,
    sha        text   NOT NULL,
    previous   text   COLLATE "C",
    kid        text   COLLATE "C" NOT NULL,
    jwk        text   NOT NULL,
    created_at bigint NOT NULL
);

CREATE INDEX IF NOT EXISTS certificates_by_key ON certificates (kid);
