"""Packets on a channel that loses, repeats and delays messages, and packets that are forged."""

import os
import random

import pytest

from rlm_jupyter.guest.bridge import frames, packets
from rlm_jupyter.guest.bridge.packets import CHUNK, WINDOW, Packets
from rlm_jupyter.values.codec import container


def value(data):
    fd = container.memory_file()
    container.write_all(fd, data)
    container.seal(fd)
    return fd


def read(fd):
    with os.fdopen(fd, "rb") as file:
        return os.pread(file.fileno(), 1 << 30, 0)


def open_fds():
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


class Channel:
    """Two ends, and what is between them: messages may be lost, come twice, or late."""

    def __init__(self, seed=0, loss=0.0, twice=0.0, late=0.0):
        self.random = random.Random(seed)
        self.loss, self.twice, self.late = loss, twice, late
        self.now = 0.0
        self.ends = (Packets(), Packets())
        self.got = ([], [])
        self.sent = 0
        self.delayed = []

    def step(self):
        ready, self.delayed = self.delayed, []
        for index, end in enumerate(self.ends):
            for packet in end.outgoing(self.now):
                self.sent += 1
                for _ in range(1 + (self.random.random() < self.twice)):
                    if self.random.random() >= self.loss:
                        late = self.random.random() < self.late
                        (self.delayed if late else ready).append((1 - index, packet))
        if self.late:
            self.random.shuffle(ready)
        for index, (content, chunk) in ready:
            end = self.ends[index]
            end.receive(content, chunk, self.now)
            while (message := end.take(self.now)) is not None:
                self.got[index].append((message[0], [read(fd) for fd in message[1]]))
        self.now += 0.02

    def run(self, done, steps=20_000):
        for _ in range(steps):
            if done():
                return
            self.step()
        raise AssertionError(f"not done after {self.now:.0f} s: {self.got}")

    def close(self):
        for end in self.ends:
            end.close()


@pytest.fixture
def no_leak():
    before = open_fds()
    yield
    assert open_fds() <= before  # what an earlier test left to the collector goes at any time


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "bad", [{}, {"loss": 0.3}, {"twice": 0.5}, {"late": 0.4}, {"loss": 0.2, "twice": 0.2, "late": 0.2}]
)
def test_every_frame_and_value_arrives_once_and_in_order(no_leak, seed, bad):
    channel = Channel(seed, **bad)
    dice = random.Random(seed)
    expected = ([], [])
    for number in range(60):
        index = dice.randrange(2)
        values = [
            dice.randbytes(dice.choice([0, 1, 1000, CHUNK, CHUNK + 1, 600_000]))
            for _ in range(dice.choice([0, 0, 1, 3]))
        ]
        message = {"id": number, "text": "é" * dice.randrange(2000)}
        channel.ends[index].put(frames.pack(message, len(values)), [value(data) for data in values])
        expected[1 - index].append((message, values))
        channel.step()
    channel.run(lambda: [len(got) for got in channel.got] == [len(want) for want in expected])
    assert channel.got == expected
    assert [end.queued for end in channel.ends] == [0, 0]
    channel.close()


def test_what_waits_goes_together_and_is_acknowledged_without_a_packet_for_each():
    channel = Channel()
    for number in range(10_000):
        channel.ends[0].put(frames.pack({"id": number}), [])
    channel.run(lambda: len(channel.got[1]) == 10_000)
    channel.run(lambda: channel.ends[0].due(channel.now) is None)
    assert channel.sent <= 4


def test_no_more_than_the_window_is_under_way_and_a_value_is_not_read_before(no_leak):
    end = Packets()
    end.put(frames.pack({"id": 1}, 1), [value(bytes(100 * CHUNK))])
    assert len(end.outgoing(0.0)) == WINDOW
    assert end.outgoing(0.5) == []
    assert end.due(0.5) == 0.5
    assert [content["seq"] for content, _ in end.outgoing(1.0)] == [1]  # the oldest alone is sent again
    assert end.due(1.0) == 2.0
    end.close()


def test_arrived_values_are_sealed_and_half_arrived_ones_are_closed(no_leak):
    channel = Channel()
    channel.ends[0].put(frames.pack({"id": 1}, 2), [value(b"one"), value(bytes(2 * CHUNK))])
    first, *_ = channel.ends[0].outgoing(0.0)
    channel.ends[1].receive(*first, 0.0)
    assert channel.ends[1].take(0.0) is None
    channel.close()
    channel = Channel()
    channel.ends[0].put(frames.pack({"id": 1}, 1), [value(b"one")])
    channel.ends[1].receive(*channel.ends[0].outgoing(0.0)[0], 0.0)
    _, fds = channel.ends[1].take(0.0)
    assert container.is_sealed(fds[0])
    assert not os.get_inheritable(fds[0])
    frames.close_all(fds)
    channel.close()


