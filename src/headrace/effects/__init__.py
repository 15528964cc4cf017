"""Activities over HTTP.

port         what a request, a response and an outcome are
protocol     how one effect is brought to a certain end
services     activity -> request, response -> outcome, and whether an effect stands in the books
ledger, wallets, payments    what each service takes, answers and refuses
wire         what they share: canonical JSON, path parts, strict reading
transport    (with `oauth`) one attempt over HTTP, with a token
"""
