"""Times keep their instant and stay aware, whoever made their time zone: dateutil, pytz, the system, a class of one's own."""

import datetime as dt
import os

import pandas as pd
import pytest
import pytz
from dateutil import parser, tz
from scripts import by_question

from rlm_jupyter import RLM
from rlm_jupyter.values.codec import api as codec

NOON = dt.datetime.fromisoformat("2021-10-07T12:00:00")
TWICE = dt.datetime.fromisoformat("2020-10-25T02:30:00")  # an hour that came twice in Berlin
BERLIN = pytz.timezone("Europe/Berlin")


class Odd(dt.tzinfo):
    """A zone that no library knows."""

    def utcoffset(self, _):
        return dt.timedelta(hours=3, minutes=20)

    def dst(self, _):
        return dt.timedelta(0)

    def tzname(self, _):
        return "ODD"


MOMENTS = {
    "parsed": parser.parse("2021-10-07T07:24:06+02:00"),
    "parsed utc": parser.parse("2021-10-07T07:24:06Z"),
    "tzutc": NOON.replace(tzinfo=tz.tzutc()),
    "tzoffset": NOON.replace(tzinfo=tz.tzoffset("BRST", -10800)),
    "tzlocal": NOON.replace(tzinfo=tz.tzlocal()),
    "tzfile": NOON.replace(tzinfo=tz.gettz("America/New_York")),
    "tzfile first": TWICE.replace(tzinfo=tz.gettz("Europe/Berlin")),
    "tzfile second": TWICE.replace(tzinfo=tz.gettz("Europe/Berlin"), fold=1),
    "tzstr": NOON.replace(tzinfo=tz.tzstr("EST5EDT")),
    "pytz": BERLIN.localize(NOON),
    "pytz first": BERLIN.localize(TWICE, is_dst=True),
    "pytz second": BERLIN.localize(TWICE, is_dst=False),
    "pytz utc": NOON.replace(tzinfo=pytz.UTC),
    "pytz fixed": NOON.replace(tzinfo=pytz.FixedOffset(330)),
    "pytz put in place": NOON.replace(tzinfo=BERLIN),  # which is local mean time, 53 minutes
    "own": NOON.replace(tzinfo=Odd()),
    "fixed": NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=-3, minutes=-30))),
}
COLUMN_ZONES = {
    "tzutc": tz.tzutc(),
    "tzoffset": tz.tzoffset(None, 7200),
    "tzlocal": tz.tzlocal(),
    "tzfile": tz.gettz("Europe/Berlin"),
    "pytz": BERLIN,
    "pytz fixed": pytz.FixedOffset(60),
}


def through(value, **options):
    fd, _ = codec.dump(value, **{"allow_pickle": False, **options})
    try:
        return codec.load(fd, allow_pickle=False)
    finally:
        os.close(fd)


def instant(moment):
    return moment.astimezone(dt.UTC), moment.utcoffset()


@pytest.mark.parametrize("name", MOMENTS)
@pytest.mark.parametrize("faithful", [False, True])
def test_a_moment_keeps_its_instant_and_its_offset(name, faithful):
    moment = MOMENTS[name]
    back, (inner,), keyed = through(
        [moment, (moment,), {"t": moment}], allow_pickle=faithful, faithful=faithful
    )
    for each in (back, inner, keyed["t"]):
        assert instant(each) == instant(moment)


@pytest.mark.parametrize("name", MOMENTS)
def test_a_timestamp_and_a_column_of_objects_keep_it_too(name):
    moment = MOMENTS[name]
    stamp = pd.Timestamp(moment)
    assert through(stamp).tzinfo is not None
    assert through(stamp).asm8 == stamp.asm8  # pandas cannot even compute with some of these zones
    column = pd.Series([moment, None], dtype=object)
    assert instant(through(column).iloc[0]) == instant(moment)


@pytest.mark.parametrize("name", COLUMN_ZONES)
def test_columns_and_indexes_keep_their_instants_and_stay_aware(name):
    months = pd.date_range("2020-01-01", periods=12, freq="MS", tz="UTC").tz_convert(COLUMN_ZONES[name])
    frame = pd.DataFrame({"t": months, "n": range(12)}, index=months)
    back = through({"all": [frame]})["all"][0]
    for was, now in ((frame["t"], back["t"]), (frame.index.to_series(), back.index.to_series())):
        assert now.dt.tz is not None
        assert (was.dt.tz_convert("UTC").array == now.dt.tz_convert("UTC").array).all()
        assert was.dt.hour.tolist() == now.dt.hour.tolist()
    interval = pd.interval_range(months[0], periods=2)
    assert through(interval)[0].left == interval[0].left


def test_a_zone_that_has_no_name_and_changes_its_offset_becomes_utc():
    class Twice(Odd):
        def utcoffset(self, moment):
            return dt.timedelta(hours=1 + (moment is not None and moment.month > 6))

    column = pd.Series(
        pd.DatetimeIndex([pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2020-08-01", tz="UTC")])
    )
    aware = column.dt.tz_convert(Twice())
    assert (through(aware).dt.tz_convert("UTC").array == column.array).all()


def test_times_of_day_and_zones_themselves_come_back():
    assert through(dt.time(3, 4, tzinfo=tz.tzoffset(None, 3600))).utcoffset() == dt.timedelta(hours=1)
    assert through(dt.time(3, 4, tzinfo=tz.gettz("Europe/Berlin"))).tzinfo.key == "Europe/Berlin"
    assert through(tz.gettz("Europe/Berlin")).key == "Europe/Berlin"
    assert through(tz.tzoffset("X", 60)).utcoffset(None) == dt.timedelta(minutes=1)


def test_a_table_made_with_dateutil_is_an_answer(tmp_path):
    make = (
        "import pandas as pd\nfrom dateutil import parser\n"
        "FINAL(pd.DataFrame({'t': [parser.parse(text) for text in context]}))"
    )
    rlm = RLM(model=by_question({"When?": [make]}), log_dir=tmp_path, cache=False)
    with rlm.run("When?", ["2021-10-07T07:24:06+02:00", "2021-10-08T07:24:06+02:00"]) as run:
        assert run.value["t"].iloc[0].isoformat() == "2021-10-07T07:24:06+02:00"
