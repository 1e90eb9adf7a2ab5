"""Who gives way when a listener is full: never who has sent a whole request, first who has waited longest."""

from dataclasses import dataclass, field

from bridge.web.server.crowd import Crowd


@dataclass(eq=False)
class Connection:
    """One connection, as far as the crowd knows it."""

    address: str = "192.0.2.1"
    said: list[str] = field(default_factory=list)

    def give_way(self, reason: str) -> None:
        """Remember why."""
        self.said.append(reason)


def full(*guests: Connection) -> Crowd:
    """Return a crowd that these fill."""
    crowd = Crowd(limit=len(guests), most_bytes=100)
    for guest in guests:
        assert crowd.enter(guest)
    return crowd


def test_the_one_that_waited_longest_gives_way() -> None:
    """A newcomer always gets in while anybody keeps a place and sends nothing."""
    first, second, third = Connection(), Connection(), Connection()
    crowd = full(first, second)
    assert crowd.enter(third)
    assert (first.said, second.said, third.said) == (["crowded"], [], [])


def test_the_address_with_most_of_them_gives_way() -> None:
    """One address that opens many takes its places from itself."""
    honest, *many = Connection("192.0.2.7"), *(Connection("192.0.2.66") for _ in range(3))
    crowd = full(honest, *many)
    for _ in range(3):
        assert crowd.enter(Connection("192.0.2.66"))
    assert honest.said == []
    assert [item.said for item in many] == [["crowded"]] * 3


def test_among_addresses_that_have_equally_many_the_longest_wait_counts() -> None:
    """Whoever comes from a thousand addresses pushes out themselves, however the addresses are spelled."""
    many = [Connection(f"192.0.2.{number}") for number in (5, 3, 9, 1)]
    crowd = full(*many)
    crowd.work(many[0])
    crowd.wait(many[0])
    for item in (*many[1:], many[0]):
        assert item.said == []
        assert crowd.enter(Connection(f"198.51.100.{id(item)}"))
        assert item.said == ["crowded"]


def test_a_whole_request_never_gives_way() -> None:
    """Its commit may be under way; the newcomer is turned away instead."""
    busy = Connection()
    crowd = full(busy)
    crowd.work(busy)
    assert not crowd.enter(Connection())
    assert (busy.said, crowd.count) == ([], 1)


def test_who_was_answered_waits_again_as_the_newest() -> None:
    """The time of waiting counts from the last answer."""
    first, second = Connection(), Connection()
    crowd = full(first, second)
    crowd.work(first)
    crowd.wait(first)
    crowd.enter(Connection())
    assert (first.said, second.said) == ([], ["crowded"])


def test_the_count_is_right_when_all_have_left() -> None:
    """Also of those that gave way, and of those that leave in the middle of a request."""
    guests = [Connection(f"192.0.2.{number}") for number in range(5)]
    crowd = full(*guests)
    newcomer = Connection()
    crowd.enter(newcomer)
    crowd.hold(guests[3], 50)
    crowd.work(guests[4])
    for guest in (*guests, newcomer):
        crowd.leave(guest)
    assert crowd.count == 0
    assert crowd.enter(Connection())


def test_unfinished_requests_are_bounded_together() -> None:
    """Who has been silent the longest gives way, not who is sending; a complete one holds nothing any more."""
    first, second, third = Connection(), Connection(), Connection()
    crowd = full(first, second, third)
    assert crowd.hold(first, 20) == 20
    assert crowd.hold(second, 40) == 40
    assert crowd.hold(first, 20) == 40
    crowd.hold(third, 40)
    assert (first.said, second.said, third.said) == ([], ["memory"], [])
    crowd.work(first)
    crowd.hold(third, 60)
    assert third.said == []


def test_one_that_holds_too_much_alone_gives_way() -> None:
    """The bound holds for one as for many."""
    only = Connection()
    full(only).hold(only, 101)
    assert only.said == ["memory"]
