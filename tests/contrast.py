"""How well a colour can be told from another one, as WCAG 2 measures it."""

Colour = tuple[float, ...]
"""Red, green and blue, 0 to 255."""


def mixed(colour: Colour, below: Colour, share: float) -> Colour:
    """Return a colour that covers another one in part."""
    return tuple(share * a + (1 - share) * b for a, b in zip(colour, below, strict=True))


def contrast(one: Colour, other: Colour) -> float:
    """Return the contrast of two colours, 1 to 21."""
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Colour) -> float:
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (each / 255 for each in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
