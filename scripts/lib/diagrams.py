"""diagrams.py FOLDER: draws the pictures of docs/ there, as SVG. The output is reproducible, so that it can be compared."""

import sys
from html import escape

INK, PALE, DATA, INDEX, STOP, GO = "#222222", "#f4f4f4", "#0072b2", "#009e73", "#d55e00", "#009e73"
LINE = 17


class Picture:
    """Boxes and arrows on a white ground, in pixels from the upper left corner."""

    def __init__(self, name, title, width, height):
        self.name, self.title, self.size, self.parts = name, title, (width, height), []

    def text(self, x, y, text, size=13, colour=INK, anchor="middle", weight="normal"):
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'
        )

    def box(self, x, y, width, height, *lines, fill=PALE, edge=INK, dashed=False):
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" fill="{fill}" stroke="{edge}"{dashes}/>'
        )
        first = y + height / 2 - LINE * (len(lines) - 1) / 2 + 4.5
        for i, line in enumerate(lines):
            self.text(x + width / 2, first + LINE * i, line, weight="bold" if i == 0 else "normal", size=13 if i == 0 else 12)

    def frame(self, x, y, width, height, title):
        """A process or a machine around boxes."""
        self.box(x, y, width, height, fill="none", dashed=True)
        self.text(x + 8, y + 16, title, size=12, anchor="start", weight="bold")

    def arrow(self, *points, label="", colour=INK, at=None, dashed=False):
        """A line along the points, with its label in the middle of the first part, or at `at`."""
        path = " ".join(f"{x},{y}" for x, y in points)
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes} marker-end="url(#{colour[1:]})"/>'
        )
        (x1, y1), (x2, y2) = points[:2]
        x, y = at or ((x1 + x2) / 2, (y1 + y2) / 2 - 6)
        for i, line in enumerate(label.split("\n") if label else []):
            self.text(x, y + 14 * i, line, size=11, colour=colour)

    def svg(self):
        width, height = self.size
        heads = "".join(
            f'<marker id="{colour[1:]}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0,0 L8,4 L0,8 z" fill="{colour}"/></marker>\n'
            for colour in dict.fromkeys((INK, DATA, INDEX, STOP, GO))
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
            f' font-family="sans-serif">\n<title>{escape(self.title)}</title>\n<defs>\n{heads}</defs>\n'
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(self.parts) + "\n</svg>\n"
        )


def overview():
    picture = Picture("overview", "The path of a backup through the client, before and after", 880, 330)
    picture.text(12, 22, "Upstream", size=14, anchor="start", weight="bold")
    picture.box(12, 36, 100, 44, "tar --create")
    picture.box(200, 36, 110, 44, "sendbackup", "tee process")
    picture.box(398, 36, 110, 44, "sendbackup", "CRC")
    picture.box(648, 36, 100, 44, "amandad")
    picture.box(810, 36, 58, 44, "server")
    picture.arrow((112, 58), (200, 58), label="pipe", colour=DATA)
    picture.arrow((310, 58), (398, 58), label="pipe", colour=DATA)
    picture.arrow((508, 58), (648, 58), label="pipe or shared memory", colour=DATA)
    picture.arrow((748, 58), (810, 58), label="network", colour=DATA)
    picture.box(310, 116, 50, 36, "sh")
    picture.box(420, 116, 80, 36, "tar -tf -")
    picture.box(560, 116, 50, 36, "sed")
    picture.arrow((255, 80), (255, 134), (310, 134), label="pipe", colour=DATA, at=(276, 126))
    picture.arrow((360, 134), (420, 134), colour=DATA)
    picture.arrow((500, 134), (560, 134), label="pipe", colour=INDEX)
    picture.arrow((610, 134), (698, 134), (698, 80), label="index", colour=INDEX)

    picture.text(12, 202, "With libamrelay", size=14, anchor="start", weight="bold")
    picture.box(12, 230, 100, 60, "tar --create")
    picture.box(300, 220, 160, 80, "sendbackup", "one thread: tee,", "CRC and index", fill="#e3f1fb")
    picture.box(600, 220, 148, 80, "amandad", "one event loop:", "relay", fill="#e3f1fb")
    picture.box(810, 238, 58, 44, "server")
    picture.arrow((112, 260), (300, 260), label="pipe", colour=DATA)
    picture.arrow((460, 246), (600, 246), label="pipe: data", colour=DATA)
    picture.arrow((460, 276), (600, 276), label="pipe: index", colour=INDEX, at=(530, 292))
    picture.arrow((748, 260), (810, 260), label="network", colour=DATA)
    return picture


