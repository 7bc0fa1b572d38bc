"""What may not be published: keys and tokens of every kind, recognised by the forms that their issuers document."""

import string

import pytest

from datasets_scripts.hub.card_words import SECRET, command_line, prose, public, text
from datasets_scripts.thoughts.annotate.clip_annotator import Provenance
from datasets_scripts.thoughts.annotate.rules import Rules
from datasets_scripts.thoughts.annotate.run import thoughts_card
from modeling_unimo.checkpoint_conversion import _code, _write_card

# A key in form only: digits and letters in order.
BODY = string.ascii_lowercase[:12] + string.digits + string.ascii_uppercase[:14]

KEYS = [
    f"hf_{BODY}",
    f"api_org_{BODY}",
    f"sk-{BODY}",
    f"sk-proj-{BODY[:20]}-{BODY[20:]}_{BODY}",
    f"sk-svcacct-{BODY}",
    f"sk-admin-{BODY}",
    f"sk-ant-api03-{BODY}-{BODY}AA",
    f"sk-or-v1-{BODY.lower()}",
    f"AIza{BODY[:35]}",
    *(f"gh{kind}_{BODY}" for kind in "oprsu"),
    f"github_pat_{BODY[:22]}_{BODY}",
    f"glpat-{BODY[:20]}",
    "AKIA" + "ABCDEFGH01234567",
    "ASIA" + "ABCDEFGH01234567",
    f"xoxb-0123456789-{BODY[:24]}",
    f"xapp-1-{BODY}",
    f"gsk_{BODY}",
    f"xai-{BODY}",
    f"r8_{BODY}",
    f"nvapi-{BODY}",
    f"eyJ{BODY}.eyJ{BODY}.{BODY}",
    f"Bearer {BODY}",
]


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_left_out_wherever_they_stand(key):
    secret = key.removeprefix("Bearer ")
    for shown in (
        prose(f'it says "{key}", and so on'),
        text(f"note: {key}"),
        str(public({"note": key, "nested": [{"url": f"x {key}"}]})),
        command_line(["python", "--note", key]),
    ):
        assert secret not in shown and "left out" in shown


@pytest.mark.parametrize(
    "words",
    [
        "the task-specific-learning-rate-schedule of sk-learn-style-estimators",
        "a bearer of a comparatively heavy load walks",
        "hf_hub_download_with_retries, risk-adjusted-returns-2024",
        "sha256 1ac083e33998, model-00001-of-00002.safetensors",
        "xai-methods, nvapi, AKIA, eyJ",
    ],
)
def test_other_words_stay(words):
    assert not SECRET.search(words) and prose(words) == words


@pytest.mark.parametrize(
    "key", ["hub_token", "api_key", "access_key", "aws_secret_key", "private_key", "password", "passwd", "passphrase"]
)
def test_settings_named_like_secrets_are_left_out(key):
    assert public({key: "x"}) == {key: "(left out)"}


def test_folder_names_do_nothing_in_a_card():
    """A folder may be named anything: what it does to Markdown, HTML or a shell is taken from it."""
    name = "`a` <img src=x> [b](c) | $(ls) 'd'"
    assert text(f"/home/jo/{name}") == r"\`a\` &lt;img src=x&gt; \[b\](c) \| \$(ls) 'd'"


def test_what_cards_name_is_escaped(tmp_path):
    provenance = Provenance("vlm", model="<script>`x`</script>", version="[a](b)")
    card = thoughts_card("", provenance, Rules(), {}, [])
    assert "- model: &lt;script&gt;\\`x\\`&lt;/script&gt;" in card and r"- version: \[a\](b)" in card
    _write_card(tmp_path, "T", f"joined from {_code('/x/`a` <b>')}")
    assert "joined from `'a' <b>`." in (tmp_path / "README.md").read_text()
