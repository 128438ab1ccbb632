"""The screen of the terminal's viewer under a pilot."""


class Screen:
    """A viewer under a pilot: presses keys, reads the screen."""

    def __init__(self, app, pilot):
        self.app, self.pilot = app, pilot

    async def press(self, *keys):
        await self.pilot.press(*keys)
        await self.pilot.pause()
        return self.text

    @property
    def strips(self):
        return self.app.screen._compositor.render_strips()

    @property
    def lines(self):
        return ["".join(segment.text for segment in strip) for strip in self.strips]

    @property
    def text(self):
        return "\n".join(self.lines)

    async def until(self, condition, tries=600):
        """Wait until something holds; give the screen."""
        for _ in range(tries):
            if condition():
                return self.text
            await self.pilot.pause(0.05)
        raise AssertionError(f"It does not come to hold:\n{self.text}")
