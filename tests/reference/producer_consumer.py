"""A bounded FIFO between producers, who each put a fixed number of items, and consumers, who count what they get."""

from enum import IntEnum

from protocol import Index, Machine, Range, Row, System, always, channel, deadlock, me, private, sum_of


class Thread(IntEnum):
    (RUNNING,) = range(1)


def build(producers: int = 2, consumers: int = 2, items: int = 3, capacity: int = 2) -> System:
    """(2,2,3,2) 250, (2,2,5,3) 1,738, (3,3,4,3) 60,389, (4,4,3,4) 1,337,264 states.

    7, 11, 91 and 455 terminal states at depths 12, 20, 24 and 24: twice the number of all items.
    """
    makers, takers = Index("maker", producers), Index("taker", consumers)
    fifo = channel("fifo", makers, capacity)
    put = private("put", Range(0, items), over=makers)
    got = private("got", Range(0, producers * items), over=takers)
    mine, yours, stay = put[me(makers)], got[me(takers)], Thread.RUNNING
    put_item = Row("put", stay, stay, mine < items, [fifo.send(me(makers)), mine.add(1)], "producer")
    get_item = Row("get", stay, stay, True, [fifo.receive(), yours.add(1)], "consumer")
    producer = Machine("producer", Thread, [put_item], copies=makers, final=stay)
    consumer = Machine("consumer", Thread, [get_item], copies=takers, final=stay)
    conserved = sum_of(makers, lambda i: put[i]) == sum_of(takers, lambda i: got[i]) + fifo.length
    return System("producer_consumer", [producer, consumer], [always("conserved", conserved), deadlock()])
