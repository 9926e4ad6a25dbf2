"""What a person from support does in the studio, click by click."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

import stogram_sdk as sdk
from stogram_sdk.studio.app import make_app
from stogram_sdk.studio.serving import port_of, web_server
from tests.support.factories import insert_message
from tests.support.studio import TOKEN, Cast, make_cast

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "studio"
OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=1280,860", "--lang=en"),
)


@pytest.fixture(scope="session")
def chrome() -> Iterator[Any]:
    profile = tempfile.mkdtemp(prefix="stogram-browser-")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or "/usr/bin/chromium"
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(shutil.which("chromedriver") or "/usr/bin/chromedriver")
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()
    shutil.rmtree(profile, ignore_errors=True)


class Person:
    """Reads and clicks."""

    def __init__(self, driver: Any, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str) -> None:
        self.driver.get(self.address + path)

    def reads(self, words: str) -> None:
        self._until(lambda driver: words in driver.find_element(By.TAG_NAME, "body").text, words)

    def _until(self, condition: Any, said: str = "") -> Any:
        # A page that is being left has elements that are there no more.
        wait = WebDriverWait(self.driver, 10, ignored_exceptions=[WebDriverException])
        return wait.until(condition, said)

    def element(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, words: str) -> None:
        """A link or a button with these words."""
        found = f"//a[normalize-space()='{words}'] | //button[normalize-space()='{words}']"
        self._until(lambda driver: driver.find_element(By.XPATH, found)).click()

    def types(self, selector: str, words: str) -> None:
        field = self.element(selector)
        field.clear()
        field.send_keys(words)

    def complaints(self) -> list[str]:
        """What the browser says of the pages: a style that is missing, a script that is refused."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def picture(self, name: str) -> None:
        if os.environ.get("STOGRAM_PICTURES"):
            PICTURES.mkdir(exist_ok=True)
            self.driver.save_screenshot(str(PICTURES / f"{name}.png"))


@pytest.fixture
def cast(engine: str) -> Cast:
    cast = make_cast()
    sdk.User.update(display_name="Boris Orlov").where(sdk.User.id == cast.boris.id).execute()
    began = datetime.now(UTC) - timedelta(hours=2)
    for number, words in enumerate(
        ("First the migration", "then the services, one by one", "and on Friday a cake")
    ):
        written = began + timedelta(minutes=number)
        insert_message(cast.anna, cast.group, words, created_at=written, updated_at=written)
    return cast


def person_at(chrome: Any, *, write: bool) -> Iterator[Person]:
    app = make_app(token=TOKEN, write=write)
    app.jinja_env.globals["database_name"] = "stogram_db"
    server = web_server("127.0.0.1", 0, app)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    person = Person(chrome, f"http://127.0.0.1:{port_of(server)}")
    person.complaints()  # of an earlier test
    yield person
    chrome.get("about:blank")
    chrome.delete_all_cookies()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def person(chrome: Any, cast: Cast) -> Iterator[Person]:
    yield from person_at(chrome, write=False)


@pytest.fixture
def writer(chrome: Any, cast: Cast) -> Iterator[Person]:
    yield from person_at(chrome, write=True)


def test_from_a_person_to_their_chat_and_its_messages(person: Person) -> None:
    person.open("/user/")
    person.reads("it holds a token")
    person.open(f"/?token={TOKEN}")
    person.reads("Find")
    assert TOKEN not in person.driver.current_url
    person.complaints()  # of the page that was refused
    person.picture("home")
    person.types("input[name=words]", "ann")
    person.click("Find")
    person.reads("Anna Petrova")
    person.picture("search")
    person.click("anna")
    person.reads("Anna Petrova (@anna)")
    person.picture("user")
    person.click("Release team")
    person.reads("Members")
    person.reads("The plan for our #Release is ready")
    person.picture("chat")
    person.element("a[href*='flt1_seen_by_members_is']").click()
    person.reads("what was written, the newest first")
    person.reads("Seen by members")
    assert person.element("a.navbar-brand").value_of_css_property("font-size") == "20px"
    assert person.complaints() == []


def test_a_filter_is_chosen(person: Person) -> None:
    person.open(f"/?token={TOKEN}")
    person.open("/message/")
    person.click("Add Filter")
    person.click("Content")
    person.types(".filters input.filter-val", "FRIDAY")
    person.click("Apply")
    person.reads("among the newest 10,000 rows")
    rows = person.driver.find_elements(By.CSS_SELECTOR, ".model-list tbody tr, .model-list > tr")
    assert [row for row in rows if "Friday" in row.text]
    assert not [row for row in rows if "migration" in row.text]
    person.picture("filter")


def test_what_a_user_has_written_is_never_run(person: Person, cast: Cast) -> None:
    evil = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    sdk.User.update(display_name=evil).where(sdk.User.id == cast.boris.id).execute()
    insert_message(cast.boris, cast.group, evil)
    person.open(f"/?token={TOKEN}")
    for path in ("/message/", f"/chat/details/?id={cast.group.id}", "/?words=boris", "/user/"):
        person.open(path)
        person.reads("onerror")
        assert "run" not in person.driver.title
    assert person.complaints() == []


def test_a_page_of_another_site_changes_nothing(writer: Person, cast: Cast) -> None:
    """It posts a form with the cookie's browser; the address differs by the name alone."""
    writer.open(f"/?token={TOKEN}")
    port = writer.address.rpartition(":")[2]
    there = f"http://127.0.0.1:{port}/user/edit/?id={cast.anna.id}"
    form = (
        f"<form method=post action='{there}'><input name=display_name value=theirs>"
        "<button>Go</button></form>"
    )
    writer.driver.get(f"data:text/html,{form}")
    writer.click("Go")
    writer.reads("403")
    assert sdk.User.get_by_id(cast.anna.id).display_name == "Anna Petrova"


def test_a_row_is_changed_and_one_is_deleted(writer: Person, cast: Cast) -> None:
    writer.open(f"/?token={TOKEN}")
    writer.open(f"/message/details/?id={cast.plan.id}")
    writer.click("Edit")
    writer.types("textarea[name=content]", "A new #plan")
    writer.element("form input[type=submit]").click()
    writer.reads("successfully saved")
    assert sdk.Message.get_by_id(cast.plan.id).hashtags == ["plan"]
    writer.open("/reaction/")
    writer.element("form.icon button").click()
    question = writer.driver.switch_to.alert
    assert "Are you sure" in question.text
    question.dismiss()
    assert sdk.Reaction.select().count() == 1
    writer.element("form.icon button").click()
    writer.driver.switch_to.alert.accept()
    writer.reads("successfully deleted")
    assert sdk.Reaction.select().count() == 0
