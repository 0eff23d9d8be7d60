"""python -m tests.actors.writer.appender PATH FIRST: appends fills until it is killed.

Says each acknowledged entry on a line, `n trade_id`, after its commit and never before.
"""

import sys

from actors.writer.store import Store
from tests.actors.writer.samples import fill, wanted


def main(path: str, first: int) -> None:
    store = Store(path)
    store.open()
    number = first
    while True:
        size = 1 + number % 7
        facts = [fill(f"t{i}") for i in range(number, number + size)]
        done = store.commit(wanted(*facts), number)
        for fact, result in zip(facts, done.results, strict=True):
            print(result.n, fact.trade_id)
        sys.stdout.flush()
        number += size


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
