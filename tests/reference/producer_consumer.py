"""The bounded buffer: P producers put M items each into a FIFO of K places, C consumers take them and count."""

from enum import IntEnum

from protocol import Index, Machine, Range, Row, System, always, channel, deadlock, me, private, sum_of


class Producer(IntEnum):
    PRODUCING = 0


class Consumer(IntEnum):
    CONSUMING = 0


def build(producers: int = 2, consumers: int = 2, items: int = 3, places: int = 2) -> System:
    """250; 1,738; 60,389; 1,337,264 states for (P, C, M, K) = (2,2,3,2); (2,2,5,3); (3,3,4,3); (4,4,3,4)."""
    makers, takers = Index("producer", producers), Index("consumer", consumers)
    buffer = channel("buffer", makers, places)
    put = private("put", Range(0, items), over=makers)
    got = private("got", Range(0, producers * items), over=takers)
    maker, taker = me(makers), me(takers)
    # fmt: off
    producer = Machine("producing", Producer, [
        Row("put", Producer.PRODUCING, None, put[maker] < items, [put[maker].add(1), buffer.send(maker)], "producer"),
    ], copies=makers, final=Producer.PRODUCING)
    consumer = Machine("consuming", Consumer, [
        Row("take", Consumer.CONSUMING, None, True,              [got[taker].add(1), buffer.receive()],   "consumer"),
    ], copies=takers, final=Consumer.CONSUMING)
    # fmt: on
    conserved = sum_of(makers, lambda i: put[i]) == sum_of(takers, lambda i: got[i]) + buffer.length
    return System("producer_consumer", [producer, consumer], [always("items_conserved", conserved), deadlock()])
