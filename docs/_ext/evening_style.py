"""The evening's colours of code, for light and for dark pages."""

from pygments.style import Style
from pygments.token import (
    Comment,
    Generic,
    Keyword,
    Name,
    Number,
    Operator,
    Punctuation,
    String,
    Text,
)


def palette(ink, quiet, keyword, name, string, number, wrong):
    """Return a style's table; few colours, so that code stays calm."""
    return {
        Text: ink,
        Name: ink,
        Punctuation: ink,
        Operator: ink,
        Comment: f"italic {quiet}",
        Comment.Preproc: f"noitalic {number}",  # C's macros are code
        Comment.PreprocFile: f"noitalic {string}",
        Keyword: keyword,
        Operator.Word: keyword,
        Name.Builtin: name,
        Name.Function: name,
        Name.Class: f"bold {name}",
        Name.Decorator: number,
        String: string,
        String.Doc: f"italic {quiet}",
        Number: number,
        Generic.Prompt: quiet,
        Generic.Output: ink,
        Generic.Traceback: wrong,
        Generic.Error: wrong,
    }


class Evening(Style):
    """Ink on paper."""

    background_color = "#f4f0e6"
    styles = palette(
        "#1b2233",
        "#5d6579",
        "#3d4fa1",
        "#0b5f74",
        "#7a4a00",
        "#86311f",
        "#a3262a",
    )


class EveningDark(Style):
    """Lamp light on a dark blue."""

    background_color = "#18213a"
    styles = palette(
        "#dfe5f2",
        "#97a2ba",
        "#9fb4ff",
        "#7fd0e6",
        "#f2c27a",
        "#f0a58f",
        "#ff9a94",
    )
