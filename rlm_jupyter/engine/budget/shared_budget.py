"""A budget that many runs, notebooks and users share: a file that says what may be spent, and one that says what was.

The rule is the ledger's: the worst case of a request is reserved before it is sent. Here it is added to the sums in a
file, under a lock of the operating system (`flock`), and corrected when it is known what the request has cost. What a
killed process had reserved stays spent, because it may have been billed. So no number of processes passes the limit.

It is an agreement, not a fence: whoever may write the file of the sums may change them.
"""

from __future__ import annotations

import json
import os
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlm_jupyter.engine.budget.amounts import Account, affordable, cost_units, dollars, units
from rlm_jupyter.engine.budget.limit_errors import budget_reached
from rlm_jupyter.errors import ConfigError, LimitReachedError

_LIMITS = ("cost", "tokens", "calls")
_SCOPES = ("total", "user", "notebook")
_MOST_STATE = 16_000_000
_OLD_DAYS = 8
"""Days whose sums are kept."""


@dataclass(frozen=True)
class Rule:
    """One limit of a budget.

    Attributes:
        scope: `total`, `user` or `notebook`.
        daily: whether it is for each day (of this machine's clock) anew.
        name: `cost` (USD), `tokens` or `calls`.
        most: the limit; money in units of 1e-18 USD.
    """

    scope: str
    daily: bool
    name: str
    most: int

    def key(self, who: Mapping[str, str], day: str) -> str:
        """Returns the name of the sums that it is about."""
        parts = [
            self.scope,
            *([who[self.scope]] if self.scope in who else []),
            *([day] if self.daily else []),
        ]
        return " ".join(parts)

    @property
    def words(self) -> str:
        """In words: ``cost of $2.00 per user and day``."""
        amount = f"${dollars(self.most):,.2f}" if self.name == "cost" else f"{self.most:,}"
        per = [*([self.scope] if self.scope != "total" else []), *(["day"] if self.daily else [])]
        return f"`{self.name}` of {amount}" + (f" per {' and '.join(per)}" if per else "")


