"""Certificates: a signed statement that the books of the services show a case as its history records it.

case          a case as the journal records it: its instances, their stages and activities
replay        the stages run again over what was recorded: they must ask for the recorded effects, byte for byte
books         each effect looked up anew: what is done stands in the books, what is not done is absent
conservation  both sides of each `send`, from the books: what left somewhere arrived elsewhere, or is declared
statement     the whole check, to the payload that is signed
period        many cases that ended in a period: a line each, their sums, and what had not ended
at_rest       the money of an open case that is on its way, as the history records it
listing       all transactions of a period, to find those that no case has booked
envelope      the payload as a signed file, and the check of such a file without a server

Pure: a check is a generator that yields questions, as a plan is. Its caller sends them.
"""
