"""The linter: rules that find, in a valid definition, what would cost money or fail when it runs.

    find(document, [Trigger("SAVED_PAYMENT", filter_, variables)])

A rule is one function in a module of this package; its docstring is its text in the reference and in reports. All are
listed in `RULES` of `registry`. Rules see values as they are written, before expansion, and report paths such as
`stages[0].send.amount`. All of it is pure. A finding is advice: the API accepts every valid definition.
"""
