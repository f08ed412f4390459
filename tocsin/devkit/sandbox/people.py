"""Finds the user of an address among the people that the sandbox was told about."""

from collections.abc import Iterable

import msgspec


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A user with every address and device token that leads to them."""

    user: str
    name: str = ""
    addresses: tuple[str, ...] = ()


class People:
    """Directory from address to user."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}
        self._people: dict[str, Person] = {}

    def add(self, people: Iterable[Person]) -> int:
        """Take people in; the newest word about a user or an address holds."""
        before = len(self._people)
        for person in people:
            self._people[person.user] = person
            self._owner.update(dict.fromkeys(person.addresses, person.user))
        return len(self._people) - before

    def clear(self) -> None:
        """Forget everybody."""
        self._owner.clear()
        self._people.clear()

    def user_of(self, recipient: str, said: str) -> str:
        """Name the user of a call: as the call says, as the directory says, else the recipient itself."""
        return said or self._owner.get(recipient, recipient)

    def name_of(self, user: str) -> str:
        """Give a user's name, empty if unknown."""
        person = self._people.get(user)
        return person.name if person else ""

    def addresses_of(self, user: str) -> tuple[str, ...]:
        """Give a user's addresses."""
        person = self._people.get(user)
        return person.addresses if person else ()
