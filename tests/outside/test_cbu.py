import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from activities.adapters.cbu import check_cbu

EXAMPLE = "2850590940090418135201"


def check_digit(digits: str, weights: str) -> str:
    """Written again from the rule, so that the tests do not repeat the code's own mistake."""
    total = 0
    for position in range(len(digits)):
        total += int(digits[position]) * int(weights[position])
    return str(-total % 10)


@st.composite
def cbus(draw: st.DrawFn) -> str:
    bank = draw(st.text("0123456789", min_size=7, max_size=7))
    account = draw(st.text("0123456789", min_size=13, max_size=13))
    bank += check_digit(bank, "7139713")
    return bank + account + check_digit(account, "3971397139713")


def is_cbu(text: str) -> bool:
    if len(text) != 22:
        return False
    bank, account = text[:8], text[8:]
    return bank[-1] == check_digit(bank[:-1], "7139713") and account[-1] == check_digit(
        account[:-1], "3971397139713"
    )


def test_the_documented_example_passes_as_it_came() -> None:
    assert check_cbu(EXAMPLE) == EXAMPLE


@given(cbus())
def test_every_number_with_right_check_digits_passes(cbu: str) -> None:
    assert check_cbu(cbu) == cbu


@given(cbus(), st.integers(0, 21), st.integers(1, 9))
def test_one_changed_digit_is_found_in_its_block(cbu: str, position: int, by: int) -> None:
    digit = str((int(cbu[position]) + by) % 10)
    block = "bank block" if position < 8 else "account block"
    with pytest.raises(ValueError, match=block):
        check_cbu(cbu[:position] + digit + cbu[position + 1 :])


@pytest.mark.parametrize(
    "text", ["", EXAMPLE[:-1], EXAMPLE + "0", f" {EXAMPLE}", f"{EXAMPLE}\n", "x" * 22, "٢" * 22]
)
def test_what_is_not_22_digits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="22 digits"):
        check_cbu(text)


@given(st.one_of(cbus().map(lambda cbu: cbu[::-1]), st.text("0123456789", min_size=20)))
def test_a_refusal_never_tells_the_number(text: str) -> None:
    assume(not is_cbu(text))
    with pytest.raises(ValueError, match=r"CBU|block") as refusal:
        check_cbu(text)
    assert text not in str(refusal.value)