class SharedBudget:
    """A budget in a file of TOML, and its sums in a file beside it.

    Args:
        path: of the TOML file: tables `total`, `user`, `notebook`, and `day` in each or alone, with `cost` (USD),
            `tokens` and `calls`.
        user, notebook: whose sums are added to; None: of this process.
        today: gives the day, as ISO.

    Raises:
        ConfigError: it cannot be read, says something else, or its sums cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        user: str | None = None,
        notebook: str | None = None,
        today: Callable[[], str] = lambda: time.strftime("%Y-%m-%d"),
    ) -> None:
        self.path = path.expanduser().resolve()
        self.rules = _read_rules(self.path)
        self._who = {"user": user or _user(), "notebook": notebook or _notebook()}
        self._today = today
        self._sums_path = self.path.with_name(f"{self.path.name}.spent")
        with self._sums():
            pass  # so that a directory that cannot be written is told before anything is started

    # ---- what the ledger asks

    def reserve(self, amount: Account) -> None:
        """Add the worst case of a request to the sums.

        Raises:
            LimitReachedError: a limit leaves no room for it; nothing is added.
        """
        try:
            with self._sums() as sums:
                self._reserve(sums, amount)
        except ConfigError as error:  # the file is gone or broken since the run began
            raise LimitReachedError(error.message, limit="budget") from None

    def _reserve(self, sums: dict[str, Any], amount: Account) -> None:
        day = self._today()
        for rule in self.rules:
            spent = _sum(sums, rule.key(self._who, day), rule.name)
            if spent + amount.amount(rule.name) > rule.most:
                raise budget_reached(str(self.path), rule.words, rule.name, spent, amount.amount(rule.name))
        self._add(sums, day, amount, 1)

    def correct(self, reserved: Account, spent: Account, day: str) -> None:
        """Put what a request has cost in the place of what was reserved for it.

        Args:
            reserved: that was added.
            spent: what it cost; an empty account for a request that was never sent.
            day: on which it was reserved.
        """
        with suppress(ConfigError), self._sums() as sums:  # if it is gone, what was reserved stays spent
            self._add(sums, day, reserved, -1)
            self._add(sums, day, spent, 1)

    def reply_room(self, prompt_tokens: int, price: Any, most: int) -> int:
        """Returns the tokens of a reply, up to `most`, for which there is room beside its prompt."""
        with suppress(ConfigError), self._sums() as sums:
            day = self._today()
            rooms = [most]
            for rule in self.rules:
                left = rule.most - _sum(sums, rule.key(self._who, day), rule.name)
                if rule.name == "tokens":
                    rooms.append(left - prompt_tokens)
                elif rule.name == "cost" and price is not None:
                    room = affordable(price, left - cost_units(price, prompt_tokens, 0))
                    rooms.append(most if room is None else room)
            return min(rooms)
        return 0

    @property
    def day(self) -> str:
        """Today, as the sums know it."""
        return self._today()

    @property
    def limits_money(self) -> bool:
        """Whether one of its limits is in money, so that prices must be known."""
        return any(rule.name == "cost" for rule in self.rules)

    def report(self) -> list[dict[str, Any]]:
        """Returns what was spent under each limit: `limit` (in words), `name`, `spent`, `most` (USD, tokens, calls)."""
        with self._sums() as sums:
            day = self._today()
            rows = []
            for rule in self.rules:
                spent: float = _sum(sums, rule.key(self._who, day), rule.name)
                most: float = rule.most
                if rule.name == "cost":
                    spent, most = dollars(int(spent)), dollars(rule.most)
                rows.append({"limit": rule.words, "name": rule.name, "spent": spent, "most": most})
            return rows

    # ---- the file of the sums

    def _add(self, sums: dict[str, Any], day: str, amount: Account, sign: int) -> None:
        for key in {rule.key(self._who, day) for rule in self.rules}:
            own = sums.setdefault(key, {})
            for name in _LIMITS:
                own[name] = int(own.get(name, 0)) + sign * amount.amount(name)

    @contextmanager
    def _sums(self) -> Iterator[dict[str, Any]]:
        """Hold the lock, give the sums, and write them if they were changed and no error came of it."""
        try:
            import fcntl
        except ImportError:
            raise ConfigError(
                "A shared budget needs a lock of files (`flock`), which this system has not."
            ) from None
        try:
            number = os.open(self._sums_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ConfigError(
                f"The sums of the budget `{self.path}` cannot be written to `{self._sums_path}` "
                f"({error.strerror}): put the budget into a directory that its users may write to."
            ) from None
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            text = os.pread(number, _MOST_STATE, 0)
            sums = _read_sums(text, self._sums_path)
            before = json.dumps(sums)
            yield sums
            if (after := json.dumps(_recent(sums, self._today()))) != before:
                # One write of the same length or longer: whoever is killed here leaves the old or the new sums.
                os.pwrite(number, after.encode().ljust(len(text)), 0)
        finally:
            os.close(number)


def _read_rules(path: Path) -> tuple[Rule, ...]:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"The budget `{path}` cannot be read ({error.strerror}): check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The budget `{path}` is no TOML: {error}.") from None
    rules: list[Rule] = []
    for scope, table in found.items():
        if scope == "day":
            rules += _rules_of(path, "total", table, daily=True)
        elif scope in _SCOPES:
            rules += _rules_of(path, scope, table, daily=False)
        else:
            raise ConfigError(
                f"The budget `{path}` has a table `{scope}`. It may have {_listed(*_SCOPES, 'day')}."
            )
    if not rules:
        raise ConfigError(
            f"The budget `{path}` has no limit: write, for example, `[day]` and below it `cost = 5.0`."
        )
    return tuple(rules)


def _rules_of(path: Path, scope: str, table: object, *, daily: bool) -> Iterator[Rule]:
    if not isinstance(table, dict):
        raise ConfigError(f"In the budget `{path}`, `{scope}` is not a table: write `[{scope}]`.")
    for name, most in table.items():
        if name == "day" and not daily:
            yield from _rules_of(path, scope, most, daily=True)
            continue
        if name not in _LIMITS:
            raise ConfigError(f"The budget `{path}` limits `{name}`. It may limit {_listed(*_LIMITS)}.")
        if isinstance(most, bool) or not isinstance(most, (int, float)) or not 0 <= most < 1e12:  # noqa: PLR2004 - USD
            raise ConfigError(f"In the budget `{path}`, `{name} = {most!r}` is not an amount.")
        yield Rule(scope, daily, name, units(most, down=True) if name == "cost" else int(most))


def _listed(*names: str) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _read_sums(text: bytes, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.strip() else {}
        if not isinstance(found, dict) or not all(_are_sums(one) for one in found.values()):
            raise ValueError
    except (ValueError, RecursionError):
        raise ConfigError(
            f"`{path}` does not hold the sums of a budget any more: restore it, or remove it to begin at nothing."
        ) from None
    return found


def _are_sums(one: object) -> bool:
    return isinstance(one, dict) and all(type(amount) is int for amount in one.values())


def _sum(sums: Mapping[str, Any], key: str, name: str) -> int:
    return int(sums.get(key, {}).get(name, 0))


def _recent(sums: dict[str, Any], today: str) -> dict[str, Any]:
    """Leave out the sums of days that are long over."""
    days = sorted({key.rpartition(" ")[2] for key in sums if _is_day(key.rpartition(" ")[2])} | {today})
    kept = set(days[-_OLD_DAYS:])
    return {
        key: own for key, own in sums.items() if not _is_day(last := key.rpartition(" ")[2]) or last in kept
    }


def _is_day(word: str) -> bool:
    return len(word) == len("2026-01-01") and word[4] == word[7] == "-" and word.replace("-", "").isdigit()


def _user() -> str:
    """Returns the user of JupyterHub, whose containers all have one login name; else the login name."""
    import getpass

    if named := os.environ.get("JUPYTERHUB_USER"):
        return named

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _notebook() -> str:
    """Returns the notebook of this kernel, as Jupyter's server and VS Code name it; else the working directory."""
    return os.environ.get("JPY_SESSION_NAME") or os.environ.get("VSCODE_IPYNB_FILE") or str(Path.cwd())
