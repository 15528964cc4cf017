"""The demo: real workflows on a real server that is killed and started again, and the books checked afterwards.

Its parts serve the tests as well: `examples` reads `examples/*/`, `stack` seeds and reads the sandbox over HTTP,
`books` compares the books with the histories, `server` is the child process.
"""
