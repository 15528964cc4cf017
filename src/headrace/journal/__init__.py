"""The durable record. `port`: what a journal offers; `records`: its rows; `sqlite` and `writer`: the one on SQLite."""
