"""The page of a JSON-RPC service, as people use it."""

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from .conftest import OpenPage
from .service import EVIL, LONG

CONTRAST = Path(__file__).with_name("contrast.js").read_text()


def go(page: Page, fragment: str) -> None:
    """To another view of the same page."""
    page.goto(page.url.partition("#")[0] + fragment)


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def sent(page: Page) -> Any:
    """The request as the page shows it."""
    return json.loads(card(page, "Request").locator("pre").inner_text())


def answered(page: Page) -> Any:
    """The response as the page shows it, once it is there."""
    expect(card(page, "Response").locator(".status")).to_be_visible()
    return json.loads(card(page, "Response").locator("pre").inner_text())


def entries(page: Page) -> Locator:
    return page.locator(".entry")


def edit_batch(page: Page, text: str) -> None:
    go(page, "#rpc.batch")
    button(page, "Edit as JSON").click()
    page.get_by_label("Batch as JSON").fill(text)


# --- reading


def test_methods_are_listed_by_procedure(open_page: OpenPage) -> None:
    page = open_page()
    expect(page).to_have_title("Tennis club")
    expect(page.get_by_role("heading", level=1)).to_have_text("Tennis club")
    groups = page.locator("main h2")
    expect(groups).to_have_text(["Methods", "club", "tennis"])
    tennis = page.locator("main .group").nth(2)
    expect(tennis).to_contain_text("All that happens on the court.")
    expect(tennis.get_by_role("link")).to_have_text(
        ["tennis@big", "tennis@book", "tennis@ping", "tennis@score", "tennis@tag"]
    )
    listed = page.get_by_role("navigation", name="Methods").get_by_role("list", name="tennis")
    expect(listed.get_by_role("link")).to_have_text(["big", "book", "ping", "score", "tag"])
    listed.get_by_text("ping").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("tennis@ping")
    expect(page).to_have_title("tennis@ping · Tennis club")


