-- Search by what instances move. May run again: a process can end in the middle of it.

-- instances.amount, added by versions/0033_lookups.py: what the first effect moves, as search_terms.sortable_amount writes it.

-- term: a kind and a value, as workflows/search_terms.py writes them; created_at: that of the instance.
CREATE TABLE IF NOT EXISTS lookups (
    term        TEXT    NOT NULL,
    created_at  INTEGER NOT NULL,
    instance_id TEXT    NOT NULL,
    PRIMARY KEY (term, created_at, instance_id)
) WITHOUT ROWID;
