"""The durable record.

`port`: what a journal offers; `writes` and `records`: its rows; `sqlite` and `postgres`: the adapters.
"""
