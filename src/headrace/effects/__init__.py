"""Activities over HTTP.

port         what a request, a reply and an outcome are
protocol     how one effect is brought to a certain end
requests     activity -> request
look_ups     whether an effect stands in the books: the questions, and what the answers prove
replies      reply -> outcome, in the orchestration's own schemas
services     `ledger`, `wallets`, `payments`: what each takes, answers and refuses
wire         what they share: canonical JSON, path parts, strict reading
transport    (with `oauth`) one attempt over HTTP, with a token
"""
