"""Turns what waits into what one transaction adds."""

from collections.abc import Mapping, Sequence

import msgspec

from actors.writer.market.wire import (
    EVERY_TOPIC,
    Batch,
    Forgotten,
    Hole,
    Item,
    Place,
    Row,
    Seen,
    Values,
)
from protocol.envelope import Envelope
from protocol.messages import Quote, Trade


def batch(items: Sequence[Item], stored_epoch: int) -> Batch:
    """What one transaction adds for these, in their order.

    Places are of the newest epoch alone: the first batch of a new one lets go of all others.
    """
    epochs = [item.epoch for item in items if not isinstance(item, Forgotten)]
    epoch = max(stored_epoch, *epochs) if epochs else stored_epoch
    places: dict[str, Place] = {}
    forgotten: dict[str, None] = {}
    for item in items:
        match item:
            case Row() | Seen() if item.epoch == epoch:
                places[item.topic] = Place(item.topic, epoch, item.seq, item.said_at)
            case Hole() if item.epoch == epoch:
                places[item.topic] = Place(item.topic, epoch, item.to_seq, item.at)
            case Forgotten(topic=topic):
                places.pop(topic, None)
                forgotten[topic] = None
    return Batch(
        tuple(i.values for i in items if isinstance(i, Row) and i.table == "trades"),
        tuple(i.values for i in items if isinstance(i, Row) and i.table == "quotes"),
        tuple(msgspec.structs.astuple(i) for i in items if isinstance(i, Hole)),
        tuple(places.values()),
        tuple(topic for topic in forgotten if topic not in places),
        anew=epoch > stored_epoch > 0,
    )


def on_record(item: Item, stored: Mapping[str, Place]) -> bool:
    """Whether a commit that nobody answered has it: a hole in every topic is told again."""
    if isinstance(item, Forgotten) or item.topic == EVERY_TOPIC:
        return False
    place = stored.get(item.topic)
    seq = item.to_seq if isinstance(item, Hole) else item.seq
    return place is not None and (item.epoch, seq) <= (place.epoch, place.seq)


def trade_values(envelope: Envelope, trade: Trade) -> Values:
    """A trade in the order of its table's columns."""
    return (
        trade.ticker, trade.trade_id, trade.price, trade.count, trade.taker_side,
        int(trade.block), trade.exchange_at, trade.received_at or envelope.at,
        envelope.epoch, envelope.seq,
    )  # fmt: skip


def quote_values(envelope: Envelope, quote: Quote) -> Values:
    """A quote in the order of its table's columns."""
    return (
        quote.ticker, quote.last, quote.last_size, quote.bid, quote.bid_size, quote.ask,
        quote.ask_size, quote.volume, quote.open_interest, quote.exchange_at,
        quote.received_at or envelope.at, envelope.epoch, envelope.seq,
    )  # fmt: skip
