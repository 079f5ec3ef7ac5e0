"""The constants of GGUF files, from the package gguf without the rest of it.

The package imports NumPy, YAML and more, which is a quarter of the time that the app takes to
start; its module `constants` needs none of that. Whoever imports the package finds the same module.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

_NAME = "gguf.constants"

if TYPE_CHECKING:
    from gguf.constants import (
        GGML_QUANT_SIZES,
        GGUF_DEFAULT_ALIGNMENT,
        GGUF_VERSION,
        GGMLQuantizationType,
        GGUFType,
        GGUFValueType,
        Keys,
        LlamaFileType,
    )

__all__ = [
    "GGML_QUANT_SIZES",
    "GGUF_DEFAULT_ALIGNMENT",
    "GGUF_VERSION",
    "GGMLQuantizationType",
    "GGUFType",
    "GGUFValueType",
    "Keys",
    "LlamaFileType",
]


def _constants() -> ModuleType:
    """The module; the package that it is in is looked for, but not run."""
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    package = find_spec("gguf")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("No module named 'gguf'", name="gguf")
    file = Path(package.submodule_search_locations[0]) / "constants.py"
    spec = spec_from_file_location(_NAME, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[_NAME] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if not TYPE_CHECKING:
    globals().update({name: getattr(_constants(), name) for name in __all__})
