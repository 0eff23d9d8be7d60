"""python -m actors.writer.market: started and ended by the writer."""

from actors.writer.market.shell import main

if __name__ == "__main__":
    main()
