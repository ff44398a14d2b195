PLACEHOLDERS: tuple[str, ...]
MASK_VERSION: int

def mask_pattern(text: str) -> tuple[str, tuple[int, ...]]: ...