def rooms():
    picture = Picture("rooms", "The rooms of src/ and what each stands on", 720, 380)
    picture.box(20, 16, 680, 44, "ffi", "the C ABI: checks arguments, catches panics, calls inward", fill="#e3f1fb")
    picture.box(20, 96, 200, 56, "tee", "passes a stream on")
    picture.box(20, 192, 200, 56, "inspect", "CRC and index of a stream")
    picture.box(20, 288, 200, 44, "index", "the tar reader; pure")
    picture.box(260, 192, 180, 56, "stats", "what a stage waited for")
    picture.box(480, 96, 220, 56, "relay", "links, streams, sinks")
    picture.box(480, 192, 220, 56, "event", "descriptors, timers, wait events")
    picture.box(260, 318, 440, 44, "sys", "every system call")
    for x in (120, 590):
        picture.arrow((x, 60), (x, 96))
    picture.arrow((350, 60), (350, 192), label="ffi uses all rooms", at=(405, 84))
    picture.arrow((120, 152), (120, 192))
    picture.arrow((120, 248), (120, 288))
    picture.arrow((220, 124), (300, 124), (300, 192))
    picture.arrow((480, 124), (400, 124), (400, 192))
    picture.arrow((590, 152), (590, 192))
    picture.arrow((590, 248), (590, 318))
    picture.arrow((480, 140), (460, 140), (460, 318))
    picture.arrow((220, 140), (240, 140), (240, 330), (260, 330))
    picture.arrow((220, 228), (232, 228), (232, 344), (260, 344))
    return picture


def buffer():
    picture = Picture("buffer", "The path of one buffer from tar to the network", 980, 320)
    picture.frame(164, 40, 330, 262, "sendbackup: the tee's thread")
    picture.frame(578, 40, 264, 262, "amandad: the event loop")
    picture.box(8, 84, 76, 44, "tar")
    picture.box(180, 84, 96, 44, "pipe", "1 MiB")
    picture.box(376, 84, 96, 44, "pipe", "1 MiB")
    picture.box(180, 176, 96, 44, "side pipe")
    picture.box(330, 168, 140, 60, "buffer", "128 KiB: CRC-32C,", "names of the index")
    picture.box(330, 256, 140, 40, "backlog", "at most 1 MiB")
    picture.box(590, 84, 120, 44, "stream DATA")
    picture.box(590, 254, 120, 44, "stream INDEX")
    picture.box(740, 160, 90, 60, "link", "one frame", "at a time")
    picture.box(900, 168, 70, 44, "socket")
    picture.arrow((84, 106), (180, 106), label="write(2)", colour=STOP, at=(124, 98))
    picture.text(124, 124, "copy 1", size=11, colour=STOP)
    picture.arrow((228, 128), (228, 176), label="tee(2)", colour=DATA, at=(256, 156))
    picture.arrow((276, 106), (376, 106), label="splice(2)", colour=DATA)
    picture.arrow((276, 198), (330, 198), label="read(2)", colour=STOP)
    picture.text(303, 214, "copy 2", size=11, colour=STOP)
    picture.arrow((400, 228), (400, 256), colour=INDEX)
    picture.arrow((470, 276), (590, 276), label="pipe: lines", colour=INDEX, at=(536, 270))
    picture.arrow((472, 106), (590, 106), label="FIONREAD", colour=DATA, at=(536, 100))
    picture.arrow((710, 106), (785, 106), (785, 160), colour=DATA)
    picture.arrow((710, 276), (785, 276), (785, 220), colour=INDEX)
    picture.arrow((830, 190), (900, 190), colour=DATA)
    picture.text(905, 150, "send(2): header", size=11, colour=DATA)
    picture.text(905, 234, "splice(2): the payload", size=11, colour=DATA)
    picture.text(490, 26, "Blue: references to pages move in the kernel.  Orange: bytes are copied.  Green: the index.", size=12)
    return picture


