"""Plans: what an instance would do, found out by reads alone, before anything is booked.

canonical    canonical JSON and its hash, for everything that is signed
commitments  an effect without id, key and time: what a person can sign
questions    the reads that a plan asks of the services, and their answers
shadow       the books as a plan sees them: what was read, overlaid by what is planned
planner      drives the stages of a workflow over the shadow, to a document
document     the members of a plan, their limits and the hash of what is signed

Pure: a plan is a generator that yields questions. Its caller sends them, so a server, a command without a server and a
test plan by the same code, and none of them can send anything but a read.
"""
