#!/usr/bin/env python3
"""report.html in a real browser: Debian's chromium, without a display and without a network.

    python3 tests/apps/report_test.py path/to/reconstruct

Checks, at the widths of a phone and of a desk, light and dark: nothing in the console, nothing wider than the page, all
charts drawn, every picture decoded, and that images can be chosen by cluster and by a line drawn around them. Speaks
the DevTools protocol over two pipes. Needs nothing but the standard library; skipped without chromium, which CI
does not allow.
"""

import base64
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

PROGRAM = ""
ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "data" / "one_bond.json"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PICTURES = os.environ.get("RECON_TEST_PICTURES")  # a folder to put pictures of the pages in, for eyes


class Browser:
    """A headless browser with one page: DevTools messages, each ended by a zero byte, on file descriptors 3 and 4."""

    def __init__(self, profile):
        read_commands, self.to_browser = os.pipe()
        self.from_browser, write_answers = os.pipe()
        arguments = ["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                     "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking",
                     "--disable-component-update", f"--user-data-dir={profile}", "about:blank"]

        def place_pipes():
            first, second = os.dup(read_commands), os.dup(write_answers)  # they may stand at 3 and 4 themselves
            os.dup2(first, 3)
            os.dup2(second, 4)

        self.process = subprocess.Popen([BROWSER, *arguments], preexec_fn=place_pipes, pass_fds=(3, 4),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(read_commands)
        os.close(write_answers)
        self.number, self.buffer, self.events, self.session = 0, b"", [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self.process.terminate()
        self.process.wait(timeout=20)

    def receive(self):
        while b"\0" not in self.buffer:
            data = os.read(self.from_browser, 1 << 20)
            if not data:
                raise RuntimeError("the browser has ended")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def wait(self, method):
        while True:
            for i, event in enumerate(self.events):
                if event.get("method") == method:
                    return self.events.pop(i)
            self.events.append(self.receive())

    def open(self, path, width, scheme):
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                  mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=Path(path).resolve().as_uri())
        self.wait("Page.loadEventFired")

    def value(self, script):
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def complaints(self):
        """What stands in the console, and what was asked for beside the page itself."""
        bad = [e["params"] for e in self.events if e.get("method") in ("Runtime.exceptionThrown",
                                                                       "Runtime.consoleAPICalled", "Log.entryAdded")]
        return bad + [e["params"]["request"]["url"][:80] for e in self.events
                      if e.get("method") == "Network.requestWillBeSent"
                      and not e["params"]["request"]["url"].startswith(("file:", "data:", "blob:"))]

    def mouse(self, kind, x, y):
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def drag(self, points):
        self.mouse("mousePressed", *points[0])
        for point in points[1:]:
            self.mouse("mouseMoved", *point)
        self.mouse("mouseReleased", *points[-1])


def call(*arguments):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = cls.path = Path(cls.folder.name)
        call("simulate", MODEL, "-o", path / "set", "--images", 300, "--box", 16, "--snr", 1, "--ctf", "--states", 2)
        common = ["--layers", 1, "--width", 16, "--epochs", 4, "--lr", "1e-3"]
        call("train", path / "set/particles.star", "-o", path / "family", "--poses", "given", "--zdim", 3, "--latent",
             "table", *common)
        call("train", path / "set/particles.star", "-o", path / "one", "--half-maps", "--subdivisions", 2, "--keep", 4,
             *common)
        call("analyze", path / "family", "--kmeans", 4, "--steps", 4, "--seed", 1)
        map_of_one = path / "one/volumes/volume.mrc"
        fsc = path / "fsc.json"
        fsc.write_text(call("compare", "fsc", map_of_one, path / "set/truth/state_000.mrc", "--json"))
        call("analyze", path / "one", "--fsc", fsc)
        cls.pages = {"family": path / "family/analysis/report.html", "family while training": path / "family/report.html",
                     "one": path / "one/analysis/report.html"}
        cls.browser = Browser(path / "profile")

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()
        cls.folder.cleanup()

    def picture(self, name):
        if not PICTURES:
            return
        height = self.browser.value("document.documentElement.scrollHeight")
        width = self.browser.value("innerWidth")
        shot = self.browser.call("Page.captureScreenshot", captureBeyondViewport=True,
                                 clip={"x": 0, "y": 0, "width": width, "height": height, "scale": 1})
        (Path(PICTURES) / (name.replace(" ", "-") + ".png")).write_bytes(base64.b64decode(shot["data"]))

    def test_pages_are_whole_at_any_width_and_colour(self):
        for name, page in self.pages.items():
            for width in (390, 1280):
                for scheme in ("light", "dark"):
                    with self.subTest(page=name, width=width, scheme=scheme):
                        self.browser.open(page, width, scheme)
                        self.picture(f"{name}-{width}-{scheme}")
                        self.assertLessEqual(self.browser.value("document.documentElement.scrollWidth"), width)
                        self.assertEqual(self.browser.value(
                            "[...document.images].filter(i => i.src && !(i.complete && i.naturalWidth)).length"), 0)
                        self.assertGreater(self.browser.value("document.images.length"), 2)
                        charts = self.browser.value("[...document.querySelectorAll('svg')].map(s => "
                                                    "[s.getBoundingClientRect().height, s.querySelectorAll('path').length])")
                        self.assertGreater(len(charts), 3)
                        for height, paths in charts:
                            self.assertGreater(height, 100)
                            self.assertGreater(paths, 0)
                        dark = self.browser.value("getComputedStyle(document.body).backgroundColor")
                        self.assertEqual(max(map(int, dark[4:-1].split(","))) < 100, scheme == "dark")
                        self.assertEqual(self.browser.complaints(), [])

    def test_every_page_says_whether_it_worked(self):
        for page in self.pages.values():
            text = page.read_text()
            self.assertIn("Did it work?", text)
            self.assertRegex(text, r'class="answer"><span[^>]*>.</span>[A-Z][a-z ]+\.')
            self.assertIn("<section id=\"training\"", text)
        self.assertIn("The known structure is met to", self.pages["one"].read_text())
        self.assertIn("Half maps agree to", self.pages["one"].read_text())

    def test_images_are_chosen_by_cluster_and_by_a_line_around_them(self):
        page = self.browser
        page.open(self.pages["family"], 1280, "light")
        sizes = json.loads((self.path / "family/analysis/summary.json").read_text())["cluster_sizes"]
        chosen = "new Promise(r => setTimeout(() => r(Number(document.documentElement.dataset.chosen)), 200))"
        page.value("document.querySelector('.chips button[data-cluster=\"2\"]').click()")
        self.assertEqual(page.value(chosen), sizes[2])
        page.value("document.querySelector('.chips button[data-cluster=\"0\"]').click()")
        self.assertEqual(page.value(chosen), sizes[0] + sizes[2])
        page.value("document.querySelector('svg[data-plane]').scrollIntoView({block: 'center'})")
        x, y, w, h = page.value("(r => [r.x, r.y, r.width, r.height])"
                                "(document.querySelector('svg[data-plane] .frame').getBoundingClientRect())")
        e = 1  # from just within the frame: around all images
        corners = [(x + e, y + e), (x + w - e, y + e), (x + w - e, y + h - e), (x + w / 2, y + h - e), (x + e, y + h - e)]
        page.drag(corners)
        self.assertEqual(page.value(chosen), 300)
        page.drag([(x + e, y + e), (x + w / 2, y + e), (x + w / 2, y + h / 2), (x + w / 2, y + h - e), (x + e, y + h - e)])
        self.assertGreater(page.value(chosen), 20)
        self.assertLess(page.value(chosen), 280)
        page.value("""window.saved = new Promise(done => {
            const make = URL.createObjectURL;
            URL.createObjectURL = (blob) => { blob.text().then(done); return make(blob); };
            document.getElementById("save").click(); })""")
        text = page.value("window.saved")
        numbers = [int(line) for line in text.splitlines() if not line.startswith("#")]
        self.assertEqual(len(numbers), page.value(chosen))
        self.assertTrue(all(1 <= n <= 300 for n in numbers))
        page.value("document.getElementById('clear').click()")
        self.assertEqual(page.value(chosen), 0)
        self.assertEqual(page.complaints(), [])

    def test_values_stand_under_the_pointer(self):
        page = self.browser
        page.open(self.pages["one"], 1280, "light")
        page.value("document.querySelector('#training svg').scrollIntoView({block: 'center'})")
        x, y, w, h = page.value("(r => [r.x, r.y, r.width, r.height])"
                                "(document.querySelector('#training svg').getBoundingClientRect())")
        page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x + w * 0.6, y=y + h / 2)
        self.assertRegex(page.value("document.querySelector('#training .tip').textContent"), r"epoch.*\d.*loss: [\d.]+")

    def test_pictures_are_png_files_that_another_reader_decodes(self):
        text = self.pages["family"].read_text()
        pictures = [base64.b64decode(part.split('"')[0]) for part in text.split("data:image/png;base64,")[1:]]
        self.assertGreater(len(pictures), 20)
        for data in pictures:
            at, pixels, size = 8, b"", (0, 0)
            while at < len(data):
                length, kind = struct.unpack(">I4s", data[at:at + 8])
                body = data[at + 8:at + 8 + length]
                self.assertEqual(struct.unpack(">I", data[at + 8 + length:at + 12 + length])[0], zlib.crc32(kind + body))
                size = struct.unpack(">II", body[:8]) if kind == b"IHDR" else size
                pixels += body if kind == b"IDAT" else b""
                at += 12 + length
            self.assertEqual(len(zlib.decompress(pixels)), (size[0] + 1) * size[1])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: report_test.py path/to/reconstruct [unittest options]")
    if not BROWSER:
        print("report_test: skipped, no chromium here (.ci/setup tests installs it)")
        sys.exit(1 if os.environ.get("CI") else 0)
    PROGRAM = str(Path(sys.argv[1]).resolve())
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
