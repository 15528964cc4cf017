"""Pictures of money: the moves of a plan, a run or an undo, drawn as SVG, as Mermaid or as text.

Everything that draws money draws `Move`s: the command line, the console, the docs. A package of pure functions: it
knows activities and plans, and no journal. The same moves always give the same bytes.
"""
