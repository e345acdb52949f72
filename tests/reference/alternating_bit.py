"""The alternating-bit protocol over channels that lose: every item arrives, if the channel is fair enough.

Losing is an environment row; sending again is a row of the sender. Under weak fairness alone the channel may lose every
copy, so an item need not arrive; with strong fairness for receiving it must, because a copy is there again and again.
"""

from enum import IntEnum

from protocol import Index, Machine, Range, Record, Row, System, channel, leads_to, private, register


class Sender(IntEnum):
    SENDING, WAITING = range(2)


class Receiver(IntEnum):
    LISTENING, ANSWERING = range(2)


class Weather(IntEnum):
    BAD = 0


def build(receive_fair: str = "strong", items: int = 2) -> System:
    """Whether an item that is sent is received: yes under strong fairness of receiving, no under weak."""
    bits = Range(0, 1)
    packet = Record("Packet", bit=bits, item=Index("item", items))
    there, back = channel("there", packet, 1, on_full="drop"), channel("back", bits, 1, on_full="drop")
    bit, item = private("send_bit", bits), private("send_item", Index("item", items))
    expected = private("receive_bit", bits)
    delivered = register("delivered", Index("item", items))
    s, r = Sender, Receiver
    # fmt: off
    fair, mine, new = receive_fair, back.head == bit, there.head.bit == expected
    why = "delivering is not what is studied here"
    deliver = [there.receive(), expected.set(1 - expected), delivered.set(there.head.item)]
    sender = Machine("sender", s, [
        Row("send",          s.SENDING, s.WAITING, True,  [there.send(packet(bit=bit, item=item))], "sender"),
        Row("send_again",    s.WAITING, s.SENDING, True,  [], "sender", decided="timer"),
        Row("accept_answer", s.WAITING, s.SENDING, mine,  [back.receive(), bit.set(1 - bit), item.set(items - 1 - item)], "sender", fair=fair),
        Row("ignore_answer", s.WAITING, s.SENDING, ~mine, [back.receive()], "sender", fair=fair),
    ])
    receiver = Machine("receiver", r, [
        Row("receive_new", r.LISTENING, r.ANSWERING, new,  deliver,                    "receiver", fair=fair, assume_atomic=why),
        Row("receive_old", r.LISTENING, r.ANSWERING, ~new, [there.receive()],          "receiver", fair=fair),
        Row("answer",      r.ANSWERING, r.LISTENING, True, [back.send(1 - expected)],  "receiver"),
    ])
    weather = Machine("weather", Weather, [
        Row("lose_packet", Weather.BAD, None, True, [there.receive()], "environment", decided="observed"),
        Row("lose_answer", Weather.BAD, None, True, [back.receive()],  "environment", decided="observed"),
    ], environment=True)
    # fmt: on
    arrives = leads_to("item_arrives", (item == 1) & (delivered == 0), delivered == 1)
    return System("alternating_bit", [sender, receiver, weather], [arrives])
