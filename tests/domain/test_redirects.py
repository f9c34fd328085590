"""Which addresses may a buyer be led back to, and what does a Content-Security-Policy call each of them?"""

import pytest

from countermand.domain.redirects import (
    LONGEST_URL,
    MOST_SCHEMES,
    NEVER,
    RedirectError,
    Redirects,
    is_address,
    policy_source_of,
    redirects_of,
)

ADDRESSES = {  # with its source in a policy
    "https://shop.test": "https://shop.test",
    "HTTPS://Shop.Test/thanks": "https://Shop.Test",
    "Http://shop.test:8080?a=1#b": "http://shop.test:8080",
    "https://shop.test:65535/": "https://shop.test:65535",
    "https://127.0.0.1:8443/": "https://127.0.0.1:8443",
    "https://192.0.2.7/": "https:",
    "http://[::1]:3000/thanks": "http:",
    "HTTPS://[2001:db8::7]": "https:",
    "http://[::ffff:192.0.2.7]/": "http:",
    "myapp://": "myapp:",
    "myapp://thanks?order=1": "myapp:",
    "MyApp:///thanks": "myapp:",
    "com.example.app:/thanks": "com.example.app:",
    "exp://192.0.2.7:19000/--/thanks": "exp:",
}
NO_ADDRESSES = (
    "",
    "//shop.test",
    "https:",
    "https://",
    "https:///thanks",
    "https:shop.test",
    "http:/shop.test",
    "https://[",
    "https://[]",
    "https://[::g]",
    "https://[1::2::3]",
    "https://[::1%25eth0]",
    "https://[::1]x",
    "https://shop.test:65536",
    "https://me@shop.test",
    "https://me:pw@[::1]/",
    "https://shop.test;script-src *",
    "https://shop.test/\r\nSet-Cookie: a=b",
    "https://shop.test/\n",
    "https://shop.test/ a",
    "https://shop.test/\x7f",
    "https://é.test",
    "myapp:",
    "myapp://me@thanks",
    "myapp://thanks/ a",
    "myapp://thanks\n",
    "myapp://thanks\r\nSet-Cookie: a=b",
    "my app://thanks",
    "my;app://thanks",
    "1app://thanks",
    " https://shop.test",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_an_address_has_a_source_in_a_policy(url: str):
    assert is_address(url)
    assert policy_source_of(url) == ADDRESSES[url]


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused_and_never_named_in_a_policy(url: str):
    assert not is_address(url)
    assert policy_source_of(url) is None
    with pytest.raises(RedirectError, match="must be an address"):
        Redirects(schemes=("myapp",)).check_url(url)


@pytest.mark.parametrize("url", ["myapp://thanks", "MYAPP://thanks", "myapp:thanks"])
def test_a_scheme_counts_only_on_the_clients_own_list(url: str):
    Redirects(schemes=("other", "myapp")).check_url(url)
    for schemes in ((), ("myapp2",)):
        with pytest.raises(RedirectError, match="must be an address with http or https") as raised:
            Redirects(schemes=schemes).check_url(url)
        assert f'"{url}"' in str(raised.value)


@pytest.mark.parametrize("scheme", [*NEVER, "JavaScript", "DATA", "vBScript", "FILE"])
def test_a_scheme_that_a_browser_would_run_is_never_allowed(scheme: str):
    with pytest.raises(RedirectError, match=f'must not have "{scheme}"'):
        redirects_of(None, [scheme])
    listed_all_the_same = Redirects(schemes=(scheme.lower(),))
    for url in (f"{scheme}:alert(1)", f"{scheme}://alert(1)", f"{scheme}:///etc/passwd"):
        with pytest.raises(RedirectError):
            listed_all_the_same.check_url(url)
        assert policy_source_of(url) is None


def test_the_four_schemes_of_scripts_and_files_are_among_them():
    assert {"javascript", "data", "file", "vbscript"} <= set(NEVER)


@pytest.mark.parametrize("scheme", ["", "my app", "myapp:", "myapp://", "1app", "my;app", "myapp\n", "a" * 33, "https"])
def test_what_is_no_scheme_of_an_app_cannot_be_listed(scheme: str):
    with pytest.raises(RedirectError) as raised:
        redirects_of(None, ["myapp", scheme])
    assert raised.value.field == "schemes"


def test_a_list_is_kept_in_small_letters_and_each_scheme_once():
    assert redirects_of("MYAPP://x", ["MyApp", "myapp", "a" * 32]).schemes == ("myapp", "a" * 32)


def test_a_default_must_have_a_scheme_that_the_same_list_allows():
    with pytest.raises(RedirectError, match="myapp://x") as raised:
        redirects_of("myapp://x", [])
    assert raised.value.field == "url"


def test_limits_are_taken_and_one_more_is_not():
    many = [f"app{number}" for number in range(MOST_SCHEMES)]
    assert len(redirects_of(None, many).schemes) == MOST_SCHEMES
    with pytest.raises(RedirectError, match=f"at most {MOST_SCHEMES}, not {MOST_SCHEMES + 1}"):
        redirects_of(None, [*many, "one-more"])
    longest = "https://shop.test/" + "x" * (LONGEST_URL - 18)
    Redirects().check_url(longest)
    with pytest.raises(RedirectError, match=f"at most {LONGEST_URL} characters, not {LONGEST_URL + 1}"):
        Redirects().check_url(longest + "x")
