"""Reads a page for tests: its elements, texts and embedded data, and whether every tag is closed."""

import json
from html.parser import HTMLParser


class Reader(HTMLParser):
    """Elements with their attributes, and texts outside script and style."""

    VOID = {"meta", "img", "br", "hr", "input", "link"}

    def __init__(self, page: str):
        super().__init__()
        self.elements, self.texts, self.scripts, self.open = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            if self.open[-1] == "script":
                self.scripts.append((self.elements[-1][1], data))
        else:
            self.texts.append(data)

    def check(self) -> "Reader":
        assert not self.open, f"never closed: {self.open}"
        return self

    def tags(self, name: str) -> list[dict]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def data(self) -> list[dict]:
        return [json.loads(text) for attributes, text in self.scripts if attributes.get("type") == "application/json"]
