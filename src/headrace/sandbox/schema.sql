-- The books of the sandbox. Amounts are decimal text: SQLite's own numbers end at 64 bits.

CREATE TABLE IF NOT EXISTS ledgers (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    metadata TEXT NOT NULL,
    added_at INTEGER NOT NULL,
    last_transaction_id INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS accounts (
    ledger TEXT NOT NULL,
    address TEXT NOT NULL,
    metadata TEXT NOT NULL,
    PRIMARY KEY (ledger, address)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS volumes (
    ledger TEXT NOT NULL,
    account TEXT NOT NULL,
    asset TEXT NOT NULL,
    input TEXT NOT NULL,
    output TEXT NOT NULL,
    PRIMARY KEY (ledger, account, asset)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS transactions (
    ledger TEXT NOT NULL,
    id INTEGER NOT NULL,
    reference TEXT,
    document TEXT NOT NULL,
    PRIMARY KEY (ledger, id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX IF NOT EXISTS transactions_by_reference
    ON transactions (ledger, reference) WHERE reference IS NOT NULL;

-- When an account was first used, made and changed. Accounts of databases older than this table have no row.
CREATE TABLE IF NOT EXISTS account_times (
    ledger TEXT NOT NULL,
    address TEXT NOT NULL,
    first_usage INTEGER NOT NULL,
    inserted_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (ledger, address)
) STRICT, WITHOUT ROWID;

-- Which transactions touched an account: how a wallet's transactions are found.
CREATE TABLE IF NOT EXISTS moves (
    ledger TEXT NOT NULL,
    account TEXT NOT NULL,
    transaction_id INTEGER NOT NULL,
    PRIMARY KEY (ledger, account, transaction_id)
) STRICT, WITHOUT ROWID;

-- Only what was carried out leaves a key; a refused or rehearsed request does not use it up.
CREATE TABLE IF NOT EXISTS keys (
    ledger TEXT NOT NULL,
    key TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (ledger, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS wallets (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    ledger TEXT NOT NULL,
    metadata TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS wallets_by_name ON wallets (name);

CREATE TABLE IF NOT EXISTS balances (
    wallet_id TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (wallet_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS payments (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    connector_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (connector_id, reference)
) STRICT;

CREATE TABLE IF NOT EXISTS payments_accounts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    connector_id TEXT NOT NULL,
    reference TEXT NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (connector_id, reference)
) STRICT;

CREATE TABLE IF NOT EXISTS transfer_initiations (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    reference TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
) STRICT;

-- Reversals of transfer initiations: a reference is used once.
CREATE TABLE IF NOT EXISTS reversals (
    reference TEXT PRIMARY KEY,
    initiation_id TEXT NOT NULL,
    amount TEXT NOT NULL,
    asset TEXT NOT NULL,
    metadata TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS reversals_by_initiation ON reversals (initiation_id);

-- What was published, in the commit of what it tells, until its reader has it. That keeps its own place.
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    envelope TEXT NOT NULL
) STRICT;

-- One row: the name of this database, which never changes.
CREATE TABLE IF NOT EXISTS identity (id TEXT NOT NULL) STRICT;
