"""The demo: real workflows on a real server that is killed and started again, and the books checked afterwards.

Its parts serve the tests as well: `examples` reads `examples/*/`, `stack` seeds and reads the sandbox over HTTP,
`books` compares the books with the histories, `server` is the child process. `top_ups` are the pay-ins that a trigger
turns into instances, `top_up_report` says whether each did so once.
"""
