"""The tables of the client's database. Their names and columns are what files on users' disks have."""

from __future__ import annotations

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE sessions (
  id BLOB PRIMARY KEY, chain_id INTEGER NOT NULL, market TEXT NOT NULL, user TEXT NOT NULL, signer TEXT NOT NULL,
  model_version BLOB NOT NULL, expiry INTEGER NOT NULL, direct INTEGER NOT NULL, state TEXT NOT NULL,
  created REAL NOT NULL);
CREATE TABLE lines (
  session BLOB NOT NULL REFERENCES sessions(id), node TEXT NOT NULL, cap TEXT NOT NULL,
  promised TEXT NOT NULL DEFAULT '0', used TEXT NOT NULL DEFAULT '0', PRIMARY KEY (session, node));
CREATE TABLE orders (
  digest BLOB PRIMARY KEY, session BLOB NOT NULL REFERENCES sessions(id), json TEXT NOT NULL, signature BLOB NOT NULL,
  prompt_length INTEGER NOT NULL, state TEXT NOT NULL, created REAL NOT NULL);
CREATE TABLE tokens (
  order_digest BLOB NOT NULL REFERENCES orders(digest), position INTEGER NOT NULL, token INTEGER NOT NULL,
  PRIMARY KEY (order_digest, position)) WITHOUT ROWID;
CREATE TABLE receipts (
  order_digest BLOB NOT NULL REFERENCES orders(digest), node TEXT NOT NULL, segment INTEGER NOT NULL,
  to_position INTEGER NOT NULL, json TEXT NOT NULL, signature BLOB NOT NULL,
  PRIMARY KEY (order_digest, node, segment, to_position));
CREATE TABLE feeds (
  order_digest BLOB NOT NULL REFERENCES orders(digest), to_position INTEGER NOT NULL, json TEXT NOT NULL,
  signature BLOB NOT NULL, PRIMARY KEY (order_digest, to_position));
CREATE TABLE vouchers (
  session BLOB NOT NULL REFERENCES sessions(id), number INTEGER NOT NULL, json TEXT NOT NULL, signature BLOB NOT NULL,
  PRIMARY KEY (session, number));
"""
SESSION_OPERATORS = """
CREATE TABLE IF NOT EXISTS operators (
  session BLOB NOT NULL REFERENCES sessions(id), node TEXT NOT NULL, PRIMARY KEY (session, node));
"""  # younger than the schema: also made in files that lack it

SESSION_SHARES = """
CREATE TABLE IF NOT EXISTS shares (
  session BLOB PRIMARY KEY REFERENCES sessions(id), basis_points INTEGER NOT NULL) WITHOUT ROWID;
"""  # younger than the schema: also made in files that lack it

EVIDENCE = """
CREATE TABLE IF NOT EXISTS tracks (
  node TEXT PRIMARY KEY, signed INTEGER NOT NULL DEFAULT 0, verified INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0, invalid INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disputed (
  order_digest BLOB NOT NULL REFERENCES orders(digest), json TEXT NOT NULL, signature BLOB NOT NULL,
  PRIMARY KEY (order_digest, json));
CREATE TABLE IF NOT EXISTS disagreements (
  order_digest BLOB NOT NULL REFERENCES orders(digest), segment INTEGER NOT NULL, position INTEGER NOT NULL,
  node TEXT NOT NULL, row BLOB NOT NULL, PRIMARY KEY (order_digest, segment, position, node));
"""  # younger than the schema: also made in files that lack it

AUDITS = """
CREATE TABLE IF NOT EXISTS audits (
  order_digest BLOB NOT NULL REFERENCES orders(digest), json TEXT NOT NULL, signature BLOB NOT NULL,
  PRIMARY KEY (order_digest, json))
"""  # younger than the schema: also made in files that lack it
