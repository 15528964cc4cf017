-- Search by what instances move; `headrace reindex` fills the terms of older instances.

-- amount: what the first effect moves, as search_terms.sortable_amount writes it.
ALTER TABLE instances ADD COLUMN IF NOT EXISTS amount text COLLATE "C";

-- term: a kind and a value, as workflows/search_terms.py writes them; created_at: that of the instance.
CREATE TABLE IF NOT EXISTS lookups (
    term        text   COLLATE "C" NOT NULL,
    created_at  bigint NOT NULL,
    instance_id text   COLLATE "C" NOT NULL,
    PRIMARY KEY (term, created_at, instance_id)
);