def test_a_file_that_is_cut_and_what_is_no_file_leave_the_stream_whole(no_leak, tmp_path):
    channel = Channel()
    cut = os.open(tmp_path / "cut", os.O_RDWR | os.O_CREAT)
    os.write(cut, b"x" * 1000)
    pipe, other = os.pipe()
    channel.ends[0].put(frames.pack({"id": 1}, 2), [cut, pipe])
    os.truncate(tmp_path / "cut", 10)
    channel.ends[0].put(frames.pack({"id": 2}), [])
    channel.run(lambda: len(channel.got[1]) == 2)
    assert channel.got[1] == [({"id": 1}, [b"x" * 10 + bytes(990), b""]), ({"id": 2}, [])]
    os.close(other)
    channel.close()


def test_values_that_are_too_large_are_refused_before_anything_is_sent(no_leak, monkeypatch):
    monkeypatch.setattr(packets, "MAX_VALUE_BYTES", 1000)
    end = Packets()
    with pytest.raises(frames.FrameTooLarge, match="1,001 bytes"):
        end.put(frames.pack({"id": 1}, 2), [value(bytes(1000)), value(b"1")])
    assert end.outgoing(0.0) == []


def frame(size, count, rest=b""):
    return frames.HEADER.pack(size, count) + rest


FORGED = {
    "no numbers": ({}, b"x"),
    "a number that is none": ({"seq": True, "ack": 0}, b"x"),
    "a negative number": ({"seq": -1, "ack": 0}, b"x"),
    "a number far ahead": ({"seq": 1 + WINDOW, "ack": 0}, b"x"),
    "an acknowledgement of what was not sent": ({"seq": 0, "ack": 1}, b""),
    "a negative acknowledgement": ({"seq": 0, "ack": -1}, b""),
    "nothing in it": ({"seq": 1, "ack": 0}, b""),
    "too much in it": ({"seq": 1, "ack": 0}, bytes(CHUNK + 1)),
    "a frame out of bounds": ({"seq": 1, "ack": 0}, frame(frames.MAX_BYTES + 1, 0)),
    "too many values": ({"seq": 1, "ack": 0}, frame(2, frames.MAX_FDS + 1)),
    "a value out of bounds": ({"seq": 1, "ack": 0}, frame(2, 1, b"{}" + b"\xff" * 8)),
    "values out of bounds together": ({"seq": 1, "ack": 0}, frame(2, 2, b"{}" + (1).to_bytes(8, "little") + b"x" + (packets.MAX_VALUE_BYTES).to_bytes(8, "little"))),
    "no JSON": ({"seq": 1, "ack": 0}, frame(4, 0, b"nope")),
    "no object": ({"seq": 1, "ack": 0}, frame(2, 0, b"[]")),
    "nested too deep": ({"seq": 1, "ack": 0}, frame(200_000, 0, b"[" * 200_000)),
}  # fmt: skip


@pytest.mark.parametrize("packet", FORGED.values(), ids=FORGED)
def test_a_forged_packet_is_malformed_and_leaves_nothing_open(no_leak, packet):
    end = Packets()
    with pytest.raises(frames.MalformedFrame):  # noqa: PT012 - a number is found in the first, a frame in the second
        end.receive(*packet, 0.0)
        end.take(0.0)
    end.close()


def test_a_stream_of_random_packets_never_breaks_the_reader_otherwise(no_leak):
    dice = random.Random(5)
    refused = 0
    for _ in range(2000):
        end = Packets()
        try:
            for _ in range(5):
                data = dice.choice(
                    [
                        dice.randbytes(dice.randrange(60)),
                        frame(dice.randrange(9), dice.randrange(3), dice.randbytes(30)),
                    ]
                )
                end.receive({"seq": dice.randrange(-1, 40), "ack": dice.randrange(-1, 2)}, data, 0.0)
                while (message := end.take(0.0)) is not None:
                    frames.close_all(message[1])
        except frames.MalformedFrame:
            refused += 1
        end.close()
    assert refused > 1000  # anything else that is raised fails the test, and `no_leak` counts descriptors
