"""What a user does on the WebUI's page, for gradio 3 and 4; knows no host by name."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.remote.webdriver import WebDriver

# One call, as the page may replace an element between two.
READ = """
return Array.from(document.querySelectorAll(arguments[0]), (each) => each[arguments[1]]);
"""
# The key, as a browser's driver has it.
ENTER = "\ue007"
# AUTOMATIC1111's page, also without LAFI, each time a width or height changes.
OWN_ERROR = r"/assets/Blocks-\w+\.js .*\(reading 'props'\)"
# Frameworks listen to events, not to values: set the value as the browser would, then say so.
SET_VALUE = """
const [element, value] = arguments;
Object.getOwnPropertyDescriptor(Object.getPrototypeOf(element), "value").set.call(element, value);
for (const name of ["input", "change", "blur"]) {
    element.dispatchEvent(new Event(name, {bubbles: true}));
}
"""


class Page:
    """One tab (txt2img or img2img) of the WebUI, and LAFI's controls in it."""

    def __init__(self, driver: WebDriver, tab: str, timeout: float) -> None:
        self.driver = driver
        self.tab = tab
        self.timeout = timeout

    @classmethod
    def open(cls, driver: WebDriver, url: str, tab: str = "txt2img", timeout: float = 120) -> Page:
        """Loads the page and waits until its scripts have run."""
        driver.get(url)
        page = cls(driver, tab, timeout)
        page.wait(lambda: page.all(".input-accordion-checkbox"), "the page")
        page.switch_to(tab)
        page.script_errors()  # what the WebUI itself reports while loading
        return page

    # ---- any page -----------------------------------------------------------------------------

    def all(self, css: str) -> list:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str):
        return self.driver.find_element("css selector", css)

    def read(self, css: str, name: str) -> list:
        """A property of all elements, also of those that are scrolled away or folded."""
        return self.driver.execute_script(READ, css, name)

    def text(self, css: str) -> str:
        return "\n".join(each.strip() for each in self.read(css, "textContent"))

    def value(self, css: str) -> str:
        (value,) = self.read(css, "value")
        return value

    def set(self, css: str, value: object) -> None:
        self.driver.execute_script(SET_VALUE, self.one(css), str(value))

    def click(self, css: str) -> None:
        """Scripts click through what floats above, such as a toast."""
        self.driver.execute_script("arguments[0].click()", self.one(css))

    def wait(self, condition: Callable[[], object], what: str) -> None:
        end = time.monotonic() + self.timeout
        while not condition():
            if time.monotonic() > end:
                pytest.fail(f"waited {self.timeout} s for {what}")
            time.sleep(0.2)

    def script_errors(self) -> list[str]:
        """What failed in the page's scripts since the last call, the host's own error apart."""
        log = self.driver.get_log("browser")
        errors = [each["message"] for each in log if each["source"] == "javascript"]
        return [each for each in errors if not re.search(OWN_ERROR, each)]

    def switch_to(self, tab: str) -> None:
        self.tab = tab
        self.driver.execute_script(f"switch_to_{tab}()")
        self.wait(lambda: self.one(f"#{tab}_generate").is_displayed(), f"tab {tab}")

    # ---- the host's controls ------------------------------------------------------------------

    def prepare(self, prompt: str, steps: int = 4, size: int = 128, seed: int = 1) -> None:
        """A prompt, and as little work as possible."""
        self.set(f"#{self.tab}_prompt textarea", prompt)
        for name, value in {"steps": steps, "width": size, "height": size, "seed": seed}.items():
            self.set(f"#{self.tab}_{name} input[type=number]", value)

    def generate(self) -> None:
        """Clicks Generate and waits for what the host then says below the gallery."""
        self.press(f"#{self.tab}_generate")

    def press(self, css: str) -> None:
        """The same with another button that makes pictures."""
        before = self._result()
        self.click(css)
        self.wait(lambda: self._result() != before and self._time(), "the end of generation")

    def infotext(self) -> str:
        return self.text(f"#html_info_{self.tab} p")

    def told(self) -> str:
        """What stands in the infotext's place: Forge and Neo put some refusals there, which are
        no paragraph."""
        return self.text(f"#html_info_{self.tab}")

    def error(self) -> str:
        """What the host says of a run that failed; empty after one that did not."""
        return self.text(f"#html_log_{self.tab} .error")

    def _time(self) -> str:
        return self.text(f"#html_log_{self.tab} .performance")

    def _result(self) -> tuple[str, str, str]:
        return self.infotext(), self.error(), self._time()

    def pictures(self) -> list:
        return self.all(f"#{self.tab}_gallery img")

    def paste(self, infotext: str) -> None:
        self.set(f"#{self.tab}_prompt textarea", infotext)
        self.click(f"#{self.tab}_tools #paste")

    # ---- LAFI's controls ----------------------------------------------------------------------

    def lafi(self, name: str) -> str:
        """The CSS selector of one of LAFI's elements."""
        return f"#script_{self.tab}_lafi_{name}"

    def enabled(self) -> bool:
        (checked,) = self.read(f"{self.lafi('enabled')} .input-accordion-checkbox", "checked")
        return checked

    def enable(self) -> None:
        """Opens the accordion, which switches LAFI on."""
        self.click(f"{self.lafi('enabled')} .label-wrap")
        self.wait(self.enabled, "the accordion")

    def badge(self) -> str:
        return self.text(f"{self.lafi('enabled')} .lafi-badge")

    def status(self) -> str:
        return self.text(self.lafi("ui_status"))

    def number(self, name: str) -> float:
        return float(self.value(f"{self.lafi(name)} input[type=number]"))

    def set_number(self, name: str, value: float) -> None:
        self.set(f"{self.lafi(name)} input[type=number]", value)

    def choice(self, name: str) -> str:
        return self.value(f"{self.lafi(name)} input:checked")

    def choose(self, name: str, text: str) -> None:
        """Writes into a list that takes any text, as a user does: a value set by a script is none
        to gradio's lists."""
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", self.one(self.lafi(name))
        )
        box = self.one(f"{self.lafi(name)} input")
        box.click()
        box.send_keys(text, ENTER)
        self.wait(lambda: self.value(f"{self.lafi(name)} input") == text, f"{name} to be {text}")

    def open_group(self) -> None:
        """Opens *Views, region and batch*."""
        self.click(f"{self.lafi('ui_group')} .label-wrap")
        self.wait(lambda: self.one(self.lafi("region")).is_displayed(), "the group")

    def has_image(self) -> bool:
        return bool(self.all(f"{self.lafi('image')} img"))

    def upload(self, path: Path) -> None:
        self.one(f"{self.lafi('image')} input[type=file]").send_keys(str(path))
        self.wait(self.has_image, "the uploaded picture")

    def drop_views(self, *paths: Path) -> None:
        """Gives files to More views."""
        self.click(f"{self.lafi('ui_group')} .label-wrap")
        files = self.one(f"{self.lafi('views')} input[type=file]")
        files.send_keys("\n".join(map(str, paths)))

    def clear_image(self) -> None:
        button = '{0} [aria-label="Clear"], {0} [aria-label="Remove Image"]'
        self.click(button.format(self.lafi("image")))
        self.wait(lambda: not self.has_image(), "the cleared picture")

    def screenshot(self, folder: Path, name: str) -> None:
        """The window as it is, LAFI's accordion in view."""
        element = self.one(self.lafi("enabled"))
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        self.driver.save_screenshot(str(folder / f"{name}.png"))
