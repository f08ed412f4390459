"""Passengers: the same people every time, addresses that reach nobody, and every kind of wish."""

import re
from collections import Counter
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec
import phonenumbers
import pytest
from babel import Locale
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.devkit.draws import Draws
from tocsin.devkit.passengers import TENANT, Passenger, Passengers, user_id
from tocsin.errors import SettingsError
from tocsin.formats.codec import decode_profile, encode, profile_key
from tocsin.model.ids import digest
from tocsin.model.raw import RawRecord

CROWD = 5_000


@lru_cache(1)
def crowd() -> list[Passenger]:
    return list(Passengers(CROWD, seed=7))


def share(count: int) -> float:
    return count / CROWD * 100


def test_the_same_seed_gives_the_same_people() -> None:
    assert written(7) == written(7)
    assert written(7) != written(8)
    assert written(7) == "4be74c18be231a22b87fab7662d85e8e"


def written(seed: int) -> str:
    """Hash what is written of 200 passengers: a field that profiles may have one day changes nobody."""
    return digest(*[msgspec.json.encode(passenger).decode() for passenger in Passengers(200, seed)])


def test_a_larger_crowd_begins_with_the_same_people() -> None:
    assert list(Passengers(50, seed=3)) == list(Passengers(500, seed=3))[:50]


@settings(deadline=None)
@given(st.integers(0, 999_999), st.integers(0, 2**63))
def test_a_passenger_is_the_same_asked_for_alone(number: int, seed: int) -> None:
    passengers = Passengers(1_000_000, seed)
    assert passengers[number] == passengers[number]
    assert passengers[number].first_name == passengers.first_name(number)
    assert passengers[number].user == user_id(number)


def test_a_crowd_ends_where_it_should() -> None:
    passengers = Passengers(10, seed=1)
    assert len(passengers) == len(list(passengers)) == 10
    with pytest.raises(IndexError):
        passengers[10]
    with pytest.raises(IndexError):
        passengers.first_name(10)


@pytest.mark.parametrize("count", [0, -5, 10_000_001])
def test_a_wrong_number_of_passengers_is_refused(count: int) -> None:
    with pytest.raises(SettingsError, match="passengers must be 1 to 10000000"):
        Passengers(count, seed=1)


def test_users_and_addresses_are_nobody_elses() -> None:
    mails = [passenger.profile.email for passenger in crowd() if passenger.profile.email]
    tokens = [device.token for passenger in crowd() for device in passenger.profile.devices]
    phones = [passenger.profile.phone for passenger in crowd() if passenger.profile.phone]
    assert len({passenger.user for passenger in crowd()}) == CROWD
    assert len(set(mails)) == len(mails)
    assert len(set(tokens)) == len(tokens)
    assert len(set(phones)) == len(phones)


def test_mail_reaches_nobody() -> None:
    for passenger in crowd():
        if passenger.profile.email:
            assert re.fullmatch(r"[a-z.-]+\.\d+@example\.(com|net|org)", passenger.profile.email)


def test_phone_numbers_are_of_fiction_and_valid() -> None:
    for passenger in crowd():
        if passenger.profile.phone:
            assert re.fullmatch(r"\+1[2-9]\d\d55501\d\d", passenger.profile.phone)
            assert phonenumbers.is_valid_number(phonenumbers.parse(passenger.profile.phone))


def test_tokens_look_like_those_of_fcm() -> None:
    for passenger in crowd():
        for device in passenger.profile.devices:
            assert re.fullmatch(r"[\w-]{22}:APA91b[\w-]{134}", device.token)
            assert device.platform in ("ios", "android")
            assert device.registered_at is not None
            assert device.registered_at.year == 2012


def test_profiles_are_what_the_topic_takes() -> None:
    for passenger in crowd()[:1_000]:
        key = profile_key(TENANT, passenger.user)
        record = RawRecord("profiles", 0, 0, 0, key, encode(passenger.profile), ())
        change = decode_profile(record)
        assert (change.tenant, change.user, change.profile) == (TENANT, passenger.user, passenger.profile)


def test_locales_and_zones_exist_and_are_mixed() -> None:
    languages = Counter(passenger.profile.locale[:2] for passenger in crowd())
    assert 45 < share(languages["en"]) < 55
    assert 20 < share(languages["de"]) < 28
    assert 22 < share(languages["es"]) < 30
    for locale in {passenger.profile.locale for passenger in crowd()}:
        assert Locale.parse(locale, sep="-")
    zones = {passenger.profile.timezone for passenger in crowd()}
    assert all(ZoneInfo(zone) for zone in zones)
    assert len(zones) > 8


def test_names_fit_the_language() -> None:
    names = {passenger.first_name for passenger in crowd() if passenger.profile.locale.startswith("de")}
    assert {"Jürgen", "Greta"} <= names
    assert "Javier" not in names


def test_channels_people_have() -> None:
    profiles = [passenger.profile for passenger in crowd()]
    assert 90 < share(sum(bool(profile.email) for profile in profiles)) < 96
    assert 74 < share(sum(bool(profile.phone) for profile in profiles)) < 82
    devices = Counter(len(profile.devices) for profile in profiles)
    assert 76 < share(devices[1] + devices[2]) < 84
    assert devices[2] > 0


def test_what_people_turned_off() -> None:
    wishes = [passenger.profile.preferences for passenger in crowd()]
    offers = [wish.categories.get("offers") for wish in wishes]
    assert 1 < share(sum(not wish.enabled for wish in wishes)) < 3
    assert 5 < share(sum(wish.channels.get("sms") is False for wish in wishes)) < 9
    assert 18 < share(sum(offer is False for offer in offers)) < 24
    assert 6 < share(sum(offer == {"email": False} for offer in offers)) < 12
    assert 9 < share(sum(wish.notifications.get("flight_departed") is False for wish in wishes)) < 15
    assert {name for wish in wishes for name in wish.categories} == {"offers", "flight_updates"}


def test_quiet_hours_of_some() -> None:
    quiet = [passenger.profile.quiet_hours for passenger in crowd()]
    assert 21 < share(sum(hours is not None for hours in quiet)) < 29
    assert {hours.start for hours in quiet if hours} == {"21:30", "22:00", "23:00"}


@settings(deadline=None)
@given(st.lists(st.integers() | st.text(max_size=5), max_size=4), st.integers(1, 10**6))
def test_draws_are_fixed_by_their_name(fields: list[int | str], bound: int) -> None:
    first, second = Draws(*fields), Draws(*fields)
    drawn = [first.below(bound) for _ in range(5)]
    assert drawn == [second.below(bound) for _ in range(5)]
    assert all(0 <= value < bound for value in drawn)


@settings(deadline=None)
@given(st.integers(-100, 100), st.integers(0, 100), st.integers())
def test_draws_between_bounds(low: int, more: int, seed: int) -> None:
    assert low <= Draws(seed).between(low, low + more) <= low + more


def test_draws_are_even() -> None:
    counts = Counter(Draws("even", number).below(10) for number in range(10_000))
    assert min(counts.values()) > 880
    assert max(counts.values()) < 1_120
    assert not any(Draws(number).chance(0) for number in range(100))
    assert all(Draws(number).chance(100) for number in range(100))
