"""Reads HTML: its elements in order, its text, and whether all that was opened was closed."""

from html.parser import HTMLParser


class Outline(HTMLParser):
    """Notes each element with its attributes, the text, and whether all that was opened was closed in order."""

    def __init__(self, markup):
        super().__init__(convert_charrefs=True)
        self.elements, self.said, self.open, self.other = [], [], [], []
        self.feed(markup)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(sorted(attrs))))
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.said.append(data)

    def handle_comment(self, data):
        self.other.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment

    @property
    def text(self):
        return "".join(self.said)