def stall():
    picture = Picture("stall", "One connection stalls: each stage holds back the one before it", 880, 300)
    boxes = [
        (20, "tar", "sleeps in write(2)"),
        (190, "tee", "waits for its output"),
        (360, "pipe", "full: 1 MiB"),
        (530, "link A", "reads no stream"),
        (700, "connection A", "takes nothing"),
    ]
    picture.text(20, 28, "Each stage stops because the one behind it is full.", size=13, anchor="start")
    for x, *lines in boxes:
        picture.box(x, 60, 150, 54, *lines, edge=STOP)
    for x in (190, 360, 530, 700):
        picture.arrow((x, 87), (x - 20, 87), colour=STOP)
    picture.text(20, 160, "The loop waits until connection A is writable. Everything else goes on.", size=13, anchor="start")
    for x, *lines in [(20, "tar"), (190, "tee"), (360, "pipe"), (530, "link B"), (700, "connection B", "takes data")]:
        picture.box(x, 190, 150, 54, *lines, edge=GO)
    for x in (170, 340, 510, 680):
        picture.arrow((x, 217), (x + 20, 217), colour=GO)
    picture.text(605, 274, "same event loop, same turn", size=12)
    picture.arrow((605, 262), (605, 246), dashed=True)
    return picture


def failure():
    picture = Picture("failure", "One connection fails: the failure goes back to the backup program", 900, 300)
    picture.text(20, 28, "The connection fails", size=14, anchor="start", weight="bold")
    steps = [
        (730, "connection", "ECONNRESET"),
        (555, "link", "ends its streams"),
        (380, "amandad", "closes its pipes"),
        (205, "tee", "ends with EPIPE"),
        (30, "tar", "ends with EPIPE"),
    ]
    for x, *lines in steps:
        picture.box(x, 50, 140, 54, *lines, edge=STOP)
    for x, label in [(730, "write fails"), (555, "on_end"), (380, "EPIPE"), (205, "closes\ninput")]:
        picture.arrow((x, 77), (x - 35, 77), colour=STOP)
        picture.text(x - 17, 120, label.replace("\n", " "), size=11, colour=STOP)
    picture.text(20, 166, "Only the index fails", size=14, anchor="start", weight="bold")
    picture.box(30, 190, 140, 54, "tar", "goes on", edge=GO)
    picture.box(255, 190, 140, 54, "tee", "ends the index", edge=GO)
    picture.box(480, 190, 140, 54, "amandad", "relay", edge=GO)
    picture.box(730, 190, 140, 54, "server", "has the whole dump", edge=GO)
    picture.arrow((170, 217), (255, 217), label="data", colour=DATA)
    picture.arrow((395, 207), (480, 207), label="data", colour=DATA)
    picture.arrow((395, 232), (480, 232), label="? index …", colour=STOP, at=(438, 250))
    picture.arrow((620, 217), (730, 217), label="data, message", colour=DATA)
    return picture


def main(folder):
    for draw in (overview, rooms, buffer, stall, failure):
        picture = draw()
        with open(f"{folder}/{picture.name}.svg", "w", encoding="utf-8") as file:
            file.write(picture.svg())


main(*sys.argv[1:])
