# SPDX-License-Identifier: GPL-2.0
"""Plots as SVG, and all of a run as one HTML file that needs no other."""
import html
import textwrap

import figures
import simulate

COLOURS = {"stock": "#7f7f7f", "lock": "#d62728", "paged": "#ff7f0e", "batch": "#1f77b4", "noconsult": "#2ca02c"}
MODES_CONTENDED = ("stock", "lock", "paged", "batch")
STYLE = """body { font: 15px/1.45 sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.met { color: #2a7d2a; } td.missed { color: #b22; }
svg { max-width: 100%; height: auto; } code { background: #f4f4f4; padding: 0 .2em; }"""


def text(x, y, words, anchor="middle", size=13, extra=""):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" {extra}>'
            f"{html.escape(words)}</text>")


def nice_step(top):
    """A step of 1, 2 or 5 times a power of ten, with four to nine steps up to the top."""
    step = 1.0
    while top / step > 9:
        step *= 10
    while top / step < 4 and step > 1e-6:
        step /= 10
    for factor in (5, 2):
        if top / (step * factor) >= 4:
            return step * factor
    return step


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def bars(title, unit, groups, series, colours):
    """Groups of bars.  groups: names; series: name -> values of all groups, None where there is none."""
    width, height, left, top, bottom = 920, 390, 70, 50, 100
    most = max((v for values in series.values() for v in values if v is not None), default=1) * 1.1 or 1
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
           f'height="{height}" font-family="sans-serif" role="img">',
           f'<rect width="{width}" height="{height}" fill="white"/>', text(left, 22, title, "start", 16)]
    floor = height - bottom

    def y_of(value):
        return floor - value / most * (floor - top)

    step = nice_step(most)
    for i in range(int(most / step) + 1):
        y = y_of(i * step)
        out.append(f'<line x1="{left}" x2="{width - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        out.append(text(left - 6, y + 4, f"{i * step:g}", "end", 12, 'fill="#555"'))
    out.append(text(16, (top + floor) / 2, unit, size=12,
                    extra=f'fill="#555" transform="rotate(-90 16 {(top + floor) / 2:.1f})"'))
    room = (width - 10 - left) / len(groups)
    bar = min(38, room * 0.86 / len(series))
    for g, group in enumerate(groups):
        middle = left + (g + 0.5) * room
        for s, (name, values) in enumerate(series.items()):
            if values[g] is None:
                continue
            x, y = middle + (s - len(series) / 2) * bar, y_of(max(0, values[g]))
            out.append(f'<rect x="{x + 1:.1f}" y="{y:.1f}" width="{bar - 2:.1f}" height="{floor - y:.1f}" '
                       f'fill="{colours[name]}"/>')
            out.append(text(x + bar / 2, y - 3, number(values[g]), size=10, extra='fill="#333"'))
        for i, words in enumerate(textwrap.wrap(group, max(8, int(room / 7.5)))):
            out.append(text(middle, floor + 18 + 15 * i, words))
    x = left
    for name in series:
        words = figures.MODES.get(name, name)
        out.append(f'<rect x="{x}" y="{height - 26}" width="12" height="12" fill="{colours[name]}"/>')
        out.append(text(x + 17, height - 15, words, "start", 12))
        x += 40 + 7.0 * len(words)
    return "\n".join(out + ["</svg>"]) + "\n"


def plots(arch, fig):
    """File name -> SVG."""
    found = {}
    for case, title in figures.TITLES.items():
        states = [s for s in figures.STATES if any((case, m, s) in fig.samples for m in figures.MODES)]
        if states:
            found[f"{arch}-{case}"] = bars(
                f"{arch}: {title}", "instructions a page", [figures.STATES[s] for s in states],
                {m: [fig.get(case, m, s) for s in states] for m in figures.MODES
                 if any((case, m, s) in fig.samples for s in states)}, COLOURS)
    added = {m: [figures.added(fig, m, s) for s in ("old", "mixed", "young")] for m in ("stock", "batch")}
    if all(v is not None for values in added.values() for v in values):
        found[f"{arch}-added"] = bars(f"{arch}: what a VM adds to a pass over 64 MiB in pages of 4 KiB",
                                      "instructions a page", [figures.STATES[s] for s in ("old", "mixed", "young")],
                                      added, COLOURS)
    vcpus = sorted({key[1] for key in fig.contention})
    if vcpus:
        modes = [m for m in MODES_CONTENDED if (m, vcpus[0], "one") in fig.contention]
        found[f"{arch}-contention"] = bars(
            f"{arch}: faults while this process is aged, of those while another one is", "ratio",
            [f"{n} vCPUs" for n in vcpus],
            {m: [figures.ratio(fig.contended(m, n, "one", "rate"), fig.contended(m, n, "elsewhere", "rate"))
                 for n in vcpus] for m in modes}, COLOURS)
    return found


def demo_plot(arch, fig):
    """One picture of the demo."""
    modes = {m: figures.MODES[m] for m in ("stock", "batch")}
    states = ("old", "mixed", "young")
    groups = [f"a pass, {figures.STATES[s]}" for s in states] + [
        f"of these with mmu_lock, {figures.STATES[s]}" for s in states]
    return bars(f"{arch}: a forced pass of MGLRU over a guest", "instructions a page", groups,
                {m: [fig.get("pass-4k", m, s) for s in states] +
                    [fig.counted("pass-4k", m, s, "mmu_lock", "held") for s in states] for m in modes}, COLOURS)


def html_table(head, rows):
    lines = ["<table>", "<tr>" + "".join(f"<th>{html.escape(h)}</th>" for h in head) + "</tr>"]
    for row in rows:
        cells = [(f' class="{cell}"' if cell in ("met", "missed") else "", html.escape(cell)) for cell in row]
        lines.append("<tr>" + "".join(f"<td{c}>{w}</td>" for c, w in cells) + "</tr>")
    return "\n".join(lines + ["</table>"])


def page(arches, machine):
    """arches: name -> Figures.  machine: pairs of what and which."""
    out = ["<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">', "<title>What aging guests costs</title>",
           f"<style>{STYLE}</style></head><body>", "<h1>What aging guests costs</h1>",
           "<p>" + " ".join(html.escape(p) for p in figures.METHOD) + "</p>",
           "<p>" + " ".join(html.escape(p) for p in figures.COUNT_METHOD) + "</p>",
           html_table(("measured on", ""), machine)]
    for arch, fig in arches.items():
        out.append(f"<h2>{html.escape(arch)}</h2>")
        out.append(html_table(("target", "value", "goal", ""),
                              [(n, number(v) if v >= 0 else f"{v:.2f}", goal, "met" if met else "missed")
                               for n, v, goal, met in figures.targets(fig)]))
        pictures = plots(arch, fig)
        if f"{arch}-added" in pictures:
            out.append(pictures[f"{arch}-added"])
        for case, title, head, rows in figures.tables(fig):
            out.append(f"<h3>{html.escape(title)}</h3>")
            out.append(html_table(head, rows))
            out.append(pictures.get(f"{arch}-{case}", ""))
            out.append(html_table(*figures.counted_table(fig, case)))
        out.append("<p>" + html.escape(simulate.ASSUMPTIONS) + "</p>")
        for title, head, rows in simulate.tables(arch, fig):
            out += [f"<h3>{html.escape(title)}</h3>", html_table(head, rows)]
        for title, head, rows in figures.other_tables(fig):
            out += [f"<h3>{html.escape(title)}</h3>", html_table(head, rows)]
        if fig.contention:
            out.append("<p>" + " ".join(html.escape(p) for p in figures.CONTENTION_METHOD) + "</p>")
            out.append(pictures[f"{arch}-contention"])
        for title, head, rows in figures.contention_tables(fig):
            out += [f"<h3>{html.escape(title)}</h3>", html_table(head, rows)]
    return "\n".join(out + ["</body></html>"]) + "\n"
