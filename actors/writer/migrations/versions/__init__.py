"""The revisions, each with its tables as they were made.

What a revision does with entries (the fold, the chain, the statements) it does with the code of
today: a change of those comes with a revision that derives the entries anew, and the tests take
a ledger of the first schema through all of them.
"""
