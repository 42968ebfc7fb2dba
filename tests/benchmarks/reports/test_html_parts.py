from liteport.benchmarks.reports.html_parts import bullets, document, facts, filters, table

EVIL = "<script>alert('x')</script>"
ESCAPED = "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;"


def test_all_text_is_escaped() -> None:
    for made in (document(EVIL, [], []), table(EVIL, [], []), filters(EVIL), facts([(EVIL, EVIL)]), bullets([EVIL])):
        assert EVIL not in made
        assert ESCAPED in made


def test_no_sentences_make_no_list() -> None:
    assert bullets([]) == ""
