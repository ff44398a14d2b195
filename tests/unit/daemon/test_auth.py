"""Roles, tokens and certificates: who is let in, and that refusals tell nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dejalog.daemon.auth import (
    TOKEN_CHARS_MAX,
    Credentials,
    Entry,
    Identity,
    Role,
    bearer_token,
    certificate_names,
    check_role,
    identify,
    needed_role,
    new_token,
    token_hash,
)
from dejalog.daemon.limits import NO_LIMITS, Limits
from dejalog.daemon.rpc_errors import ServiceError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
TOKEN = new_token()
PANEL = Identity("panel", frozenset({Role.READ}), {Role.READ: Limits(hits_max=5)})
MES = Identity("mes", frozenset({Role.WRITE}), {})
KNOWN = Credentials(
    (Entry(bytes.fromhex(token_hash(TOKEN)), PANEL, NOW + timedelta(days=1)),),
    (Entry(b"mes.plant", MES, None),),
)


def refusal(*metadata: tuple[str, str | bytes], names: tuple[bytes, ...] = ()) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        identify(KNOWN, metadata, names, NOW)
    return caught.value


def test_a_token_is_its_owners_until_the_moment_it_expires():
    metadata = [("authorization", f"Bearer {TOKEN}")]
    assert identify(KNOWN, metadata, (), NOW) is PANEL
    with pytest.raises(ServiceError):
        identify(KNOWN, metadata, (), NOW + timedelta(days=1))


def test_the_schemes_case_does_not_matter_and_the_tokens_does():
    for scheme in ("bearer", "BEARER", "Bearer"):
        assert identify(KNOWN, [("authorization", f"{scheme} {TOKEN}")], (), NOW) is PANEL
    refusal(("authorization", f"Bearer {TOKEN.swapcase()}"))


def test_every_refusal_reads_the_same():
    refusals = [
        refusal(),
        refusal(("authorization", TOKEN)),
        refusal(("authorization", f"Bearer {new_token()}")),
        refusal(("authorization", b"Bearer x")),
        refusal(("authorization", f"Bearer {TOKEN}"), ("authorization", f"Bearer {TOKEN}")),
        refusal(("authorization", "Bearer " + "x" * (TOKEN_CHARS_MAX + 1))),
        refusal(names=(b"other.plant",)),
        refusal(("authorization", "Basic x"), names=(b"mes.plant",)),
    ]
    assert {(error.code, error.reason, str(error)) for error in refusals} == {
        (grpc.StatusCode.UNAUTHENTICATED, "BAD_CREDENTIALS", str(refusals[0]))
    }


@given(st.text(max_size=40) | st.binary(max_size=40))
def test_no_other_header_is_taken_for_a_token_of_ours(value: str | bytes):
    token = bearer_token(value)
    assert token is None or not any(each.isspace() for each in token)
    assert token is None or KNOWN.of_token(token, NOW) is None


def test_a_certificates_alternative_names_count_before_its_common_name():
    both = {"x509_common_name": [b"mes.plant"], "x509_subject_alternative_name": [b"a", b"b"]}
    assert certificate_names(both) == [b"a", b"b"]
    assert certificate_names({"x509_common_name": [b"mes.plant"]}) == [b"mes.plant"]
    assert certificate_names({}) == []
    assert identify(KNOWN, (), [b"a", b"mes.plant"], NOW) is MES


def test_admin_includes_the_others_and_they_do_not_include_it():
    admin = Identity("root", frozenset({Role.ADMIN}), {})
    for role in Role:
        check_role(admin, role)
    check_role(PANEL, Role.READ)
    for role in (Role.WRITE, Role.ADMIN):
        with pytest.raises(ServiceError, match=f"panel has the role read; this call needs {role}"):
            check_role(PANEL, role)


def test_a_method_nobody_has_thought_of_needs_admin():
    assert needed_role("/dejalog.v1.SearchService/Search") is Role.READ
    assert needed_role("/dejalog.v1.SearchService/DropEverything") is Role.ADMIN


def test_limits_are_those_of_the_role():
    assert PANEL.limits_of(Role.READ).hits_max == 5
    assert PANEL.limits_of(Role.WRITE) == NO_LIMITS


def test_tokens_are_long_and_never_the_same():
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(each.startswith("dj_") and len(each) == 46 for each in tokens)