def test_method_tells_what_it_takes_and_answers(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    main = page.get_by_role("main")
    expect(main).to_contain_text("Book a court.")
    expect(main.get_by_role("listitem").filter(has_text="Courts 1 to 4 have a roof.")).to_be_visible()
    heads = main.locator(".field > .field-head")
    expect(heads).to_have_text(
        [
            "courtinteger · ≥ 1, ≤ 12required",
            "playerPlayerrequired",
            'surface"clay" | "grass"default "clay"',
            'notestringdefault ""',
            "pricenumber or nulldefault 1.5",
        ]
    )
    expect(page.get_by_label("court", exact=True)).to_have_accessible_description("Number of the court.")
    page.locator("[data-name=player]").get_by_text("Members").click()
    expect(page.locator("[data-name=player] .members > li > .field-head")).to_have_text(
        [
            "namestringrequired",
            "rankinginteger or null · ≥ 1default null",
            "coachPlayer or nulldefault null",
        ]
    )
    expect(page.locator(".errors dt")).to_have_text(["4001", "-32602", "-32603"])
    expect(page.locator(".errors dd").first).to_have_text("The court is taken")


def test_link_leads_to_its_method(open_page: OpenPage) -> None:
    page = open_page("#tennis%40ping")
    expect(page.get_by_role("heading", level=1)).to_have_text("tennis@ping")
    expect(page.get_by_role("navigation").locator("[aria-current=page]")).to_have_text("ping")
    go(page, "#club@header")
    expect(page.get_by_role("heading", level=1)).to_have_text("club@header")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("tennis@ping")
    go(page, "#nobody%")
    expect(page.get_by_role("main")).to_contain_text("There is no method nobody%.")


def test_filter_looks_into_names_words_and_parameters(open_page: OpenPage) -> None:
    page = open_page()
    links = page.get_by_role("navigation").get_by_role("link")
    count = links.count()
    search = page.get_by_role("searchbox")
    search.fill("POINTS count")
    expect(links).to_have_text(["score"])
    expect(page.locator("#found")).to_have_text(f"1 of {count} methods")
    search.fill("club@")
    expect(links).to_have_text(["evil", "header", "long"])
    search.fill("nothing at all")
    expect(page.get_by_text("No method has these words.")).to_be_visible()
    search.press("Escape")
    expect(links).to_have_count(count)


# --- calling


def test_call_is_answered(open_page: OpenPage) -> None:
    page = open_page("#tennis@ping")
    assert sent(page) == {"jsonrpc": "2.0", "method": "tennis@ping", "id": 1}
    button(page, "Send").click()
    assert answered(page) == {"jsonrpc": "2.0", "result": "pong", "id": 1}
    outcome = card(page, "Response").locator(".outcome")
    expect(outcome).to_contain_text("200 OK")
    expect(outcome).to_contain_text("ms")
    expect(outcome).to_contain_text("40 B")


def test_form_makes_params(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    page.get_by_label("court", exact=True).fill("3")
    page.get_by_label("player", exact=True).fill('{"name": "Ana", "ranking": 1}')
    page.get_by_label("surface", exact=True).select_option("grass")
    page.get_by_label("Send price").check()
    page.locator("[data-name=price]").get_by_label("null").check()
    params = {"court": 3, "player": {"name": "Ana", "ranking": 1}, "surface": "grass", "price": None}
    assert sent(page)["params"] == params
    button(page, "Send").click()
    assert answered(page)["result"] == {
        **params,
        "player": {"name": "Ana", "ranking": 1, "coach": None},
        "note": "",
    }


def test_field_that_cannot_be_sent_is_told_of(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    court = page.get_by_label("court", exact=True)
    court.fill("three")
    button(page, "Send").click()
    expect(page.locator("[data-name=court] .complaint")).to_have_text("An integer is expected.")
    expect(court).to_be_focused()
    expect(card(page, "Response")).to_contain_text("Nothing sent yet.")
    court.fill("3")
    page.get_by_label("player", exact=True).fill('{"name": }')
    button(page, "Send").click()
    expect(page.locator("[data-name=player] .complaint")).to_have_text(
        'No JSON: line 1, column 10: expected a value, found "}".'
    )


def test_error_is_shown_and_put_to_its_field(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    page.get_by_label("court", exact=True).fill("7")
    button(page, "Send").click()
    expect(card(page, "Response").locator(".error-line")).to_have_text("Error 4001 The court is taken")
    page.get_by_label("court", exact=True).fill("99")
    button(page, "Send").click()
    expect(card(page, "Response").locator(".error-line")).to_have_text("Error -32602 Invalid params")
    expect(page.locator("[data-name=court] .complaint")).to_have_text("expected integer <= 12")


def test_notification_has_no_answer(open_page: OpenPage) -> None:
    page = open_page("#tennis@ping")
    page.get_by_label("Notification").check()
    assert "id" not in sent(page)
    button(page, "Send").click()
    expect(card(page, "Response")).to_contain_text("204 No Content")
    expect(card(page, "Response")).to_contain_text("a notification has no answer")


def test_numbers_keep_their_digits(open_page: OpenPage) -> None:
    page = open_page("#tennis@big")
    page.get_by_label("number", exact=True).fill("12345678901234567890")
    button(page, "Send").click()
    assert answered(page)["result"] == 12345678901234567890


def test_params_may_be_written_as_json(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    modes = page.get_by_role("group", name="Edit params as")
    modes.get_by_text("JSON").click()
    area = page.get_by_label("Params as JSON")
    area.fill("[1,")
    button(page, "Send").click()
    expect(page.get_by_text("No JSON: line 1, column 4")).to_be_visible()
    area.fill('[4, {"name": "Bo"}]')
    button(page, "Send").click()
    assert answered(page)["result"]["court"] == 4
    modes.get_by_text("Form").click()
    expect(page.get_by_label("court", exact=True)).to_have_value("4")
    expect(page.get_by_label("Send surface")).not_to_be_checked()


def test_values_for_any_more_params_are_spread(open_page: OpenPage) -> None:
    page = open_page("#tennis@score")
    page.get_by_label("match", exact=True).fill("1")
    page.get_by_label("points", exact=True).fill("[10, 20]")
    assert sent(page)["params"] == [1, 10, 20]
    button(page, "Send").click()
    assert answered(page)["result"] == 31
    go(page, "#tennis@tag")
    page.get_by_label("match", exact=True).fill("1")
    page.get_by_label("tags", exact=True).fill('{"a": "b"}')
    button(page, "Send").click()
    assert answered(page)["result"] == {"a": "b"}


def test_headers_are_sent_and_forgotten(open_page: OpenPage) -> None:
    page = open_page("#club@header")
    page.get_by_label("name", exact=True).fill("authorization")
    page.get_by_role("button", name="Request headers").click()
    page.get_by_label("Header name").fill("Cookie")
    page.get_by_label("Header value").fill("Bearer it's")
    button(page, "Save").click()
    expect(page.get_by_text("Browsers do not let pages set this header.")).to_be_visible()
    page.get_by_label("Header name").fill("Authorization")
    button(page, "Save").click()
    button(page, "Send").click()
    assert answered(page)["result"] == "Bearer it's"
    card(page, "Request").get_by_text("curl").click()
    expect(card(page, "Request").locator("pre")).to_contain_text(r"-H 'Authorization: Bearer it'\''s'")
    page.reload()
    expect(page.get_by_role("button", name="Request headers, 0 set")).to_be_visible()
    assert "Bearer" not in page.evaluate("JSON.stringify({...localStorage, ...sessionStorage})")


def test_curl_command_is_copied(open_page: OpenPage) -> None:
    page = open_page("#tennis@ping")
    card(page, "Request").get_by_text("curl").click()
    button(page, "Copy request").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("curl 'http://127.0.0.1:")
    assert copied.endswith("""--data-raw '{"jsonrpc":"2.0","method":"tennis@ping","id":1}'""")


def test_server_that_is_gone_is_told_of(open_page: OpenPage) -> None:
    page = open_page("#tennis@ping")
    page.evaluate("() => { window.fetch = async () => { throw new TypeError('Failed to fetch'); }; }")
    button(page, "Send").click()
    expect(card(page, "Response")).to_contain_text("No answer: Failed to fetch.")
    expect(button(page, "Send")).to_be_enabled()


def test_call_is_cancelled(open_page: OpenPage) -> None:
    page = open_page("#tennis@ping")
    page.evaluate(
        """() => {
          window.fetch = (url, { signal }) => new Promise((resolve, reject) => {
            signal.addEventListener('abort', () => reject(signal.reason));
          });
        }"""
    )
    button(page, "Send").click()
    expect(button(page, "Cancel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(card(page, "Response")).to_contain_text("Cancelled.")


# --- batches


@pytest.mark.parametrize("path", ["/rpc/", "/sajya/"])
def test_answers_stand_beside_their_calls(open_page: OpenPage, path: str) -> None:
    page = open_page("#tennis@ping", path=path)
    button(page, "Add to batch").click()
    page.get_by_label("Notification").check()
    button(page, "Add to batch").click()
    go(page, "#tennis@book")
    page.get_by_label("court", exact=True).fill("7")
    button(page, "Add to batch").click()
    page.get_by_role("link", name="Batch, 3 calls").click()
    expect(page.locator(".chip")).to_have_text(["id 1", "notification", "id 2"])
    with page.expect_request(lambda request: request.method == "POST") as asked:
        button(page, "Send batch").click()
    assert [one.get("id") for one in json.loads(asked.value.post_data or "")] == [1, None, 2]
    expect(page.locator(".batch-outcome")).to_contain_text("2 of 2 answered")
    answers = page.locator(".entry-answer")
    expect(answers.nth(0)).to_have_text('"pong"')
    expect(answers.nth(1)).to_have_text("No answer: a notification.")
    expect(answers.nth(2)).to_contain_text("Error 4001 The court is taken")
    expect(page.locator(".leftovers")).to_have_count(0)
    button(page, "Move up tennis@book").click()
    expect(answers.nth(1)).to_contain_text("Error 4001 The court is taken")


def test_answers_come_in_any_order(open_page: OpenPage) -> None:
    page = open_page()
    ids: list[Any] = ["1", 1, 2, "x"]
    edit_batch(page, json.dumps([{"jsonrpc": "2.0", "method": "tennis@ping", "id": one} for one in ids]))
    answers = [{"jsonrpc": "2.0", "result": repr(one), "id": one} for one in ("2", 1, "1", "y")]

    def answer(route: Route) -> None:
        route.fulfill(json=answers) if route.request.method == "POST" else route.continue_()

    page.route("**/rpc/", answer)
    button(page, "Send batch").click()
    shown = page.locator(".entry-answer")
    expect(shown).to_have_text(["\"'1'\"", '"1"', "\"'2'\"", "No answer with this id."])
    expect(page.locator(".leftovers")).to_contain_text("'y'")
    page.unroute("**/rpc/")


def test_calls_of_a_batch_are_moved_and_removed(open_page: OpenPage) -> None:
    page = open_page()
    calls = [{"jsonrpc": "2.0", "method": f"m{index}", "id": index} for index in range(3)]
    edit_batch(page, json.dumps(calls))
    names = page.locator(".entry-name")
    button(page, "Move down m0").press("Enter")
    expect(names).to_have_text(["m1", "m0", "m2"])
    expect(button(page, "Move down m0")).to_be_focused()
    entries(page).nth(2).drag_to(entries(page).nth(0))
    expect(names).to_have_text(["m2", "m1", "m0"])
    button(page, "Remove m1").click()
    expect(names).to_have_text(["m2", "m0"])
    assert [one["method"] for one in json.loads(page.get_by_label("Batch as JSON").input_value())] == [
        "m2",
        "m0",
    ]
    button(page, "Clear").click()
    expect(names).to_have_count(0)


def test_batch_is_written_as_json(open_page: OpenPage) -> None:
    page = open_page()
    edit_batch(
        page,
        """[{"jsonrpc": "2.0", "method": "tennis@ping", "id": "1"},
        {"jsonrpc": "2.0", "method": "tennis@ping", "id": 1},
        {"jsonrpc": "2.0", "method": "tennis@ping", "id": 1.0}, 5]""",
    )
    button(page, "Send batch").click()
    expect(page.locator(".chip")).to_have_text(['id "1"', "id 1", "id 1.0"])
    expect(page.locator(".batch-outcome")).to_contain_text("3 of 3 answered")
    expect(page.locator(".leftovers .error-line")).to_have_text("Error -32600 Invalid Request")
    page.get_by_label("Batch as JSON").fill('[{"jsonrpc"')
    expect(page.get_by_text("No JSON: line 1, column 12")).to_be_visible()
    button(page, "Send batch").click()
    expect(page.locator(".leftovers")).to_contain_text("Error -32700 Parse error")


def test_call_of_a_batch_is_opened_in_its_form(open_page: OpenPage) -> None:
    page = open_page()
    edit_batch(page, '[{"jsonrpc": "2.0", "method": "tennis@big", "params": [7]}]')
    page.get_by_role("main").get_by_role("link", name="tennis@big").click()
    expect(page.get_by_label("number", exact=True)).to_have_value("7")
    expect(page.get_by_label("Notification")).to_be_checked()


def test_batch_that_is_refused_whole_is_told_so(open_page: OpenPage) -> None:
    page = open_page(path="/sajya/")
    calls = [{"jsonrpc": "2.0", "method": "tennis@ping", "id": index} for index in range(31)]
    edit_batch(page, json.dumps(calls))
    button(page, "Send batch").click()
    expect(page.locator(".leftovers")).to_contain_text("Error -32000 Maximum batch size exceeded.")


# --- for everybody


def test_words_of_the_service_are_shown_as_they_are(open_page: OpenPage) -> None:
    page = open_page("#club@evil")
    expect(page.locator(".lead")).to_have_text(EVIL)
    expect(page.locator(".prose").first).to_have_text(EVIL)
    page.get_by_label("Send text").check()
    button(page, "Send").click()
    assert answered(page)["result"] == EVIL
    button(page, "Add to batch").click()
    page.keyboard.press("Escape")
    go(page, "#rpc.batch")
    button(page, "Send batch").click()
    expect(page.locator(".entry-answer")).to_have_text(json.dumps(EVIL))
    go(page, f"#{EVIL}")
    expect(page.locator(".missing")).to_contain_text("There is no method")
    assert page.locator("img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_nothing_can_be_made_of_strings(browser: Browser, address: str) -> None:
    page = browser.new_page()  # not watched: the browser complains
    page.goto(f"{address}/rpc/")
    refused = """(text) => {
      try { document.body.innerHTML = text; } catch (error) { return error.name; }
    }"""
    assert page.evaluate(refused, "<b>x</b>") == "TypeError"
    page.close()


def test_keyboard_is_enough(open_page: OpenPage) -> None:
    page = open_page()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("tennis@")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="tennis@ping")).to_be_focused()
    page.keyboard.press("Control+Enter")
    assert answered(page)["result"] == "pong"
    page.keyboard.press("Control+Shift+Enter")
    page.keyboard.press("b")
    expect(page.get_by_role("heading", level=1, name="Batch")).to_be_focused()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".entry-answer")).to_have_text('"pong"')
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("h")
    expect(page.get_by_label("Header name")).to_be_focused()


def test_all_controls_have_names(open_page: OpenPage) -> None:
    page = open_page("#tennis@book")
    button(page, "Add to batch").click()
    page.get_by_label("court", exact=True).fill("1")
    button(page, "Add to batch").click()
    nameless = []
    roles = {
        "button",
        "textbox",
        "searchbox",
        "checkbox",
        "combobox",
        "link",
        "dialog",
        "region",
        "navigation",
    }
    for where in ("#tennis@book", "#rpc.batch", "#"):
        go(page, where)
        tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")
        nodes = [one for one in tree["nodes"] if one.get("role", {}).get("value") in roles]
        assert nodes
        nameless += [(where, one) for one in nodes if not one.get("name", {}).get("value")]
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(open_page: OpenPage, scheme: str) -> None:
    page = open_page("#tennis@book", scheme=scheme)
    page.get_by_label("court", exact=True).fill("99")
    button(page, "Send").click()
    expect(card(page, "Response").locator(".error-line")).to_be_visible()
    page.locator("[data-name=player]").get_by_text("Members").click()
    button(page, "Add to batch").click()
    found = page.evaluate(CONTRAST)
    go(page, "#rpc.batch")
    button(page, "Send batch").click()
    expect(page.locator(".entry-answer .error-line")).to_be_visible()
    found += page.evaluate(CONTRAST)
    page.keyboard.press("h")
    found += page.evaluate(CONTRAST)
    assert len(found) > 100
    assert [one for one in found if one[0] < 4.5] == []


def test_theme_follows_the_system_until_it_is_chosen(open_page: OpenPage) -> None:
    page = open_page()
    body = page.locator("body")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.emulate_media(color_scheme="dark")
    expect(body).to_have_css("background-color", "rgb(17, 18, 20)")
    button(page, "Light theme").click()
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.reload()
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    button(page, "Dark theme").click()
    expect(body).to_have_css("background-color", "rgb(17, 18, 20)")
    page.emulate_media(color_scheme="light")
    expect(body).to_have_css("background-color", "rgb(255, 255, 255)")


def test_narrow_screen_needs_no_sideways_scrolling(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 340, "height": 640})
    calls = [{"jsonrpc": "2.0", "method": name, "id": LONG} for name in ("club@long", LONG)]
    edit_batch(page, json.dumps(calls))
    button(page, "Send batch").click()
    expect(page.locator(".entry-answer").first).to_contain_text(LONG)
    for where in ("#rpc.batch", "#", "#tennis@book", "#club@long", f"#{LONG}"):
        go(page, where)
        if where == "#club@long":
            button(page, "Send").click()
            assert answered(page)["result"]
        assert page.evaluate("document.documentElement.scrollWidth") == 340, where


def test_narrow_screen_has_a_menu(open_page: OpenPage) -> None:
    page = open_page(viewport={"width": 340, "height": 640})
    link = page.get_by_role("link", name="ping", exact=True)
    expect(link).to_be_hidden()
    button(page, "List of methods").click()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("tennis@ping")
    expect(link).to_be_hidden()
    button(page, "List of methods").click()
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()
    expect(button(page, "List of methods")).to_be_focused()
