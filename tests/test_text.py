"""Every sentence of the rules for hashtags and mentions, in many scripts."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stogram_sdk.errors import InvalidInput
from stogram_sdk.text import (
    extract_hashtags,
    extract_mentions,
    normalize_tag,
    tag_key,
)

ZWNJ, ZWJ = "\u200c", "\u200d"
VARIATION_SELECTORS = [chr(c) for c in range(0xFE00, 0xFE10)]
KEYCAP = "\ufe0f\u20e3"

# --- Hashtags: scripts ---

# One word that needs more than plain letters where the script has such: marks, joiners, signs.
WORDS = {
    "Latin": "łódź",
    "Latin, decomposed": "cafe\u0301",
    "Latin, Vietnamese": "tiếng_việt",
    "Latin, Catalan": "paral·lel",
    "Cyrillic": "привет",
    "Cyrillic, Kazakh": "қазақстан",
    "Greek": "ελλάδα",
    "Armenian": "հայաստան",
    "Georgian": "საქართველო",
    "Hebrew": "ישראל",
    "Hebrew with maqaf": "בית\u05beספר",
    "Hebrew with geresh": "צ\u05f3ק",
    "Hebrew with gershayim": "צה\u05f4ל",
    "Hebrew with points": "שָׁלוֹם",
    "Arabic": "مرحبا",
    "Arabic with marks": "مَرْحَبًا",
    "Persian with ZWNJ": f"می{ZWNJ}خواهم",
    "Urdu": "پاکستان",
    "Syriac": "ܣܘܪܝܝܐ",
    "Thaana": "ދިވެހި",
    "N'Ko": "ߒߞߏ",
    "Devanagari": "हिन्दी",
    "Devanagari with ZWJ": f"क्{ZWJ}ष",
    "Bengali": "বাংলা",
    "Gurmukhi": "ਪੰਜਾਬੀ",
    "Gujarati": "ગુજરાતી",
    "Oriya": "ଓଡ଼ିଆ",
    "Tamil": "தமிழ்",
    "Telugu": "తెలుగు",
    "Kannada": "ಕನ್ನಡ",
    "Malayalam": "മലയാളം",
    "Sinhala": "සිංහල",
    "Sinhala with ZWJ": f"ශ්{ZWJ}රී",
    "Sinhala punctuation": "ක\u0df4ක",
    "Thai": "ผู้เริ่ม",
    "Lao": "ລາວ",
    "Tibetan with tsheg": "བོད\u0f0bཡིག",
    "Myanmar": "မြန်မာ",
    "Khmer": "ខ្មែរ",
    "Mongolian": "ᠮᠣᠩᠭᠣᠯ",
    "Ethiopic": "አማርኛ",
    "Canadian syllabics": "ᐃᓄᒃᑎᑐᑦ",
    "Runic": "ᚠᚢᚦᚨᚱᚲ",
    "Ogham": "ᚁᚂᚃ",
    "Tifinagh": "ⵜⵉⴼⵉⵏⴰⵖ",
    "Vai": "ꕙꔤ",
    "Javanese": "ꦗꦮ",
    "Balinese": "ᬩᬮᬶ",
    "Sundanese": "ᮞᮥᮔ᮪ᮓ",
    "Tai Le": "ᥖᥭᥰ",
    "Hangul": "한국어",
    "Hiragana": "ひらがな",
    "Katakana with long vowel": "サッカー",
    "Katakana with middle dot": "ハリー・ポッター",
    "Katakana with voiced mark": "ハ\u3099",
    "Wave dash": "ラ〜メン",
    "Ditto mark": "同〃じ",
    "Han": "中文",
    "Han with iteration mark": "人々",
    "Han, beyond the first plane": "𠮷野家",
    "Bopomofo": "ㄅㄆㄇ",
    "Yi": "ꆈꌠ",
    "Gothic": "𐌲𐌿𐍄𐌹𐍃𐌺",
    "Cuneiform": "𒀭𒂗",
    "Hieroglyphs": "𓂀𓃠",
}

# As they are written and as they are stored: casefold goes to capitals in Cherokee.
FOLDED = {
    "Latin": ("Straße", "strasse"),
    "Latin, Turkish": ("İstanbul", "i̇stanbul"),
    "Latin, ligature": ("ﬁn", "fin"),
    "Cyrillic": ("Привет", "привет"),
    "Greek, final sigma": ("Λόγος", "λόγοσ"),
    "Greek, folded to three and composed again": ("\u0390", "\u0390"),
    "Greek, polytonic": ("ᾼδης", "αιδησ"),
    "Armenian, ligature": ("և", "եւ"),
    "Georgian, Mtavruli": ("ᲡᲐᲥ", "საქ"),
    "Cherokee": ("ꮳꮃꭹ", "ᏣᎳᎩ"),
    "Deseret": ("𐐔𐐯𐑅", "𐐼𐐯𐑅"),
    "Adlam": ("𞤊𞤵𞤤", "𞤬𞤵𞤤"),
    "Osage": ("𐒰𐓊", "𐓘𐓲"),
    "Hangul, conjoining": ("\u1112\u1161\u11ab", "한"),
    "Katakana, half-width": ("ｻｯｶｰ", "サッカー"),
    "Katakana, half-width voiced": ("ﾊﾞ", "バ"),
    "Full-width": ("ＴＡＧ２", "tag2"),
    "Arabic, presentation forms": ("ﻣﺮﺣﺒﺎ", "مرحبا"),
    "Thai, sara am": ("น้ำ", "น\u0e49\u0e4dา"),
    "Tibetan, unbreakable tsheg": ("ཀ\u0f0cཁ", "ཀ\u0f0bཁ"),
    "Mathematical": ("𝐀𝒷", "ab"),
    "Full-width tilde": ("ラ～メン", "ラ~メン"),
    "Roman numeral in a word": ("ГлаваⅫ", "главаxii"),
}


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_a_word_of_any_script_is_a_hashtag(word: str) -> None:
    stored = unicodedata.normalize("NFC", word)
    assert extract_hashtags(f"#{word}") == [stored]
    assert extract_hashtags(f"(#{word}, ＃{word}) #{word}!") == [stored]
    assert extract_hashtags(f"{word}#tag #{word}#") == []
    assert tag_key(f"#{word}") == stored


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("#Release #release ＃ＲＥＬＥＡＳＥ", ["Release"]),
        ("#проект1 #Проект1 #ПРОЕКТ1", ["проект1"]),
        ("#Straße #STRASSE", ["Straße"]),
        ("#Zähler #Zahler", ["Zähler", "Zahler"]),
        ("＃ＴＡＧ", ["ＴＡＧ"]),
        ("#cafe\u0301 #CAFÉ", ["café"]),
    ],
)
def test_a_hashtag_is_stored_as_it_was_first_written(text: str, stored: list[str]) -> None:
    assert extract_hashtags(text) == stored


def test_a_mention_is_stored_as_it_was_first_written() -> None:
    assert extract_mentions("@Ivan, @IVAN and @olga_P") == ["Ivan", "olga_P"]


@pytest.mark.parametrize(("word", "key"), FOLDED.values(), ids=FOLDED)
def test_the_key_is_nfkc_casefold_nfc(word: str, key: str) -> None:
    assert extract_hashtags(f"#{word}") == [unicodedata.normalize("NFC", word)]
    assert tag_key(word) == tag_key(key) == key


# --- Hashtags: the rules ---

HASHTAGS = [
    # `#` or the full-width `＃`, followed by tag characters.
    ("#tag", ["tag"]),
    ("＃tag", ["tag"]),
    ("a #b c", ["b"]),
    ("#one #two\n#three\t#four", ["one", "two", "three", "four"]),
    ("#", []),
    ("# tag", []),
    ("#-tag", []),
    ("#😀", []),
    ("", []),
    # At least one of them a letter.
    ("#16", []),
    ("#1_2", []),
    ("#_", []),
    ("#٣٤", []),
    ("#१२", []),
    ("#\u0301", []),
    ("#1\u0301", []),
    ("#・", []),
    ("#〜〃", []),
    (f"#{ZWJ}{ZWNJ}", []),
    ("#2026план", ["2026план"]),
    ("#1a", ["1a"]),
    ("#_a", ["_a"]),
    ("#a_", ["a_"]),
    ("#C", ["c"]),
    ("#ux", ["ux"]),
    ("#々", ["々"]),
    # A numeral of a script is a digit; detached ones and other signs end the tag.
    ("#ዓመት፳", ["ዓመት፳"]),
    ("#፳", []),
    ("#〇", []),
    ("#二〇", ["二〇"]),
    ("#Ⅻ", ["xii"]),  # its key is made of letters
    ("#m²", ["m"]),
    ("#a½", ["a"]),
    ("#½a", []),
    ("#a①", ["a"]),
    ("#㈠", []),
    ("#№a", []),
    ("#a№", ["a"]),
    # Characters that stand for no letter once they are normalized.
    ("#ﾞ", []),
    ("#ﱞ", []),
    ("#رسول_ﷺ", ["رسول_صلىاللهعليهوسلم"]),
    # What ends a tag.
    *[
        (f"#tag{c}more", ["tag"])
        for c in " \n\t\u00a0\u3000-–—.,:;!?/\\|'\"«»()[]{}<>…。、！~*+=$%^&`"
    ],
    ("#tag。", ["tag"]),
    ("#tag😀", ["tag"]),
    ("#tag\u00admore", ["tag"]),
    ("#tag\u200bmore", ["tag"]),
    # Variation selectors and the keycap are no tag characters.
    *[(f"#tag{c}more", ["tag"]) for c in VARIATION_SELECTORS],
    (f"#{KEYCAP}", []),
    (f"#{KEYCAP}abc", []),
    ("#\u20e3abc", []),
    (f"#tag1{KEYCAP}", ["tag1"]),
    (f"1{KEYCAP}#tag", ["tag"]),
    ("❤\ufe0f#tag", ["tag"]),
    ("葛\U000e0100#tag", []),
    ("#葛\U000e0100", ["葛\U000e0100"]),
    # Directly before it: no tag character, other `#` or `&`.
    ("a#b", []),
    ("я#тег", []),
    ("字#字", []),
    ("1#b", []),
    ("_#b", []),
    ("e\u0301#b", []),
    (f"{ZWJ}#b", []),
    (f"{ZWNJ}#b", []),
    ("·#b", []),
    ("\u0387#b", []),
    ("・#b", []),
    ("〜#b", []),
    ("～#b", []),
    ("〃#b", []),
    ("\u05be#b", []),
    ("\u0f0b#b", []),
    ("\u0df4#b", []),
    ("C#", []),
    ("C# F#m", []),
    ("##b", []),
    ("＃#b", []),
    ("#＃b", []),
    ("###b", []),
    ("&#b", []),
    ("&#39;", []),
    ("&#x27;", []),
    ("&amp;#b", ["b"]),
    # A bracket, quote, emoji or other punctuation is fine.
    *[
        (f"{c}#b", ["b"])
        for c in "()[]{}<>'\"«»„“”‘’「」（）.,:;!?…-–—/\\|~*+=$%^`@。、！？；😀👍™№½"
    ],
    ("👍🏽#b", ["b"]),
    (f"👨{ZWJ}👩#b", ["b"]),
    ("🇷🇺#b", ["b"]),
    ("**#b**", ["b"]),
    ("Конец.#тег", ["тег"]),
    ("done.#tag", ["tag"]),
    ("Ждём!#тег", ["тег"]),
    ("т.д.#тег и/или/#тег2", ["тег", "тег2"]),
    ("24/7/#b", ["b"]),
    ("1.5/#b", ["b"]),
    # A tag that ends in `#` is no tag.
    ("#a#", []),
    ("#a#b", []),
    ("#a#b#c", []),
    ("#a＃b", []),
    ("#a##b", []),
    ("#a·#b", []),
    ("#a #b# #c", ["a", "c"]),
    ("#a,#b", ["a", "b"]),
    # Nothing inside a URL.
    ("https://x.io/a#b", []),
    ("https://x.io/#b", []),
    ("https://x.io#b", []),
    ("https://x.io/?q=#b", []),
    ("https://x.io?#b", []),
    ("https://x.io:8080/#b", []),
    ("https://x.io/a-#b", []),
    ("https://x.io/#/a/#b", []),
    ("HTTPS://X.IO/#b", []),
    ("https://#b", []),
    ("https://x.io/＃b", []),
    ("ftp://user:p@host/#b", []),
    ("tg://resolve/#b", []),
    ("git+ssh://x/#b", []),
    ("http://[::1]/#b", []),
    ("http://localhost:3000/#b", []),
    ("https://пример.рф/а/#б", []),
    ("https://x.io/_(a)/#b", []),
    ("https://x.io/(#b)", []),
    ("https://x.io/{a}/#b", []),
    ("x.io/a#b", []),
    ("x.io/#b", []),
    ("x.io#b", []),
    ("x.io#-#b", []),
    ("x.io?q=#b", []),
    ("x.io:8080/#b", []),
    ("www.x.co.uk/#b", []),
    ("x.io/a/-/#b", []),
    ("localhost:3000/#b", []),
    ("192.168.0.1/#b", []),
    ("пример.рф/а#б", []),
    ("пример.рф/#б", []),
    ("उदाहरण.भारत/#b", []),
    ("例え.テスト/#b", []),
    ("xn--e1afmkfd.xn--p1ai/#b", []),
    ("https://ja.wikipedia.org/wiki/ハリー・ポッター/#b", []),
    # After a URL.
    ("https://x.io/a #b", ["b"]),
    ("x.io/a #b", ["b"]),
    ("https://x.io/a, #b", ["b"]),
    ("(https://x.io/a)#b", ["b"]),
    ("(x.io)#b", ["b"]),
    ("[x.io/a]#b", ["b"]),
    ("{x.io/a}#b", ["b"]),
    ("<https://x.io/a>#b", ["b"]),
    ('"https://x.io/a"#b', ["b"]),
    ("'https://x.io/a'#b", ["b"]),
    ("«https://x.io/а»#б", ["б"]),
    ("https://x.io/a。#タグ", ["タグ"]),
    ("https://x.io/a😀#b", ["b"]),
    ("#a https://x.io/#b #c", ["a", "c"]),
    # Nothing directly before `://`.
    ("#foo://bar", []),
    ("#foo://", []),
    ("#foo·://bar", []),
    ("#foo://bar/#b", []),
    ("#foo:bar #foo2:/ #foo3//", ["foo", "foo2", "foo3"]),
    ("://#b", ["b"]),
    # A `·` at the end is cut off; a tag cannot begin with one.
    ("#a·", ["a"]),
    ("#a··", ["a"]),
    ("#a·b", ["a·b"]),
    ("#a·b·", ["a·b"]),
    ("#·a", []),
    ("#·", []),
    ("#a\u0387", ["a"]),
    ("#a\u0387b", ["a·b"]),
    ("#\u0387a", []),
    ("#colŀ", ["coll"]),
    ("#col·l #coŀl", ["col·l"]),
    # Longer than 256: cut at 256 characters, of the text as it was written.
    ("#" + "a" * 256, ["a" * 256]),
    ("#" + "a" * 257, ["a" * 256]),
    ("#" + "я" * 300 + " #b", ["я" * 256, "b"]),
    ("#" + "𠮷" * 300, ["𠮷" * 256]),
    ("#" + "e\u0301" * 200, ["é" * 128]),
    ("#" + "a" * 300 + "#", []),
    ("#" + "a" * 300 + "://", []),
    ("#" + "1" * 255 + "a", ["1" * 255 + "a"]),
    ("#" + "1" * 256 + "a", []),
    ("#" + "a" * 255 + "·b", ["a" * 255]),
    ("#" + "ŉ" * 256, ["ʼn" * 128]),
    ("#" + "a" * 256 + " #" + "a" * 300, ["a" * 256]),
    # With a username behind it.
    ("#tag@username", ["tag"]),
    ("@username#tag", []),
    ("#tag @username", ["tag"]),
    # Each once, in order of first appearance; no accent is removed.
    ("#b #a #B ＃Ａ #c", ["b", "a", "c"]),
    ("#caf\u00e9 #cafe\u0301 #CAFE\u0301", ["café"]),
    ("#Zähler #Zahler", ["zähler", "zahler"]),
    ("#Straße #STRASSE", ["strasse"]),
    ("#й #и", ["й", "и"]),
    # What a database may refuse is punctuation here.
    ("\x00#a\x00", ["a"]),
    ("#\x00a", []),
    ("\ud800#a\ud800b \udfff#c", ["a", "c"]),
]


@pytest.mark.parametrize(("text", "hashtags"), HASHTAGS, ids=lambda value: ascii(value)[:60])
def test_hashtags(text: str, hashtags: list[str]) -> None:
    assert keys_in(text) == hashtags


def keys_in(text: str) -> list[str]:
    return [tag_key(hashtag) for hashtag in extract_hashtags(text)]


def test_at_most_100_hashtags_and_mentions_are_kept() -> None:
    names = [f"name{number}" for number in range(150)]
    assert extract_hashtags(" ".join(f"#{name} #NAME0" for name in names)) == names[:100]
    assert extract_mentions(" ".join(f"@{name} @NAME0" for name in names)) == names[:100]


# --- Mentions ---

MENTIONS = [
    # 3 to 30 of `A-Z a-z 0-9 _`.
    ("@ivan", ["ivan"]),
    ("@Ivan_2", ["ivan_2"]),
    ("@123", ["123"]),
    ("@___", ["___"]),
    ("@ab", []),
    ("@abc", ["abc"]),
    ("@" + "a" * 30, ["a" * 30]),
    ("@" + "a" * 31, []),
    ("@", []),
    ("@ ivan", []),
    ("", []),
    # Then no letter, digit or `_` of any script; a mark belongs to the letter before it.
    ("@ivanов", []),
    ("@иван", []),
    ("@ivan字", []),
    ("@ivan٣", []),
    ("@ivanｘ", []),
    ("@ｉｖａｎ", []),
    ("@ivan\u0301", []),
    ("@ivanⅫ", []),
    ("@ivan፳", []),
    ("@ivan\u212a", []),
    *[
        (f"@ivan{c}", ["ivan"])
        for c in " \n.,:;!?…-–—/\\|'\"«»()[]{}<>#$%&*~。、！😀²①·\u200d\x00\ud800"
    ],
    ("@ivan's", ["ivan"]),
    ("@ivan\ufe0f", ["ivan"]),
    ("@ivan.Как дела", ["ivan"]),
    # Directly before it: no letter, digit or `_` of any script, nor one of `! @ # $ % & *`.
    ("ivan@example.com", []),
    ("нет@ivan", []),
    ("字@ivan", []),
    ("ｘ@ivan", []),
    ("1@ivan", []),
    ("٣@ivan", []),
    ("_@ivan", []),
    ("e\u0301@ivan", []),
    ("क्@ivan", []),
    *[(f"{c}@ivan", []) for c in "!@#$%&*＃"],
    *[
        (f"{c}@ivan", ["ivan"])
        for c in " \n.,:;?…-–—/\\|'\"«»()[]{}<>+=^~`。、！＠😀²·\u200d\x00\ud800"
    ],
    ("❤\ufe0f@ivan", ["ivan"]),
    (f"1{KEYCAP}@ivan", ["ivan"]),
    ("Привет,@ivan!", ["ivan"]),
    # Too close to an address.
    ("@one@two", []),
    ("@one@two@three", []),
    ("@one@", []),
    ("@one, @two", ["one", "two"]),
    ("@one,@two", ["one", "two"]),
    ("@one @two", ["one", "two"]),
    ("@one.@two", ["one", "two"]),
    ("#tag@username", []),
    # Nothing inside a URL.
    ("https://youtube.com/@ivan", []),
    ("https://x.io/a/@ivan/b", []),
    ("https://user:@host/", []),
    ("medium.com/@ivan", []),
    ("пример.рф/@ivan", []),
    ("(https://x.io)@ivan", ["ivan"]),
    ("https://x.io/@one @two", ["two"]),
    ("и/или/@ivan", ["ivan"]),
    # Each once, in order of first appearance.
    ("@Two @one @TWO @One", ["two", "one"]),
]


@pytest.mark.parametrize(("text", "mentions"), MENTIONS, ids=lambda value: ascii(value)[:60])
def test_mentions(text: str, mentions: list[str]) -> None:
    assert [mention.lower() for mention in extract_mentions(text)] == mentions


# --- Keys for searching ---


@pytest.mark.parametrize("hashtag", ["#Tag", "tag", "＃ＴＡＧ", "TAG", "＃tag", "#tag·"])
def test_every_way_to_write_a_hashtag_has_one_key(hashtag: str) -> None:
    assert tag_key(hashtag) == "tag"


@pytest.mark.parametrize(
    "hashtag",
    [
        "", "#", "##tag", "#＃tag", "tag#", "a#b", "two words", " tag", "tag ", "tag\n",
        "#16", "_", "1_2", "·tag", "·", "~", "#😀", "tag😀", "a-b", "tag@username", "foo://",
        "tag\ufe0f", "a\x00", "\ud800", "ﾞ", "1" * 256 + "a",
    ],
)  # fmt: skip
def test_what_is_no_hashtag_has_no_key(hashtag: str) -> None:
    with pytest.raises(InvalidInput) as error:
        tag_key(hashtag)
    assert error.value.field == "tag"


def test_a_long_hashtag_is_searched_as_it_is_stored() -> None:
    assert [tag_key("#" + "a" * 300)] == keys_in("#" + "a" * 300)


@pytest.mark.parametrize("value", [None, 1, b"#tag", ["#tag"]])
@pytest.mark.parametrize(
    ("function", "field"),
    [
        (extract_hashtags, "text"),
        (extract_mentions, "text"),
        (normalize_tag, "text"),
        (tag_key, "tag"),
    ],
)
def test_only_strings_are_text(
    function: Callable[[object], object], field: str, value: object
) -> None:
    with pytest.raises(InvalidInput) as error:
        function(value)
    assert error.value.field == field


# --- Properties ---

LETTERS = st.characters(categories=["L"])
TAG_CHARACTERS = st.characters(
    categories=["L", "M", "Nd"], exclude_characters=[*VARIATION_SELECTORS, "\u20e3"]
) | st.sampled_from(
    ["_", "·", "\u0387", "・", ZWJ, ZWNJ, "〜", "～", "〃", "ŀ", "ŉ", "ͅ", "ﷺ", "ﾞ", "ﱞ"]
)
CAPITALS = st.sampled_from("AZĄЯΩՖႠᏣﬁﬀİẞΐᾼǅΣς")
SNIPPETS = st.sampled_from(
    [
        "#",
        "＃",
        "@",
        "&",
        "·",
        " ",
        "://",
        "/",
        ".",
        "x.io",
        "ivan",
        "tag",
        "1",
        "(",
        ")",
        KEYCAP,
        "字",
    ]
)
MESSAGES = st.lists(SNIPPETS | st.text(max_size=3)).map("".join)


@given(word=st.text(TAG_CHARACTERS | CAPITALS, min_size=1, max_size=20))
@example(word="ﷺ")
@example(word="aﹰ\u0323ﷻ")
@example(word="ŀ")
@example(word="H\u0331\u0345")
def test_a_hashtag_is_found_by_what_is_written_and_by_its_key(word: str) -> None:
    for stored in extract_hashtags(f"#{word}"):
        key = tag_key(stored)
        assert tag_key(word) == tag_key(f"＃{word}") == tag_key(key) == key
        assert extract_hashtags(f"#{stored}") == [stored]


@given(runs=st.lists(st.tuples(TAG_CHARACTERS | CAPITALS, st.integers(1, 200)), max_size=8))
@example(runs=[("ŉ", 256)])
@example(runs=[("ﷺ", 256)])
@example(runs=[("a", 255), ("ŀ", 1)])
def test_long_hashtags_are_found_too(runs: list[tuple[str, int]]) -> None:
    word = "".join(character * times for character, times in runs)
    for stored in extract_hashtags(f"#{word}"):
        key = tag_key(stored)
        assert len(stored) <= 256 and len(key) <= 256
        assert tag_key(word) == tag_key(key) == key


@pytest.mark.slow
@given(text=MESSAGES)
def test_what_is_found_is_searchable_and_there_once(text: str) -> None:
    hashtags, mentions = extract_hashtags(text), extract_mentions(text)
    assert len({tag_key(hashtag) for hashtag in hashtags}) == len(hashtags)
    assert len({mention.lower() for mention in mentions}) == len(mentions)


@given(text=MESSAGES)
def test_composition_of_the_text_does_not_matter(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    decomposed = unicodedata.normalize("NFD", text)
    assert extract_hashtags(composed) == extract_hashtags(decomposed)
    assert extract_mentions(composed) == extract_mentions(decomposed)


@given(before=MESSAGES, word=st.text(LETTERS, min_size=1, max_size=9), after=MESSAGES)
def test_a_hashtag_between_spaces_is_found_in_any_message(
    before: str, word: str, after: str
) -> None:
    for key in keys_in(f"#{word}"):
        assert key in keys_in(f"{before} #{word} {after}")


@given(
    path=st.text(st.sampled_from("abя1/-._~!$&*+,;=:@%?#"), max_size=20),
    host=st.sampled_from(["https://x.io", "http://127.0.0.1", "x.io", "пример.рф", "x.co:80"]),
)
def test_a_url_holds_nothing(host: str, path: str) -> None:
    assert extract_hashtags(f"{host}/{path}#tag") == []
    assert extract_mentions(f"{host}/{path}/@ivan") == []


@pytest.mark.slow
def test_keys_are_stable_for_every_character() -> None:
    for character in map(chr, range(sys.maxunicode + 1)):
        key = normalize_tag(character)
        assert normalize_tag(key) == key
    assert normalize_tag("\u1e9b\u0323") == "ṩ"


@pytest.mark.slow
def test_every_character_of_a_hashtag_stays_searchable() -> None:
    assigned = [
        character
        for character in map(chr, range(sys.maxunicode + 1))
        if unicodedata.category(character) not in ("Cn", "Co", "Cs")
    ]
    for start in range(0, len(assigned), 64):
        characters = assigned[start : start + 64]
        text = " ".join(f"#{place}{character}a" for place, character in enumerate(characters))
        for key in keys_in(text):
            assert tag_key(key) == key


@pytest.mark.slow
def test_letters_marks_and_digits_of_every_script_are_tag_characters() -> None:
    excluded = {*VARIATION_SELECTORS, "\u20e3"}
    for character in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(character)
        if (category[0] in "LM" or category == "Nd") and character not in excluded:
            assert len(extract_hashtags(f"#{character}a")) == 1, ascii(character)
            assert extract_hashtags(f"{character}#a") == [], ascii(character)
            assert extract_mentions(f"{character}@abc") == [], ascii(character)
            assert "abc" not in extract_mentions(f"@abc{character}"), ascii(character)


# --- Hostile texts ---


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    [
        "#", "#a", "#a ", "#a#", "#·", "#a·", "#字", "#ﷺ ", "a", "a.a", "a" * 63 + ".", "a.aa/",
        "@", "@a", "@abc ", "@abc@", "://", "a://", "#a://", "/", "x.io/", "x.io/(", "x.io/([{",
        "x.io/(#a)", "1.1.1.1:1/", "localhost:", "(", "&#", "·", "\u0301\u0327", "\x00", "\ud800",
    ],
    ids=ascii,
)  # fmt: skip
@pytest.mark.parametrize("function", [extract_hashtags, extract_mentions])
def test_a_megabyte_takes_no_long_time(function: Callable[[str], object], unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    begun = time.process_time()
    function(text)
    assert time.process_time() - begun < 3
